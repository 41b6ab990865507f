#include "device/cpu/recurrent.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "device/cpu/recurrent_backward.hpp"
#include "device/cpu/recurrent_forward.hpp"
#include "device/cpu/table.hpp"
#include "device/cpu/team.hpp"
#include "seqgpu/error.hpp"

// The two passes: parts of a batch side by side, each by a team of its own (see recurrent_plan.hpp).
namespace seqgpu::device::cpu {

namespace {

template <class Part>
using Parts = std::array<std::optional<Part>, kMostParts>;

/// body(part, chunk, phase) for all phases of all parts: phases(part) gives their number.
template <class Part, class Phases, class F>
void run_parts(Parts<Part>& parts, int count, Parallel& parallel, Phases&& phases, F&& body) {
  std::array<std::optional<Team>, kMostParts> teams;
  int chunks = 1;
  for (int part = 0; part < count; ++part) {
    chunks = std::max(chunks, parts[part]->chunks());
    teams[part].emplace(parts[part]->chunks());
  }
  parallel.for_each(std::int64_t{count} * chunks, [&](std::int64_t member) {
    const int part = static_cast<int>(member) % count, chunk = static_cast<int>(member) / count;
    if (chunk < parts[part]->chunks())
      teams[part]->join(chunk, phases(*parts[part]), [&](int c, std::int64_t phase) { body(*parts[part], c, phase); });
  });
}

/// How many threads a layer cuts its work for: the other direction, which runs meanwhile, has as many.
int threads_of(const op::RecurrentDesc& desc, const Parallel& parallel) {
  return std::max(parallel.threads() / (desc.paired ? 2 : 1), 1);
}

template <class T>
class ForwardPass {
 public:
  /// @param parts  of the batch. In inference no sum depends on it: one thread takes all at once, and reads the weights
  /// of a step once
  ForwardPass(const op::RecurrentDesc& desc, int parts, void* workspace, const void* prepared, void* reserve)
      : desc_(desc), count_(parts) {
    Carver carver{static_cast<std::byte*>(workspace)}, kept{static_cast<std::byte*>(reserve)};
    batch_ = Order::take(carver, desc);
    for (int part = 0; part < count_; ++part) parts_[part].emplace(part_of(desc, part, count_), carver, kept, prepared);
    bytes_ = std::max(carver.used, Weights<T>::scratch_bytes(desc));
  }
  std::size_t workspace_bytes() const { return bytes_; }

  void run(const Arguments& a) {
    batch_.build(in<std::int32_t>(a, op::kInLengths));
    for (int part = 0; part < count_; ++part)
      parts_[part]->begin(batch_, part, count_, std::max(threads_of(desc_, *a.parallel) / count_, 1));
    run_parts(
        parts_, count_, *a.parallel, [](const Forward<T>& part) { return part.phases(); },
        [&](Forward<T>& part, int chunk, std::int64_t phase) { part.run(chunk, phase, a); });
  }

 private:
  const op::RecurrentDesc& desc_;
  int count_;
  Order batch_;
  Parts<Forward<T>> parts_;
  std::size_t bytes_ = 0;
};

template <class T>
class BackwardPass {
 public:
  BackwardPass(const op::RecurrentDesc& desc, void* workspace, const void* reserve)
      : desc_(desc), count_(parts_of(desc)) {
    Carver carver{static_cast<std::byte*>(workspace)};
    Carver kept{static_cast<std::byte*>(const_cast<void*>(reserve))};
    batch_ = Order::take(carver, desc);
    weights_ = BackwardWeights<T>::take(carver, desc);
    if (desc.segment > 0) {
      forward_weights_ = carver.take<std::byte>(static_cast<std::int64_t>(recurrent_prepared_bytes(desc)));
      forward_scratch_ = carver.take<std::byte>(static_cast<std::int64_t>(Weights<T>::scratch_bytes(desc)));
    }
    for (int part = 0; part < count_; ++part)
      parts_[part].emplace(part_of(desc, part, count_), carver, kept, weights_, forward_weights_, part == 0);
    bytes_ = carver.used;
  }
  std::size_t workspace_bytes() const { return bytes_; }

  void run(const Arguments& a) {
    batch_.build(in<std::int32_t>(a, op::kInLengths));
    weights_.fill(desc_, a);
    const void* inputs[op::kForwardInputs];
    void* const no_outputs[op::kForwardOutputs] = {};
    std::copy_n(a.inputs, op::kForwardInputs, inputs);
    const Arguments again{inputs, no_outputs, forward_scratch_, a.parallel, a.queue, forward_weights_};
    if (desc_.segment > 0) recurrent_prepare(desc_, again);

    std::int64_t segments = 0;
    for (int part = 0; part < count_; ++part) {
      parts_[part]->begin(batch_, part, count_, std::max(threads_of(desc_, *a.parallel) / count_, 1), a);
      segments = std::max(segments, parts_[part]->segments());
    }
    for (std::int64_t segment = 0; segment < segments; ++segment)
      run_parts(
          parts_, count_, *a.parallel, [&](const Backward<T>& part) { return part.phases(segment); },
          [&](Backward<T>& part, int chunk, std::int64_t phase) { part.run(chunk, segment, phase, a, again); });
    a.parallel->for_each(count_, [&](std::int64_t part) { parts_[part]->end(a); });
    add_parts(a);
  }

