#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "device/device.hpp"
#include "tests/ctc/run.hpp"
#include "tests/device/device_under_test.hpp"

// The two CTC operations on any device, through the seam.
namespace seqgpu::ctc {

struct Wanted {
  bool training = true;  // and with it the gradient
  bool states = true;    // posteriors and alignment
  bool in_place = false;
};

/// As run() in tests/ctc/run.hpp. Outputs and workspaces hold NaNs before; a guard behind each output must stay.
inline Result<float> run_on(const Device& device, const Problem<float>& p, Wanted wanted = {}) {
  device::Backend& backend = device.backend();
  const device::OpTable& table = backend.table();
  op::CtcForwardDesc forward;
  static_cast<op::CtcDesc&>(forward) = p.desc;
  forward.training = wanted.training;
  op::CtcBackwardDesc backward;
  static_cast<op::CtcDesc&>(backward) = forward;
  const op::AnyDesc first = forward, second = backward;
  const op::CtcDesc& d = p.desc;

  std::vector<device::Buffer> buffers;
  constexpr std::size_t kGuard = 64;
  const auto memory = [&](std::size_t bytes) {
    const std::vector<std::byte> poison(bytes + kGuard, std::byte{0xff});
    buffers.emplace_back(device.share(), static_cast<std::int64_t>(poison.size()));
    backend.upload(buffers.back().data(), poison.data(), static_cast<std::int64_t>(poison.size()));
    return static_cast<void*>(buffers.back().data());
  };
  const auto upload = [&](const auto& values) -> void* {
    if (values.empty()) return nullptr;
    const std::size_t bytes = values.size() * sizeof(values[0]);
    void* to = memory(bytes);
    backend.upload(to, values.data(), static_cast<std::int64_t>(bytes));
    return to;
  };
  const auto download = [&](const void* from, auto& values) {
    const std::size_t bytes = values.size() * sizeof(values[0]);
    std::vector<std::byte> all(bytes + kGuard);
    backend.download(all.data(), from, static_cast<std::int64_t>(all.size()));
    if (bytes > 0) std::memcpy(values.data(), all.data(), bytes);
    for (std::size_t i = bytes; i < all.size(); ++i) EXPECT_EQ(all[i], std::byte{0xff}) << "written past an output";
  };
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };

  Result<float> r;
  r.loss.resize(d.reduction == op::CtcDesc::Reduction::none ? size(d.N) : 1);
  r.per_sequence.resize(size(d.N));
  r.status.resize(size(d.N));
  r.posteriors.resize(wanted.states ? size(d.T * d.N * d.C) : 0);
  r.alignment.resize(wanted.states && !d.concatenated ? size(d.T * d.N * (2 * d.L + 1)) : 0);
  r.gradient.resize(wanted.training ? size(d.T * d.N * d.C) : 0);

  const std::vector<float> ones(r.loss.size(), 1.f);
  const auto none_is_memory = [&](void* p) { return p ? p : memory(0); };
  void* x = none_is_memory(upload(p.x));
  void* targets = none_is_memory(upload(p.targets));
  const std::vector<const void*> inputs = {x, targets, upload(p.target_lengths), upload(p.input_lengths),
                                           upload(p.weights)};
  void* loss = memory(r.loss.size() * 4);
  void *each = memory(r.per_sequence.size() * 4), *status = memory(r.status.size() * 4);
  void* posteriors = wanted.states ? memory(r.posteriors.size() * 4) : nullptr;
  void* alignment = wanted.states && !d.concatenated ? memory(r.alignment.size() * 4) : nullptr;
  void* gradient = wanted.in_place ? x : memory(r.gradient.size() * 4);

  device::Work work;
  const auto add = [&](const op::AnyDesc& desc) -> device::Launch& {
    device::Launch& launch = work.launches.emplace_back();
    launch.desc = &desc;
    launch.implementation = device::choose(table, desc).implementation;
    launch.workspace = memory(launch.implementation->workspace_bytes(desc, table.limits));
    launch.inputs = inputs;
    return launch;
  };
  device::Launch& there = add(first);
  r.workspace = there.implementation->workspace_bytes(first, table.limits);
  r.reserve = wanted.training ? there.implementation->opaque_bytes(first, table.limits) : 0;
  void* kept = wanted.training ? memory(r.reserve) : nullptr;
  there.outputs = {loss, each, status, posteriors, alignment, kept};
  if (wanted.training) {
    device::Launch& back = add(second);
    back.inputs.push_back(kept);
    back.inputs.push_back(none_is_memory(upload(p.d_loss.empty() ? ones : p.d_loss)));
    back.outputs = {gradient};
  }
  backend.run(work);
  download(loss, r.loss);
  download(each, r.per_sequence);
  download(status, r.status);
  if (posteriors) download(posteriors, r.posteriors);
  if (alignment) download(alignment, r.alignment);
  if (wanted.training) download(gradient, r.gradient);
  return r;
}

inline Result<float> run_here(const Problem<float>& p, Wanted wanted = {}) {
  return run_on(device_under_test(), p, wanted);
}

/// Sequences of p in another order, or a part of them, with `more` padding of garbage.
inline Problem<float> rearranged(const Problem<float>& p, const std::vector<std::size_t>& order, std::int64_t more) {
  Problem<float> q;
  q.desc = p.desc;
  q.desc.N = static_cast<std::int64_t>(order.size());
  q.desc.T += more;
  q.desc.L += more % 300;
  const auto C = static_cast<std::size_t>(p.desc.C), L = static_cast<std::size_t>(p.desc.L);
  const auto N = static_cast<std::size_t>(p.desc.N);
  const float garbage[] = {std::nanf(""), HUGE_VALF, 7.f};
  for (std::int64_t t = 0; t < q.desc.T; ++t) {
    for (const std::size_t n : order) {
      for (std::size_t c = 0; c < C; ++c) {
        const bool valid = t < p.input_lengths[n];
        q.x.push_back(valid ? p.x[(static_cast<std::size_t>(t) * N + n) * C + c] : garbage[c % 3]);
      }
    }
  }
  for (const std::size_t n : order) {
    for (std::int64_t u = 0; u < q.desc.L; ++u) {
      q.targets.push_back(u < p.target_lengths[n] ? p.targets[n * L + static_cast<std::size_t>(u)] : -12345);
    }
    q.target_lengths.push_back(p.target_lengths[n]);
    q.input_lengths.push_back(p.input_lengths[n]);
  }
  return q;
}

/// The same with targets one after the other.
inline Problem<float> concatenated(const Problem<float>& p) {
  Problem<float> q = p;
  q.desc.concatenated = true;
  q.targets.clear();
  for (std::size_t n = 0; n < static_cast<std::size_t>(p.desc.N); ++n) {
    const auto begin = p.targets.begin() + static_cast<std::int64_t>(n) * p.desc.L;
    q.targets.insert(q.targets.end(), begin, begin + p.target_lengths[n]);
  }
  q.desc.L = static_cast<std::int64_t>(q.targets.size());
  return q;
}

}  // namespace seqgpu::ctc
