#include "io/safetensors_header.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "seqgpu/error.hpp"

namespace seqgpu::io {

namespace {

// Every dtype of the format, so that a legal file we cannot read is told from a damaged one.
constexpr FileDType kFileDTypes[] = {
    {"F32", 32, Decoding::copy, DType::f32},       {"F64", 64, Decoding::copy, DType::f64},
    {"I32", 32, Decoding::copy, DType::i32},       {"I64", 64, Decoding::copy, DType::i64},
    {"U8", 8, Decoding::copy, DType::u8},          {"F16", 16, Decoding::from_f16, DType::f32},
    {"BF16", 16, Decoding::from_bf16, DType::f32}, {"BOOL", 8, Decoding::none, DType::u8},
    {"I8", 8, Decoding::none, DType::u8},          {"I16", 16, Decoding::none, DType::u8},
    {"U16", 16, Decoding::none, DType::u8},        {"U32", 32, Decoding::none, DType::u8},
    {"U64", 64, Decoding::none, DType::u8},        {"C64", 64, Decoding::none, DType::u8},
    {"F8_E5M2", 8, Decoding::none, DType::u8},     {"F8_E4M3", 8, Decoding::none, DType::u8},
    {"F8_E8M0", 8, Decoding::none, DType::u8},     {"F8_E4M3FNUZ", 8, Decoding::none, DType::u8},
    {"F8_E5M2FNUZ", 8, Decoding::none, DType::u8}, {"F6_E2M3", 6, Decoding::none, DType::u8},
    {"F6_E3M2", 6, Decoding::none, DType::u8},     {"F4", 4, Decoding::none, DType::u8},
};

// Tells how far the lexer has come: its SAX events carry no position.
class TrackedIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  TrackedIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  bool operator==(const TrackedIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// Takes the parser's events. Each event is legal in few places, so anything else, nesting included, is refused where it
// begins: no tree is built and the depth never exceeds three.
class HeaderReader {
 public:
  HeaderReader(std::string_view json, std::uint64_t data_bytes, const std::string& file)
      : json_(json), data_bytes_(data_bytes), file_(file), furthest_(json.data()) {}

  SafetensorsHeader run() {
    const char* const end = json_.data() + json_.size();
    nlohmann::json::sax_parse(TrackedIterator(json_.data(), &furthest_), TrackedIterator(end, &furthest_), this);
    // The parser takes a NUL for the end of its input and skips any white space; the format has only spaces here.
    for (std::size_t i = object_end_; i < json_.size(); ++i) {
      if (json_[i] != ' ') {
        throw Error(
            ErrorCode::invalid_file, "read_safetensors", file_,
            "has something other than spaces after its header's object, at byte " + std::to_string(kLengthBytes + i));
      }
    }
    check_tiling();
    check_readable();
    return std::move(header_);
  }

  bool null() { unexpected("null"); }
  bool boolean(bool) { unexpected("a boolean"); }
  bool number_float(double, const std::string& text) { unexpected("the number " + in_quotes(text)); }
  bool number_integer(std::int64_t value) { unexpected("the number " + std::to_string(value)); }
  bool binary(nlohmann::json::binary_t&) { unexpected("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        refuse("gives tensor " + in_quotes(name_) + " an extent of " + std::to_string(value) + ", above 2^63 - 1");
      }
      if (entry_.shape.rank() == Shape::kMaxRank) {
        refuse("gives tensor " + in_quotes(name_) + " more than " + std::to_string(Shape::kMaxRank) + " axes",
               ErrorCode::unsupported);
      }
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_ == 0 ? entry_.begin : entry_.end) = value;
      ++offsets_;
    } else {
      unexpected("the number " + std::to_string(value));
    }
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::metadata) {
      header_.metadata.emplace(key_, value);
    } else if (place_ == Place::entry && field_ == kDType) {
      const auto* const found = std::ranges::find(kFileDTypes, value, &FileDType::name);
      if (found == std::end(kFileDTypes))
        refuse("gives tensor " + in_quotes(name_) + " the unknown dtype " + in_quotes(value));
      entry_.dtype = found;
    } else {
      unexpected("the string " + in_quotes(value));
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == Place::outside) {
      place_ = Place::names;
    } else if (place_ == Place::names) {
      place_ = name_ == kMetadataName ? Place::metadata : Place::entry;
      entry_ = {};
      seen_ = offsets_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& key) {
    check_name(key);
    if (place_ == Place::entry) {
      field_ = key == "dtype" ? kDType : key == "shape" ? kShape : key == "data_offsets" ? kOffsets : 0;
      if (field_ == 0) refuse("gives tensor " + in_quotes(name_) + " the unknown field " + in_quotes(key));
      if (seen_ & field_) refuse("gives tensor " + in_quotes(name_) + " the field " + in_quotes(key) + " twice");
      seen_ |= field_;
    } else if (place_ == Place::metadata) {
      if (header_.metadata.contains(key)) refuse("has the metadata key " + in_quotes(key) + " twice");
      key_ = key;
    } else {
      const bool again = key == kMetadataName ? has_metadata_ : header_.entries.contains(key);
      if (again) refuse("has the name " + in_quotes(key) + " twice");
      if (key == kMetadataName) has_metadata_ = true;
      name_ = key;
    }
    return true;
  }