 private:
  /// The sums of all parts into those of the first, which go to the caller.
  void add_parts(const Arguments& a) {
    const Sizes<T> z(desc_);
    const std::int64_t GH = z.G * z.H, valid_GH = z.G * z.valid_H;
    const auto& to = parts_[0]->sums();
    for (int part = 1; part < count_; ++part) {
      const auto& from = parts_[part]->sums();
      add(from.w_ih, valid_GH * desc_.I, to.w_ih, *a.parallel);
      add(from.w_hh, valid_GH * z.valid_R, to.w_hh, *a.parallel);
      add(from.projection, z.valid_R * z.valid_H, to.projection, *a.parallel);
      add(from.b_ih, GH, to.b_ih, *a.parallel);
      if (to.b_hh != to.b_ih) add(from.b_hh, GH, to.b_hh, *a.parallel);
      add(from.unit, z.cell.unit_parameters * z.H, to.unit, *a.parallel);
      add(from.b_projection, z.R, to.b_projection, *a.parallel);
    }
    const auto emit = [&](int slot, const T* sum, std::int64_t gates, std::int64_t valid) {
      if (T* gradient = out<T>(a, slot)) unpad_units(sum, gates, valid, 1, gradient);
    };
    emit(op::kGradBih, to.b_ih, z.G, z.valid_H);
    emit(op::kGradBhh, to.b_hh, z.G, z.valid_H);
    emit(op::kGradUnit, to.unit, z.cell.unit_parameters, z.valid_H);
    emit(op::kGradProjB, to.b_projection, 1, z.valid_R);
  }

  static void add(const T* from, std::int64_t count, T* to, Parallel& parallel) {
    constexpr std::int64_t kTile = 1 << 15;
    if (!to) return;
    parallel.for_each((count + kTile - 1) / kTile, [&](std::int64_t tile) {
      const std::int64_t last = std::min(count, (tile + 1) * kTile);
      for (std::int64_t i = tile * kTile; i < last; ++i) to[i] += from[i];
    });
  }

  const op::RecurrentDesc& desc_;
  int count_;
  Order batch_;
  BackwardWeights<T> weights_;
  std::byte *forward_weights_ = nullptr, *forward_scratch_ = nullptr;
  Parts<Backward<T>> parts_;
  std::size_t bytes_ = 0;
};

template <class T>
std::size_t reserve_bytes(const op::RecurrentDesc& desc) {
  std::size_t bytes = 0;
  const int parts = parts_of(desc);
  for (int part = 0; part < parts; ++part) bytes += Forward<T>::reserve_bytes(part_of(desc, part, parts));
  return bytes;
}

/// For any number of threads.
template <class T>
std::size_t forward_workspace(const op::RecurrentDesc& desc) {
  const auto bytes = [&](int parts) {
    return ForwardPass<T>(desc, parts, nullptr, nullptr, nullptr).workspace_bytes();
  };
  return desc.training ? bytes(parts_of(desc)) : std::max(bytes(parts_of(desc)), bytes(1));
}

template <class T>
void run_forward(const op::RecurrentDesc& desc, const Arguments& a) {
  const int parts = desc.training || threads_of(desc, *a.parallel) > 1 ? parts_of(desc) : 1;
  ForwardPass<T>(desc, parts, a.workspace, a.prepared, a.outputs[op::kOutReserve]).run(a);
}

}  // namespace

std::size_t recurrent_reserve_bytes(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? reserve_bytes<double>(desc) : reserve_bytes<float>(desc);
}

std::size_t recurrent_forward_workspace(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? forward_workspace<double>(desc) : forward_workspace<float>(desc);
}

std::size_t recurrent_backward_workspace(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? BackwardPass<double>(desc, nullptr, nullptr).workspace_bytes()
                                  : BackwardPass<float>(desc, nullptr, nullptr).workspace_bytes();
}

void recurrent_forward(const op::RecurrentDesc& desc, const Arguments& a) {
  if (desc.projection && cells::traits_of(desc.cell).reads_hidden)
    throw Error(
        ErrorCode::invalid_argument, "recurrent", "projection",
        std::string("does not fit cell ") + to_string(desc.cell) + ", which reads h unit by unit; use lstm or elman");
  desc.dtype == DType::f64 ? run_forward<double>(desc, a) : run_forward<float>(desc, a);
}

void recurrent_backward(const op::RecurrentDesc& desc, const Arguments& a) {
  if (desc.dtype == DType::f64)
    BackwardPass<double>(desc, a.workspace, a.inputs[op::kInReserve]).run(a);
  else
    BackwardPass<float>(desc, a.workspace, a.inputs[op::kInReserve]).run(a);
}

}  // namespace seqgpu::device::cpu
