#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "seqgpu/parameters.hpp"

namespace seqgpu::train {

/// Parameters as one flat buffer: on the host while they are being declared, on the device from the first plan on.
struct ParameterStore {
  struct Entry {
    std::string name;
    Shape shape;
    std::int64_t offset = 0;  // elements
  };

  Device device;
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
  std::vector<Entry> entries;
  std::int64_t flat_count = 0;     // elements, each entry padded to a cache line
  std::vector<std::byte> staging;  // until frozen
  device::Buffer buffer;           // once frozen
  bool frozen = false;
  std::uint64_t version = 1;  // of the values: whoever writes them adds one

  std::int64_t flat_bytes() const { return flat_count * static_cast<std::int64_t>(size_of(dtype)); }
  std::int64_t byte_offset(const Entry& entry) const {
    return entry.offset * static_cast<std::int64_t>(size_of(dtype));
  }
  std::int64_t bytes(const Entry& entry) const {
    return entry.shape.elements() * static_cast<std::int64_t>(size_of(dtype));
  }
  const Entry& find(const std::string& operation, const std::string& name) const;
  /// Moves the values to the device; no parameter can be added after.
  void freeze();
};

}  // namespace seqgpu::train