  bool end_object() {
    if (place_ == Place::entry) {
      finish_entry();
      place_ = Place::names;
    } else if (place_ == Place::metadata) {
      place_ = Place::names;
    } else {
      place_ = Place::outside;
      object_end_ = static_cast<std::size_t>(furthest_ - json_.data());
    }
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ == Place::entry && field_ == kShape) {
      place_ = Place::shape;
    } else if (place_ == Place::entry && field_ == kOffsets) {
      place_ = Place::offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() {
    if (place_ == Place::offsets && offsets_ != 2) {
      refuse("gives tensor " + in_quotes(name_) + " " + std::to_string(offsets_) +
             " data_offsets where two are expected");
    }
    place_ = Place::entry;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    refuse("has a header that is not JSON in UTF-8");  // the exception's own text may quote megabytes of the file
  }

 private:
  enum class Place { outside, names, entry, shape, offsets, metadata };
  static constexpr int kDType = 1, kShape = 2, kOffsets = 4;

  [[noreturn]] void refuse(const std::string& detail, ErrorCode code = ErrorCode::invalid_file) const {
    const auto at = kLengthBytes + static_cast<std::uint64_t>(furthest_ - json_.data());
    throw Error(code, "read_safetensors", file_, detail + ", near byte " + std::to_string(at));
  }

  [[noreturn]] void unexpected(const std::string& what) const {
    const auto expected = [this]() -> std::string {
      switch (place_) {
        case Place::outside: return "one object";
        case Place::names: return in_quotes(name_) + " to be an object";
        case Place::shape: return "the shape of tensor " + in_quotes(name_) + " to hold non-negative integers";
        case Place::offsets: return "data_offsets of tensor " + in_quotes(name_) + " to be two non-negative integers";
        case Place::metadata: return "metadata " + in_quotes(key_) + " to be a string";
        case Place::entry: break;
      }
      return (field_ == kDType   ? "dtype"
              : field_ == kShape ? "shape"
                                 : "data_offsets") +
             std::string(" of tensor ") + in_quotes(name_) + (field_ == kDType ? " to be a string" : " to be an array");
    };
    refuse("has " + what + " where the format expects " + expected());
  }

  void check_name(const std::string& name) const {
    if (name.size() > kMaxNameBytes) {
      refuse("has a name of " + std::to_string(name.size()) + " bytes; at most " + std::to_string(kMaxNameBytes) +
             " are accepted");
    }
    // Code that hands the name on as a C string would see another one.
    if (name.find('\0') != std::string::npos) refuse("has a NUL character in the name " + in_quotes(name));
  }

  void finish_entry() {
    if (seen_ != (kDType | kShape | kOffsets)) {
      refuse("has tensor " + in_quotes(name_) + " without " +
             (seen_ & kDType ? (seen_ & kShape ? "data_offsets" : "shape") : "dtype"));
    }
    // Left to right, as Shape::elements() multiplies: a later 0 does not mend an overflow.
    std::int64_t bits = 1;
    bool overflow = false;
    for (int axis = 0; axis < entry_.shape.rank(); ++axis) {
      overflow = overflow || __builtin_mul_overflow(bits, entry_.shape[axis], &bits);
    }
    overflow = overflow || __builtin_mul_overflow(bits, static_cast<std::int64_t>(entry_.dtype->bits), &bits);
    if (overflow)
      refuse("gives tensor " + in_quotes(name_) + " the shape " + to_string(entry_.shape) + ", above 2^63 bits");
    if (bits % 8 != 0) refuse("has tensor " + in_quotes(name_) + " end within a byte");
    const auto bytes = static_cast<std::uint64_t>(bits / 8);
    if (entry_.begin > entry_.end || entry_.end > data_bytes_) {
      refuse("puts tensor " + in_quotes(name_) + " at " + range(entry_) + " of a data area of " +
             std::to_string(data_bytes_) + " bytes");
    }
    if (entry_.end - entry_.begin != bytes) {
      refuse("gives tensor " + in_quotes(name_) + " " + std::to_string(entry_.end - entry_.begin) +
             " bytes; its shape " + to_string(entry_.shape) + " and dtype " + std::string(entry_.dtype->name) +
             " need " + std::to_string(bytes));
    }
    if (header_.entries.size() == kMaxTensors) refuse("has more than " + std::to_string(kMaxTensors) + " tensors");
    header_.entries.emplace(name_, entry_);
  }

  static std::string range(const HeaderEntry& entry) {
    return "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + ")";
  }

