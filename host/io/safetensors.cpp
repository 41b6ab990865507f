#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "io/file.hpp"
#include "io/safetensors_header.hpp"
#include "io/safetensors_layout.hpp"
#include "seqgpu/checkpoint.hpp"

namespace seqgpu {

namespace io {

namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and tensors are copied as bytes");

using ReadAt = std::function<void(std::uint64_t offset, std::span<std::byte> out)>;

float from_f16(std::uint16_t half) {
  const auto sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fU;
  const std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 0) {  // zero or subnormal: a count of 2^-24, exact in f32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

float from_bf16(std::uint16_t half) { return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16); }

HostTensor read_tensor(const HeaderEntry& entry, std::uint64_t data_start, const ReadAt& read_at) {
  HostTensor tensor(entry.dtype->dtype, entry.shape);
  if (entry.dtype->decoding == Decoding::copy) {
    read_at(data_start + entry.begin, tensor.bytes);
    return tensor;
  }
  std::vector<std::uint16_t> halves(tensor.bytes.size() / sizeof(float));
  read_at(data_start + entry.begin, std::as_writable_bytes(std::span(halves)));
  std::ranges::transform(halves, tensor.view<float>().begin(),
                         entry.dtype->decoding == Decoding::from_f16 ? from_f16 : from_bf16);
  return tensor;
}

TensorFile read(std::uint64_t size, const ReadAt& read_at, const std::string& name) {
  const auto refuse = [&](const std::string& detail) {
    throw Error(ErrorCode::invalid_file, "read_safetensors", name, detail);
  };
  if (size < kLengthBytes) {
    refuse("is not a safetensors file: it ends at byte " + std::to_string(size) + ", within the header's length");
  }
  std::uint64_t length = 0;
  read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeaderBytes) {
    refuse("is not a safetensors file: its header's length, at byte 0, is " + std::to_string(length) +
           "; at most 100000000 is allowed");
  }
  if (length > size - kLengthBytes) {
    refuse("is cut short: its header has " + std::to_string(length) + " bytes, but the file ends at byte " +
           std::to_string(size));
  }
  try {
    std::string json(static_cast<std::size_t>(length), '\0');
    read_at(kLengthBytes, std::as_writable_bytes(std::span(json)));
    const std::uint64_t data_start = kLengthBytes + length;
    SafetensorsHeader header = parse_header(json, size - data_start, name);
    TensorFile file;
    file.metadata = std::move(header.metadata);
    for (const auto& [tensor, entry] : header.entries) {
      file.tensors.emplace(tensor, read_tensor(entry, data_start, read_at));
    }
    return file;
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "read_safetensors", name,
                "does not fit in memory: it has " + std::to_string(size) + " bytes");
  }
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::i32: return "I32";
    case DType::i64: return "I64";
    case DType::u8: return "U8";
  }
  return "";
}

[[noreturn]] void refuse_writing(const std::string& what, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "write_safetensors", what, detail);
}

std::string json_string(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    refuse_writing(in_quotes(text), "is not UTF-8");
  }
}

std::string json_key(const std::string& key) {
  if (key.size() > kMaxNameBytes) refuse_writing(in_quotes(key), "is a name of more than 4096 bytes");
  if (key.find('\0') != std::string::npos) refuse_writing(in_quotes(key), "has a NUL character");
  return json_string(key);
}

void check_tensor(const std::string& name, const HostTensor& tensor) {
  if (name == kMetadataName) refuse_writing(in_quotes(name), "is a name the format keeps for itself");
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(tensor.shape.elements(), static_cast<std::int64_t>(size_of(tensor.dtype)), &bytes) ||
      static_cast<std::uint64_t>(bytes) != tensor.bytes.size()) {
    refuse_writing(in_quotes(name), "holds " + std::to_string(tensor.bytes.size()) + " bytes, which is not what " +
                                        to_string(tensor.dtype) + " " + to_string(tensor.shape) + " needs");
  }
}

}  // namespace

TensorViews views_of(const TensorMap& tensors) {
  TensorViews views;
  for (const auto& [name, tensor] : tensors) views.emplace_hint(views.end(), name, &tensor);
  return views;
}

std::vector<Bytes> SafetensorsLayout::parts() const {
  std::vector<Bytes> parts{std::as_bytes(std::span(prefix))};
  for (const HostTensor* tensor : tensors) parts.emplace_back(tensor->bytes);
  return parts;
}

SafetensorsLayout lay_out(const TensorViews& tensors, const std::map<std::string, std::string>& metadata) {
  if (tensors.size() > kMaxTensors) refuse_writing("tensors", "has more than 65536 tensors");
  // Larger elements first: then each tensor is aligned with no padding, which the format forbids.
  std::vector<const TensorViews::value_type*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [](const auto* item) { return size_of(item->second->dtype); });

  SafetensorsLayout layout;
  std::string json = "{";
  if (!metadata.empty()) {
    json += json_string(kMetadataName) + ":{";
    for (const auto& [key, value] : metadata) {
      json += (json.back() == '{' ? "" : ",") + json_key(key) + ":" + json_string(value);
    }
    json += "}";
  }
  std::uint64_t end = 0;
  for (const auto* item : order) {
    const auto& [name, tensor] = *item;
    check_tensor(name, *tensor);
    const std::uint64_t begin = end;
    end += tensor->bytes.size();
    json +=
        (json.back() == '{' ? "" : ",") + json_key(name) + ":{\"dtype\":\"" + name_of(tensor->dtype) + "\",\"shape\":[";
    for (int axis = 0; axis < tensor->shape.rank(); ++axis) {
      json += (axis != 0 ? "," : "") + std::to_string(tensor->shape[axis]);
    }
    json += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    layout.tensors.push_back(tensor);
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kMaxHeaderBytes) refuse_writing("metadata", "makes a header of more than 100000000 bytes");

  const std::uint64_t length = json.size();
  layout.prefix.assign(reinterpret_cast<const char*>(&length), sizeof length);
  layout.prefix += json;
  return layout;
}

}  // namespace io

TensorFile read_safetensors(const std::string& path) {
  const io::InputFile file(path, "read_safetensors");
  return io::read(
      file.size(), [&](std::uint64_t offset, std::span<std::byte> out) { file.read_at(offset, out); }, path);
}

TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  const auto read_at = [&](std::uint64_t offset, std::span<std::byte> out) {
    if (!out.empty()) std::memcpy(out.data(), bytes.subspan(static_cast<std::size_t>(offset)).data(), out.size());
  };
  return io::read(bytes.size(), read_at, name);
}

std::vector<std::byte> format_safetensors(const TensorFile& file) {
  const io::SafetensorsLayout layout = io::lay_out(io::views_of(file.tensors), file.metadata);
  std::vector<std::byte> bytes;
  for (const io::Bytes part : layout.parts()) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

void write_safetensors(const std::string& path, const TensorFile& file) {
  const io::SafetensorsLayout layout = io::lay_out(io::views_of(file.tensors), file.metadata);
  io::write_parts_atomically(path, layout.parts());
}

}  // namespace seqgpu
