#include <bit>
#include <cmath>
#include <limits>

#include "tests/io/files.hpp"

namespace seqgpu::test {
namespace {

TensorFile sample() {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();
  TensorFile file;
  file.tensors["weights"] = HostTensor::of<float>({2, 3}, {0.0F, -0.0F, kNaN, kInf, -kInf, 1e-45F});
  file.tensors["double"] = HostTensor::of<double>({2}, {0.1, -1e300});
  file.tensors["scalar"] = HostTensor::of<std::int64_t>({}, {std::numeric_limits<std::int64_t>::min()});
  file.tensors["labels"] = HostTensor::of<std::int32_t>({1, 1, 1, 1, 1, 2}, {-1, 7});
  file.tensors["odd bytes"] = HostTensor::of<std::uint8_t>({3}, {0, 128, 255});
  file.tensors["empty"] = HostTensor(DType::f32, {4, 0, 5});
  file.tensors["empty too"] = HostTensor(DType::f64, {0});
  file.tensors["na\xc3\xafve \"quoted\"\n\\"] = HostTensor(DType::u8, {1});
  file.tensors[""] = HostTensor(DType::u8, {});
  file.metadata = {{"format", "pt"}, {"", ""}, {"text", "line\nline \xe2\x82\xac \x7f \"\\"}};
  return file;
}

void expect_round_trip(const TensorFile& file) {
  const std::vector<std::byte> bytes = format_safetensors(file);
  const TensorFile back = parse_safetensors(bytes, "memory");
  expect_same(file.tensors, back.tensors);
  EXPECT_EQ(file.metadata, back.metadata);
  EXPECT_EQ(bytes, format_safetensors(back));
  EXPECT_EQ(std::to_integer<std::size_t>(bytes[0]) % 8, 0U);
}

TEST(Safetensors, RoundTripKeepsEveryBit) {
  expect_round_trip(sample());
  expect_round_trip({});
}

TEST(Safetensors, RoundTripThroughAFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  for (const TensorFile& file : {sample(), TensorFile{}}) {
    write_safetensors(path, file);
    EXPECT_EQ(content_of(path), text_of(format_safetensors(file)));
    const TensorFile back = read_safetensors(path);
    expect_same(file.tensors, back.tensors);
    EXPECT_EQ(file.metadata, back.metadata);
  }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"model.safetensors"});
}

TEST(Safetensors, WritesTheseVeryBytes) {
  TensorFile file;
  file.tensors["b"] = HostTensor::of<std::uint8_t>({1}, {9});
  file.tensors["a"] = HostTensor::of<float>({1}, {1.0F});
  file.tensors["c"] = HostTensor::of<std::int64_t>({}, {2});
  file.metadata["k"] = "v";
  const std::string header =
      R"({"__metadata__":{"k":"v"},"c":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"b":{"dtype":"U8","shape":[1],"data_offsets":[12,13]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data("\2\0\0\0\0\0\0\0\0\0\x80\x3f\x09", 13);
  EXPECT_EQ(text_of(format_safetensors(file)), little_endian(padded.size()) + padded + data);
}

TEST(Safetensors, ReadsWhatOtherWritersMayWrite) {
  const auto parse = [](const std::string& text) { return parse_safetensors(bytes_of(text), "memory"); };
  EXPECT_TRUE(parse(safetensors("{}")).tensors.empty());
  EXPECT_TRUE(parse(safetensors("{}     ")).tensors.empty());
  EXPECT_TRUE(parse(safetensors(R"({"__metadata__":{}})")).metadata.empty());
  // Entries out of order of their data, fields in another order, white space within the object, escapes in a name.
  const TensorFile file = parse(safetensors(
      "{ \"b\" : {\"data_offsets\":[4, 6],\n\"shape\":[2],\"dtype\":\"U8\"},\t\"\\u0061\":{\"dtype\":\"I32\",\"shape\":"
      "[ ],\"data_offsets\":[0,4]}, \"__metadata__\":{\"x\":\"y\"}}",
      6));
  EXPECT_EQ(file.tensors.at("a").view<std::int32_t>()[0], 0x01010101);
  EXPECT_EQ(file.tensors.at("b").shape, Shape({2}));
  EXPECT_EQ(file.metadata.at("x"), "y");
  // Empty tensors may share an offset with others, wherever it is.
  EXPECT_EQ(parse(safetensors(R"({"e":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[1,1]},)"
                              R"("f":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},)"
                              R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                              1))
                .tensors.size(),
            3U);
}