  // Sorted by offset, each tensor begins where the one before it ends: no hole, no overlap, no tail.
  void check_tiling() const {
    std::vector<const std::pair<const std::string, HeaderEntry>*> order;
    order.reserve(header_.entries.size());
    for (const auto& item : header_.entries) order.push_back(&item);
    std::ranges::sort(order, {}, [](const auto* item) { return std::pair(item->second.begin, item->second.end); });
    std::uint64_t end = 0;
    for (const auto* item : order) {
      if (item->second.begin != end) {
        throw Error(ErrorCode::invalid_file, "read_safetensors", file_,
                    "has tensor " + in_quotes(item->first) + " at " + range(item->second) + " of the data area, with " +
                        (item->second.begin > end ? "a hole" : "an overlap") + " before it: expected it to begin at " +
                        std::to_string(end) + ", byte " + std::to_string(data_start() + end));
      }
      end = item->second.end;
    }
    if (end != data_bytes_) {
      throw Error(ErrorCode::invalid_file, "read_safetensors", file_,
                  "has " + std::to_string(data_bytes_ - end) + " bytes that belong to no tensor, from byte " +
                      std::to_string(data_start() + end));
    }
  }

  // Last, so that a damaged file is called damaged whatever its dtypes.
  void check_readable() const {
    for (const auto& [name, entry] : header_.entries) {
      if (entry.dtype->decoding != Decoding::none) continue;
      throw Error(ErrorCode::unsupported, "read_safetensors", file_,
                  "has tensor " + in_quotes(name) + " of dtype " + std::string(entry.dtype->name) +
                      "; F32, F64, F16, BF16, I32, I64 and U8 can be read: convert it first");
    }
  }

  std::uint64_t data_start() const { return kLengthBytes + json_.size(); }

  std::string_view json_;
  std::uint64_t data_bytes_;
  const std::string& file_;
  const char* furthest_;
  std::size_t object_end_ = 0;
  SafetensorsHeader header_;
  bool has_metadata_ = false;
  Place place_ = Place::outside;
  std::string name_, key_;  // of the tensor, of the metadata
  HeaderEntry entry_;
  int field_ = 0, seen_ = 0, offsets_ = 0;
};

}  // namespace

SafetensorsHeader parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& file) {
  // Some readers skip a byte order mark or white space here: then one file could mean two things.
  if (json.empty() || json.front() != '{') {
    throw Error(ErrorCode::invalid_file, "read_safetensors", file,
                "is not a safetensors file: its header does not begin with '{', at byte 8");
  }
  return HeaderReader(json, data_bytes, file).run();
}

std::string in_quotes(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string text = "\"" + std::string(name.substr(0, kShown));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text + (name.size() > kShown ? "...\"" : "\"");
}

}  // namespace seqgpu::io
