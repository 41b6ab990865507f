#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "device/cpu/table.hpp"
#include "tests/reference/ctc.hpp"
#include "tests/support/serial_parallel.hpp"

// The CPU's two CTC operations called by themselves, with every output asked for.
namespace seqgpu::ctc {

using Ints32 = std::vector<std::int32_t>;

template <class T>
struct Problem {
  op::CtcDesc desc;
  std::vector<T> x;  // [T, N, C]
  Ints32 targets, target_lengths, input_lengths;
  std::vector<T> weights, d_loss;  // d_loss empty: ones
};

template <class T>
struct Result {
  std::vector<T> loss, per_sequence, posteriors, alignment, gradient;
  Ints32 status;
  std::size_t workspace = 0, reserve = 0;
};

/// 64-byte aligned memory filled with 0xFF: NaNs that show what was not written.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : storage_(bytes + 64, std::byte{0xFF}) {}
  std::byte* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(storage_.data());
    return storage_.data() + ((at + 63) / 64 * 64 - at);
  }

 private:
  std::vector<std::byte> storage_;
};

enum class Gradient : std::uint8_t { apart, in_place };

template <class T>
Result<T> run(const Problem<T>& p, device::Parallel& parallel, bool states = true, Gradient place = Gradient::apart) {
  const device::OpTable& table = device::cpu::table();
  op::CtcForwardDesc forward;
  static_cast<op::CtcDesc&>(forward) = p.desc;
  forward.dtype = sizeof(T) == 4 ? DType::f32 : DType::f64;
  forward.training = true;
  op::CtcBackwardDesc backward;
  static_cast<op::CtcDesc&>(backward) = forward;
  const auto& first = table.rows[op::AnyDesc(forward).index()].front();
  const auto& second = table.rows[op::AnyDesc(backward).index()].front();

  Result<T> r;
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  const T nan = std::numeric_limits<T>::quiet_NaN();
  const op::CtcDesc& d = p.desc;
  const bool each = d.reduction == op::CtcDesc::Reduction::none;
  r.loss.assign(each ? size(d.N) : 1, nan);
  r.per_sequence.assign(size(d.N), nan);
  r.status.assign(size(d.N), -7);
  r.posteriors.assign(states ? size(d.T * d.N * d.C) : 0, nan);
  r.alignment.assign(states && !d.concatenated ? size(d.T * d.N * (2 * d.L + 1)) : 0, nan);
  r.gradient.assign(size(d.T * d.N * d.C), nan);
  const device::Limits limits;
  r.workspace = first.workspace_bytes(forward, limits);
  r.reserve = first.opaque_bytes(forward, limits);
  Memory workspace(r.workspace), reserve(r.reserve), scales(second.workspace_bytes(backward, limits));
  const auto or_null = [](const auto& v) -> const void* { return v.empty() ? nullptr : v.data(); };
  const std::vector<T> ones(r.loss.size(), T(1));
  const void* inputs[op::kCtcBackwardInputs] = {p.x.data(),
                                                p.targets.data(),
                                                or_null(p.target_lengths),
                                                or_null(p.input_lengths),
                                                or_null(p.weights),
                                                reserve.data(),
                                                p.d_loss.empty() ? ones.data() : p.d_loss.data()};
  void* outputs[op::kCtcForwardOutputs] = {r.loss.data(),
                                           r.per_sequence.data(),
                                           r.status.data(),
                                           states ? r.posteriors.data() : nullptr,
                                           r.alignment.empty() ? nullptr : r.alignment.data(),
                                           reserve.data()};
  first.launch(forward, {inputs, outputs, workspace.data(), &parallel});
  if (place == Gradient::in_place) {
    r.gradient = p.x;
    inputs[op::kCtcX] = r.gradient.data();
  }
  void* gradient[] = {r.gradient.data()};
  second.launch(backward, {inputs, gradient, scales.data(), &parallel});
  return r;
}

template <class T>
Result<T> run(const Problem<T>& p, bool states = true) {
  support::SerialParallel parallel;
  return run(p, parallel, states);
}

