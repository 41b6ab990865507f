#include "device/cpu/ctc_plan.hpp"

#include "device/cpu/table.hpp"
#include "device/input_errors.hpp"

namespace seqgpu::device::cpu {

namespace {

void check_labels(const op::CtcDesc& d, std::int64_t n, const CtcSequence& s) {
  for (std::int64_t u = 0; u < s.U; ++u) {
    const std::int64_t label = s.target[u];
    if (label < 0 || label >= d.C || label == d.blank) throw ctc_label_error(d, n, u, s.before + u, label);
  }
}

}  // namespace

void ctc_sequences(const op::CtcDesc& d, const Arguments& a, CtcSequence* sequences) {
  const auto* targets = in<std::int32_t>(a, op::kCtcTargets);
  const auto* target_lengths = in<std::int32_t>(a, op::kCtcTargetLengths);
  const auto* input_lengths = in<std::int32_t>(a, op::kCtcInputLengths);
  std::int64_t before = 0;
  for (std::int64_t n = 0; n < d.N; ++n) {
    CtcSequence s;
    s.U = target_lengths ? target_lengths[n] : d.L;
    s.frames = input_lengths ? input_lengths[n] : d.T;
    s.before = before;
    if (s.frames < 0 || s.frames > d.T) throw ctc_length_error(d, "input_lengths", n, s.frames);
    if (s.U < 0 || s.U > d.L) throw ctc_length_error(d, "target_lengths", n, s.U);
    before += s.U;
    if (d.concatenated && before > d.L) throw ctc_sum_error(d, before, n);
    s.target = targets + (d.concatenated ? s.before : n * d.L);
    check_labels(d, n, s);
    s.needed = s.U;
    for (std::int64_t u = 1; u < s.U; ++u) s.needed += s.target[u] == s.target[u - 1];
    sequences[n] = s;
  }
  if (d.concatenated && d.N > 0 && before != d.L) throw ctc_sum_error(d, before, -1);
}

}  // namespace seqgpu::device::cpu
