// Files made by hand to break one rule of the format each. Every one must give its typed error: no crash, no read past
// the end, no allocation larger than the file.
#include <set>

#include "tests/io/files.hpp"

namespace seqgpu::test {
namespace {

struct Hostile {
  std::string name;
  std::string content;
  std::string says;  ///< part of the error's text
  ErrorCode code = ErrorCode::invalid_file;
};

// One tensor "a" of four bytes, with this text for each of its fields.
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return safetensors(R"({"a":)" + entry(dtype, shape, offsets) + "}", 4);
}
const std::string kGood = entry("\"F32\"", "[1]", "[0,4]");

std::string of_shape(const std::string& shape) { return tensor("\"F32\"", shape, "[0,4]"); }
std::string of_offsets(const std::string& offsets) { return tensor("\"F32\"", "[1]", offsets); }
std::string of_dtype(const std::string& dtype) { return tensor(dtype, "[1]", "[0,4]"); }
std::string of_name(const std::string& name) { return safetensors("{\"" + name + "\":" + kGood + "}", 4); }
std::string of_metadata(const std::string& json) { return safetensors(R"({"__metadata__":)" + json + "}"); }
std::string of_entry(const std::string& json) { return safetensors(R"({"a":)" + json + "}", 4); }
std::string two(const std::string& first, const std::string& second, std::size_t bytes) {
  const auto bytes_at = [](const std::string& range, int count) {
    return entry("\"U8\"", "[" + std::to_string(count) + "]", range);
  };
  return safetensors(R"({"a":)" + bytes_at(first, 4) + R"(,"b":)" + bytes_at(second, 4) + "}", bytes);
}
std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
std::string many_tensors(int count) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) {
    header += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  return safetensors(header + "}");
}