/// With the gradient written over the inputs.
template <class T>
Result<T> run_in_place(const Problem<T>& p) {
  support::SerialParallel parallel;
  return run(p, parallel, true, Gradient::in_place);
}

/// N(0, scale) logits that f32 holds, targets of exactly U labels.
template <class T>
Problem<T> random_problem(std::int64_t frames, std::int64_t N, std::int64_t C, std::int64_t U, unsigned seed,
                          double scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, scale);
  Problem<T> p;
  p.desc.T = frames, p.desc.N = N, p.desc.C = C, p.desc.L = U;
  p.desc.reduction = op::CtcDesc::Reduction::none;
  for (std::int64_t i = 0; i < frames * N * C; ++i) p.x.push_back(static_cast<T>(static_cast<float>(normal(random))));
  for (std::int64_t i = 0; i < N * U; ++i) {
    p.targets.push_back(static_cast<std::int32_t>(1 + random() % static_cast<unsigned>(C - 1)));
  }
  return p;
}

/// Sequence n from the equations, in double.
template <class T>
reference::Ctc expected(const Problem<T>& p, std::int64_t n) {
  const op::CtcDesc& d = p.desc;
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t frames = p.input_lengths.empty() ? d.T : p.input_lengths[at(n)];
  std::int64_t begin = d.concatenated ? 0 : n * d.L;
  for (std::int64_t i = 0; d.concatenated && i < n; ++i) begin += p.target_lengths[at(i)];
  const std::int64_t U = p.target_lengths.empty() ? d.L : p.target_lengths[at(n)];
  const reference::Ints target(p.targets.begin() + begin, p.targets.begin() + begin + U);
  reference::Doubles x;
  for (std::int64_t t = 0; t < frames; ++t) {
    for (std::int64_t c = 0; c < d.C; ++c) x.push_back(static_cast<double>(p.x[at((t * d.N + n) * d.C + c)]));
  }
  return reference::ctc(d.from_log_probs ? x : reference::ctc_log_softmax(x, d.C), frames, d.C, target, d.blank);
}

struct Errors {
  double loss = 0, gradient = 0, posteriors = 0, alignment = 0;
};
/// The largest differences from the equations, with unit weights; the loss's is relative to max(1, loss).
template <class T>
Errors errors(const Problem<T>& p, const Result<T>& got) {
  Errors e;
  const op::CtcDesc& d = p.desc;
  const auto note = [](double& worst, double value, double want) {
    const double error = std::isinf(want) && value == want ? 0 : std::abs(value - want);
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  };
  for (std::int64_t n = 0; n < d.N; ++n) {
    const reference::Ctc want = expected(p, n);
    const auto frames = static_cast<std::int64_t>(want.posteriors.size()) / d.C;
    const std::int64_t S = frames ? static_cast<std::int64_t>(want.alignment.size()) / frames : 0;
    const double scale = std::isinf(want.loss) ? 1 : std::max(1.0, want.loss);
    note(e.loss, static_cast<double>(got.per_sequence[static_cast<std::size_t>(n)]) / scale, want.loss / scale);
    for (std::int64_t t = 0; t < d.T; ++t) {
      for (std::int64_t c = 0; c < d.C; ++c) {
        const auto from = static_cast<std::size_t>(t * d.C + c), to = static_cast<std::size_t>((t * d.N + n) * d.C + c);
        const bool valid = t < frames;
        const auto& by = d.from_log_probs ? want.by_log_prob : want.by_logit;
        note(e.gradient, static_cast<double>(got.gradient[to]), valid ? by[from] : 0);
        if (got.posteriors.empty()) continue;
        note(e.posteriors, static_cast<double>(got.posteriors[to]), valid ? want.posteriors[from] : 0);
      }
      if (got.alignment.empty()) continue;
      for (std::int64_t s = 0; s < 2 * d.L + 1; ++s) {
        const auto to = static_cast<std::size_t>((t * d.N + n) * (2 * d.L + 1) + s);
        const double value = t < frames && s < S ? want.alignment[static_cast<std::size_t>(t * S + s)] : 0;
        note(e.alignment, static_cast<double>(got.alignment[to]), value);
      }
    }
  }
  return e;
}

}  // namespace seqgpu::ctc
