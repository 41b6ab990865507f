#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "device/device.hpp"

// One operation through the seam, without a graph: tensors where a test wants them, also where no 16-byte access
// reaches them.
namespace seqgpu::support {

/// Bytes of a tensor, with its elements' type at both ends.
using Bytes = std::vector<std::byte>;

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
template <class T>
std::vector<T> values_of(const Bytes& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

struct OpRun {
  op::AnyDesc desc;
  std::vector<Bytes> inputs;               // empty: absent
  std::vector<std::int64_t> output_bytes;  // 0: unwanted
  std::int64_t offset = 0;                 // bytes between an aligned address and each tensor
  bool in_place = false;                   // output 0 overwrites input 0

  /// The outputs. They and the workspace hold NaNs before, a guard behind each must stay.
  std::vector<Bytes> on(const Device& device) const {
    device::Backend& backend = device.backend();
    const device::Choice choice = device::choose(backend.table(), desc);
    std::vector<device::Buffer> buffers;
    const auto place = [&](const Bytes& content, std::int64_t at) {
      buffers.emplace_back(device.share(), at + static_cast<std::int64_t>(content.size()) + 1);
      backend.upload(buffers.back().data() + at, content.data(), static_cast<std::int64_t>(content.size()));
      return buffers.back().data() + at;
    };
    const auto poison = [](std::int64_t bytes) { return Bytes(static_cast<std::size_t>(bytes), std::byte{0xff}); };
    constexpr std::int64_t kGuard = 64;

    device::Work work;
    device::Launch launch;
    launch.implementation = choice.implementation;
    launch.desc = &desc;
    for (const Bytes& input : inputs) launch.inputs.push_back(input.empty() ? nullptr : place(input, offset));
    for (std::size_t i = 0; i < output_bytes.size(); ++i) {
      if (i == 0 && in_place) {
        launch.outputs.push_back(const_cast<void*>(launch.inputs[0]));
      } else {
        launch.outputs.push_back(output_bytes[i] ? place(poison(output_bytes[i] + kGuard), offset) : nullptr);
      }
    }
    const auto workspace = choice.implementation->workspace_bytes(desc, backend.table().limits);
    launch.workspace = place(poison(static_cast<std::int64_t>(workspace)), 0);
    if (const device::Preparation& preparation = choice.implementation->preparation; preparation.bytes) {
      const auto prepared = preparation.bytes(desc, backend.table().limits);
      launch.prepared = place(poison(static_cast<std::int64_t>(prepared)), 0);
      launch.prepare = true;
    }
    work.launches.push_back(launch);
    backend.run(work);

    std::vector<Bytes> outputs;
    for (std::size_t i = 0; i < output_bytes.size(); ++i) {
      const bool guarded = launch.outputs[i] && !(i == 0 && in_place);
      Bytes read(static_cast<std::size_t>(launch.outputs[i] ? output_bytes[i] + (guarded ? kGuard : 0) : 0));
      backend.download(read.data(), launch.outputs[i], static_cast<std::int64_t>(read.size()));
      if (guarded) {
        const auto end = static_cast<std::size_t>(output_bytes[i]);
        EXPECT_TRUE(Bytes(read.begin() + output_bytes[i], read.end()) == poison(kGuard)) << "written past output " << i;
        read.resize(end);
      }
      outputs.push_back(std::move(read));
    }
    return outputs;
  }
};

}  // namespace seqgpu::support