std::vector<Hostile> outer_cases() {
  const std::string nul(1, '\0');
  return {
      {"empty file", "", "ends at byte 0"},
      {"seven bytes", "\2\0\0\0\0\0\0", "within the header's length"},
      {"length 0", little_endian(0), "does not begin with '{'"},
      {"length 2^63", little_endian(1ULL << 63) + "{}", "9223372036854775808"},
      {"length 2^64 - 1", little_endian(~0ULL) + "{}", "18446744073709551615"},
      {"length 2^64 - 8, wraps", little_endian(~0ULL - 7) + "{}", "at most 100000000"},
      {"length above the cap", little_endian(100'000'001) + "{}", "at most 100000000"},
      {"length at the cap, beyond the file", little_endian(100'000'000) + "{}", "cut short"},
      {"length one beyond the file", little_endian(3) + "{}", "cut short"},
      {"length big-endian", std::string("\0\0\0\0\0\0\0\2{}", 10), "at most 100000000"},
      {"zip file", std::string("PK\3\4\x14\0\0\0\0\0", 10), "at most 100000000"},
      {"pickle", std::string("\x80\2}q\0K\1K\2s.", 11), "at most 100000000"},
      {"begins with an array", safetensors("[]"), "does not begin with '{'"},
      {"begins with a space", safetensors(" {}"), "does not begin with '{'"},
      {"begins with a byte order mark", safetensors("\xef\xbb\xbf{}"), "does not begin with '{'"},
      {"begins with NUL", safetensors(nul + "{}"), "does not begin with '{'"},
      {"open brace only", safetensors("{"), "not JSON"},
      {"wrong closing bracket", safetensors("{]"), "not JSON"},
      {"name without quotes", safetensors("{a:1}"), "not JSON"},
      {"single quotes", safetensors("{'a':{}}"), "not JSON"},
      {"trailing comma", safetensors(R"({"__metadata__":{},})"), "not JSON"},
      {"missing colon", safetensors(R"({"a" {}})"), "not JSON"},
      {"comment", safetensors("{/* */}"), "not JSON"},
      {"unterminated string", safetensors("{\"a"), "not JSON"},
      {"bad escape", of_name("\\x41"), "not JSON"},
      {"two objects", safetensors("{}{}"), "not JSON"},
      {"object, then text", safetensors("{} x"), "not JSON"},
      {"newline after the object", safetensors("{}\n"), "other than spaces"},
      {"tab after the object", safetensors("{} \t "), "other than spaces"},
      {"NUL after the object", safetensors("{}" + nul), "other than spaces"},
      {"NUL, then text", safetensors("{}" + nul + "hidden"), "other than spaces"},
      {"NUL for padding inside", safetensors("{" + nul + "}"), "not JSON"},
      {"nested objects, 100,000 deep", safetensors(repeated(R"({"dtype":)", 100'000)), "has an object where"},
      {"nested arrays, 100,000 deep", of_shape(std::string(100'000, '[')), "has an array where"},
      {"nested metadata, 100,000 deep", of_metadata(repeated(R"({"a":)", 100'000)), "has an object where"},
      {"arrays as an entry, 100,000 deep", of_entry(std::string(100'000, '[')), "has an array where"},
      {"65,537 tensors", many_tensors(65'537), "more than 65536 tensors"},
      {"data but no tensors", safetensors("{}", 1), "belong to no tensor"},
  };
}

std::vector<Hostile> name_cases() {
  return {
      {"name of 4,097 bytes", of_name(std::string(4097, 'n')), "4097 bytes"},
      {"metadata key of 4,097 bytes", of_metadata("{\"" + std::string(4097, 'n') + "\":\"\"}"), "4097 bytes"},
      {"name with a raw NUL", of_name(std::string(1, '\0')), "not JSON"},
      {"name with an escaped NUL", of_name("a\\u0000b"), "NUL"},
      {"metadata key with an escaped NUL", of_metadata(R"({"\u0000":""})"), "NUL"},
      {"name with a raw newline", of_name("a\nb"), "not JSON"},
      {"name with a lone byte 0x80", of_name("\x80"), "not JSON"},
      {"name with byte 0xff", of_name("\xff"), "not JSON"},
      {"name with an overlong slash", of_name("\xc0\xaf"), "not JSON"},
      {"name with an encoded surrogate", of_name("\xed\xa0\x80"), "not JSON"},
      {"name above U+10FFFF", of_name("\xf4\x90\x80\x80"), "not JSON"},
      {"name ending within a character", of_name("\xe2\x82"), "not JSON"},
      {"name with a lone escaped surrogate", of_name("\\ud800"), "not JSON"},
      {"metadata value not UTF-8", of_metadata("{\"k\":\"\xff\"}"), "not JSON"},
      {"dtype not UTF-8", of_dtype("\"F\xff\""), "not JSON"},
      {"same name twice", safetensors(R"({"a":)" + kGood + R"(,"a":)" + kGood + "}", 4), "\"a\" twice"},
      {"same name twice, escaped", safetensors(R"({"a":)" + kGood + R"(,"\u0061":)" + kGood + "}", 4), "\"a\" twice"},
      {"dtype twice", of_entry(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"), "twice"},
      {"shape twice", of_entry(R"({"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]})"), "twice"},
      {"data_offsets twice", of_entry(R"({"data_offsets":[0,4],"data_offsets":[0,4]})"), "twice"},
      {"__metadata__ twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})"), "twice"},
      {"metadata key twice", of_metadata(R"({"k":"v","k":"v"})"), "metadata key \"k\" twice"},
      {"metadata key twice, escaped", of_metadata(R"({"k":"v","\u006b":"w"})"), "metadata key \"k\" twice"},
      {"metadata a string", of_metadata("\"x\""), "to be an object"},
      {"metadata a number", of_metadata("1"), "to be an object"},
      {"metadata an array", of_metadata("[]"), "to be an object"},
      {"metadata null", of_metadata("null"), "to be an object"},
      {"metadata value a number", of_metadata(R"({"k":1})"), "to be a string"},
      {"metadata value a negative number", of_metadata(R"({"k":-1})"), "to be a string"},
      {"metadata value a fraction", of_metadata(R"({"k":1.5})"), "to be a string"},
      {"metadata value a boolean", of_metadata(R"({"k":true})"), "to be a string"},
      {"metadata value null", of_metadata(R"({"k":null})"), "to be a string"},
      {"metadata value an array", of_metadata(R"({"k":["v"]})"), "to be a string"},
      {"metadata value an object", of_metadata(R"({"k":{}})"), "to be a string"},
      {"metadata as a tensor", of_metadata(kGood), "to be a string"},
  };
}

std::vector<Hostile> entry_cases() {
  std::vector<Hostile> cases = {
      {"entry null", of_entry("null"), "to be an object"},
      {"entry a number", of_entry("1"), "to be an object"},
      {"entry a fraction", of_entry("1.5"), "to be an object"},
      {"entry a string", of_entry("\"F32\""), "to be an object"},
      {"entry an array", of_entry("[]"), "to be an object"},
      {"entry a boolean", of_entry("false"), "to be an object"},
      {"entry empty", of_entry("{}"), "without dtype"},
      {"no dtype", of_entry(R"({"shape":[1],"data_offsets":[0,4]})"), "without dtype"},
      {"no shape", of_entry(R"({"dtype":"F32","data_offsets":[0,4]})"), "without shape"},
      {"no data_offsets", of_entry(R"({"dtype":"F32","shape":[1]})"), "without data_offsets"},
      {"an extra field", of_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"path":"x"})"), "unknown field"},
      {"an extra field named in capitals", of_entry(R"({"DTYPE":"F32"})"), "unknown field"},
      {"metadata inside an entry", of_entry(R"({"__metadata__":{}})"), "unknown field"},
      {"a field with an empty name", of_entry(R"({"":1})"), "unknown field"},
      {"dtype unknown", of_dtype("\"F128\""), "unknown dtype"},
      {"dtype in small letters", of_dtype("\"f32\""), "unknown dtype"},
      {"dtype empty", of_dtype("\"\""), "unknown dtype"},
      {"dtype with a NUL at its end", of_dtype("\"F32\\u0000\""), "unknown dtype"},
      {"dtype a number", of_dtype("32"), "dtype of tensor \"a\" to be a string"},
      {"dtype null", of_dtype("null"), "to be a string"},
      {"dtype an array", of_dtype("[\"F32\"]"), "to be a string"},
      {"dtype an object", of_dtype("{}"), "to be a string"},
      {"shape a string", of_shape("\"1\""), "shape of tensor \"a\" to be an array"},
      {"shape a number", of_shape("1"), "to be an array"},
      {"shape null", of_shape("null"), "to be an array"},
      {"shape an object", of_shape("{}"), "to be an array"},
      {"extent negative", of_shape("[-1]"), "non-negative integers"},
      {"extents negative, product right", of_shape("[-1,-1]"), "non-negative integers"},
      {"extent minus zero", of_shape("[-0]"), "non-negative integers"},
      {"extent a fraction", of_shape("[1.0]"), "non-negative integers"},
      {"extent with an exponent", of_shape("[1e0]"), "non-negative integers"},
      {"extent too large for any number", of_shape("[1e999]"), "not JSON"},
      {"extent with a leading zero", of_shape("[01]"), "not JSON"},
      {"extent in hexadecimal", of_shape("[0x1]"), "not JSON"},
      {"extent NaN", of_shape("[NaN]"), "not JSON"},
      {"extent a string", of_shape("[\"1\"]"), "non-negative integers"},
      {"extent null", of_shape("[null]"), "non-negative integers"},
      {"extent a boolean", of_shape("[true]"), "non-negative integers"},
      {"extent an array", of_shape("[[1]]"), "non-negative integers"},
      {"extent 2^63", of_shape("[9223372036854775808]"), "above 2^63 - 1"},
      {"extent 2^64", of_shape("[18446744073709551616]"), "non-negative integers"},
      {"extent of 1,000 digits", of_shape("[1" + std::string(1000, '0') + "]"), "not JSON"},
      {"seven axes", of_shape("[1,1,1,1,1,1,1]"), "more than 6 axes", ErrorCode::unsupported},
      {"100,000 axes", of_shape("[1" + repeated(",1", 99'999) + "]"), "more than 6 axes", ErrorCode::unsupported},
      {"product wraps to 1", of_shape("[4294967297,4294967297,18446744069414584321]"), "above 2^63 - 1"},
      {"product wraps to 0", of_shape("[4294967296,4294967296]"), "above 2^63 bits"},
      {"product overflows, then 0", of_shape("[4294967296,4294967296,0]"), "above 2^63 bits"},
      {"product times bytes wraps to 4", of_shape("[4611686018427387905]"), "above 2^63 bits"},
      {"product large, no overflow", of_shape("[1000000,1000000]"), "need 4000000000000"},
      {"bytes too few", of_shape("[2]"), "need 8"},
      {"bytes too many", tensor("\"U8\"", "[3]", "[0,4]"), "need 3"},
      {"scalar without bytes", safetensors(R"({"a":)" + entry("\"F32\"", "[]", "[0,0]") + "}"), "need 4"},
      {"empty tensor with bytes", of_shape("[0]"), "need 0"},
      {"six bits, within a byte", tensor("\"F6_E2M3\"", "[1]", "[0,1]"), "within a byte"},
      {"four bits, within a byte", tensor("\"F4\"", "[7]", "[0,4]"), "within a byte"},
  };
  for (const char* dtype : {"BOOL", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"}) {
    cases.push_back({dtype, tensor("\"" + std::string(dtype) + "\"", "[4]", "[0,4]"), dtype, ErrorCode::unsupported});
  }
  for (const char* dtype : {"I16", "U16"}) {
    cases.push_back({dtype, tensor("\"" + std::string(dtype) + "\"", "[2]", "[0,4]"), dtype, ErrorCode::unsupported});
  }
  cases.push_back({"U32", of_dtype("\"U32\""), "U32", ErrorCode::unsupported});
  cases.push_back({"F4", tensor("\"F4\"", "[8]", "[0,4]"), "F4", ErrorCode::unsupported});
  return cases;
}

std::vector<Hostile> offset_cases() {
  return {
      {"data_offsets a string", of_offsets("\"0,4\""), "data_offsets of tensor \"a\" to be an array"},
      {"data_offsets null", of_offsets("null"), "to be an array"},
      {"data_offsets an object", of_offsets(R"({"0":0})"), "to be an array"},
      {"data_offsets empty", of_offsets("[]"), "0 data_offsets"},
      {"one offset", of_offsets("[0]"), "1 data_offsets"},
      {"three offsets", of_offsets("[0,4,4]"), "two non-negative integers"},
      {"offset negative", of_offsets("[-4,0]"), "two non-negative integers"},
      {"offset a fraction", of_offsets("[0,4.0]"), "two non-negative integers"},
      {"offset a string", of_offsets("[\"0\",\"4\"]"), "two non-negative integers"},
      {"offset null", of_offsets("[null,4]"), "two non-negative integers"},
      {"offset an array", of_offsets("[[0,4]]"), "two non-negative integers"},
      {"offset 2^64", of_offsets("[0,18446744073709551616]"), "two non-negative integers"},
      {"offsets reversed", of_offsets("[4,0]"), "puts tensor"},
      {"offsets wrap", of_offsets("[18446744073709551612,0]"), "puts tensor"},
      {"end at 2^64 - 1", of_offsets("[18446744073709551611,18446744073709551615]"), "puts tensor"},
      {"end one beyond the data", of_offsets("[1,5]"), "puts tensor"},
      {"all beyond the data", of_offsets("[4,8]"), "puts tensor"},
      {"empty tensor beyond the data", tensor("\"F32\"", "[0]", "[5,5]"), "puts tensor"},
      {"data cut short", safetensors(R"({"a":)" + kGood + "}", 3), "puts tensor"},
      {"no data", safetensors(R"({"a":)" + kGood + "}"), "puts tensor"},
      {"data one byte too long", safetensors(R"({"a":)" + kGood + "}", 5), "1 bytes that belong to no tensor"},
      {"a second file behind", tensor("\"F32\"", "[1]", "[0,4]") + safetensors("{}"), "10 bytes that belong to no"},
      {"first tensor not at 0", two("[1,5]", "[5,9]", 9), "a hole"},
      {"hole between tensors", two("[0,4]", "[5,9]", 9), "a hole"},
      {"tensors overlap by a byte", two("[0,4]", "[3,7]", 7), "an overlap"},
      {"tensors overlap, listed backwards", two("[3,7]", "[0,4]", 7), "an overlap"},
      {"tensors at the same place", two("[0,4]", "[0,4]", 4), "an overlap"},
      {"tensors at the same place, data for two", two("[0,4]", "[0,4]", 8), "an overlap"},
      {"empty tensor within another",
       safetensors(R"({"a":)" + kGood + R"(,"e":)" + entry("\"F32\"", "[0]", "[2,2]") + "}", 4), "an overlap"},
  };
}

std::vector<Hostile> all_cases() {
  std::vector<Hostile> all = outer_cases();
  for (const auto& more : {name_cases(), entry_cases(), offset_cases()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(HostileSafetensors, EachGivesItsTypedError) {
  for (const Hostile& hostile : all_cases()) {
    SCOPED_TRACE(hostile.name);
    const Error error = error_of([&] { parse_safetensors(bytes_of(hostile.content), "hostile"); });
    EXPECT_EQ(error.code(), hostile.code) << error.what();
    EXPECT_EQ(error.operation(), "read_safetensors");
    EXPECT_EQ(error.argument(), "hostile");
    EXPECT_NE(std::string(error.what()).find(hostile.says), std::string::npos) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 600U);
  }
}

TEST(HostileSafetensors, EachGivesTheSameErrorFromAFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "hostile.safetensors";
  for (const Hostile& hostile : all_cases()) {
    SCOPED_TRACE(hostile.name);
    put(path, hostile.content);
    const Error from_file = error_of([&] { read_safetensors(path); });
    const Error from_memory = error_of([&] { parse_safetensors(bytes_of(hostile.content), path); });
    EXPECT_EQ(from_file.code(), from_memory.code());
    EXPECT_STREQ(from_file.what(), from_memory.what());
  }
}

TEST(HostileSafetensors, AreManyAndDistinct) {
  std::set<std::string> names, contents;
  for (const Hostile& hostile : all_cases()) {
    EXPECT_TRUE(names.insert(hostile.name).second) << hostile.name;
    EXPECT_TRUE(contents.insert(hostile.content).second) << hostile.name;
  }
  EXPECT_GE(names.size(), 120U);
}

// The cases differ from this one by their fault alone.
TEST(HostileSafetensors, TheTemplateItselfIsSound) {
  EXPECT_EQ(parse_safetensors(bytes_of(of_shape("[1]")), "sound").tensors.size(), 1U);
  EXPECT_EQ(parse_safetensors(bytes_of(two("[4,8]", "[0,4]", 8)), "sound").tensors.size(), 2U);
  EXPECT_EQ(parse_safetensors(bytes_of(many_tensors(65'536)), "sound").tensors.size(), 65'536U);
}

std::string small_file() {
  TensorFile file;
  file.tensors["a"] = HostTensor::of<float>({2}, {1.0F, 2.0F});
  file.tensors["b"] = HostTensor::of<std::uint8_t>({}, {7});
  file.metadata["k"] = "v";
  return text_of(format_safetensors(file));
}

TEST(HostileSafetensors, TruncatedAtEveryByte) {
  const TemporaryFolder folder;
  const std::string whole = small_file(), path = folder / "cut.safetensors";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    const std::string cut = whole.substr(0, size);
    EXPECT_EQ(error_of([&] { parse_safetensors(bytes_of(cut), "cut"); }).code(), ErrorCode::invalid_file);
    put(path, cut);
    EXPECT_EQ(error_of([&] { read_safetensors(path); }).code(), ErrorCode::invalid_file);
  }
}

// No bit flip may crash; what is still a legal file may be read.
TEST(HostileSafetensors, EveryBitFlipIsReadOrRefused) {
  const std::string whole = small_file();
  int refused = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    try {
      parse_safetensors(bytes_of(flipped), "flipped");
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::invalid_file || error.code() == ErrorCode::unsupported) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace seqgpu::test