TEST(Safetensors, AcceptsTheLargestNameAndRank) {
  TensorFile file;
  file.tensors[std::string(4096, 'n')] = HostTensor(DType::u8, {1, 1, 1, 1, 1, 1});
  expect_round_trip(file);
}

// An independent path: std::ldexp on the fields of the half.
float half_by_definition(std::uint32_t half) {
  const float sign = (half >> 15) != 0 ? -1.0F : 1.0F;
  const auto exponent = static_cast<int>((half >> 10) & 31U);
  const auto fraction = static_cast<float>(half & 1023U);
  if (exponent == 31) return sign * std::numeric_limits<float>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024.0F + fraction, exponent - 25);
}

TEST(Safetensors, ConvertsEveryHalf) {
  std::string data;
  for (std::uint32_t i = 0; i < 65536; ++i) data += {static_cast<char>(i & 255U), static_cast<char>(i >> 8)};
  const auto read = [&](const std::string& dtype) {
    const std::string header = R"({"h":{"dtype":")" + dtype + R"(","shape":[65536],"data_offsets":[0,131072]}})";
    return parse_safetensors(bytes_of(safetensors(header) + data), "memory").tensors.at("h");
  };
  const HostTensor f16 = read("F16"), bf16 = read("BF16");
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const float value = f16.view<float>()[i];
    if ((i & 0x7fffU) > 0x7c00U) {
      EXPECT_TRUE(std::isnan(value)) << i;
    } else {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(value), std::bit_cast<std::uint32_t>(half_by_definition(i))) << i;
    }
    EXPECT_EQ(std::bit_cast<std::uint32_t>(bf16.view<float>()[i]), i << 16);
  }
}

TEST(Safetensors, RefusesToWriteWhatItWouldNotRead) {
  const auto refused = [](const TensorFile& file) {
    const Error error = error_of([&] { format_safetensors(file); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
  };
  const HostTensor one(DType::u8, {1});
  refused({.tensors = {{"__metadata__", one}}});
  refused({.tensors = {{std::string(4097, 'n'), one}}});
  refused({.tensors = {{std::string("a\0b", 3), one}}});
  refused({.tensors = {{"\xff", one}}});
  refused({.metadata = {{"k", "\xc3"}}});
  refused({.metadata = {{"\xed\xa0\x80", "v"}}});
  HostTensor wrong(DType::f32, {2});
  wrong.bytes.pop_back();
  refused({.tensors = {{"wrong", wrong}}});
  TensorFile many;
  for (int i = 0; i <= 65536; ++i) many.tensors["t" + std::to_string(i)] = HostTensor(DType::u8, {0});
  refused(many);
  many.tensors.erase("t0");
  EXPECT_EQ(parse_safetensors(format_safetensors(many), "memory").tensors.size(), 65536U);
}

TEST(Safetensors, WhatCannotBeReadIsAnIoFailure) {
  const TemporaryFolder folder;
  for (const std::string& path : {folder / "missing", folder.path(), std::string("/dev/null"), std::string()}) {
    const Error error = error_of([&] { read_safetensors(path); });
    EXPECT_EQ(error.code(), ErrorCode::io_failure) << error.what();
    EXPECT_EQ(error.operation(), "read_safetensors");
    EXPECT_EQ(error.argument(), path);
  }
}

}  // namespace
}  // namespace seqgpu::test
