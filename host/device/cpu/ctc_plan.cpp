#include "device/cpu/ctc_plan.hpp"

#include <string>

#include "device/cpu/table.hpp"

namespace seqgpu::device::cpu {

using std::to_string;

namespace {

Error refuse(const op::CtcDesc& d, std::string argument, const std::string& what) {
  return Error(ErrorCode::invalid_argument, d.from_log_probs ? "ctc_loss_from_log_probs" : "ctc_loss",
               std::move(argument), what);
}

void check_length(const op::CtcDesc& d, const char* name, std::int64_t n, std::int64_t length, std::int64_t most,
                  const char* axis) {
  if (length >= 0 && length <= most) return;
  throw refuse(
      d, std::string(name) + "[" + to_string(n) + "]",
      std::string("must be in [0, ") + axis + "], got " + to_string(length) + " with " + axis + "=" + to_string(most));
}

void check_labels(const op::CtcDesc& d, std::int64_t n, const CtcSequence& s) {
  for (std::int64_t u = 0; u < s.U; ++u) {
    const std::int64_t label = s.target[u];
    if (label >= 0 && label < d.C && label != d.blank) continue;
    const std::string place = d.concatenated ? "targets[" + to_string(s.before + u) + "]"
                                             : "targets[" + to_string(n) + ", " + to_string(u) + "]";
    throw refuse(d, place,
                 "must be in [0, " + to_string(d.C) + ") and not the blank " + to_string(d.blank) + ", got " +
                     to_string(label) + ": label " + to_string(u) + " of sequence " + to_string(n));
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
    check_length(d, "input_lengths", n, s.frames, d.T, "T");
    check_length(d, "target_lengths", n, s.U, d.L, d.concatenated ? "labels" : "L");
    before += s.U;
    if (d.concatenated && before > d.L) {
      throw refuse(d, "target_lengths",
                   "must sum to the " + to_string(d.L) + " elements of targets, got " + to_string(before) +
                       " up to sequence " + to_string(n));
    }
    s.target = targets + (d.concatenated ? s.before : n * d.L);
    check_labels(d, n, s);
    s.needed = s.U;
    for (std::int64_t u = 1; u < s.U; ++u) s.needed += s.target[u] == s.target[u - 1];
    sequences[n] = s;
  }
  if (d.concatenated && d.N > 0 && before != d.L) {
    throw refuse(d, "target_lengths",
                 "must sum to the " + to_string(d.L) + " elements of targets, got " + to_string(before));
  }
}

Error ctc_impossible_error(const op::CtcDesc& d, std::int64_t n, const CtcSequence& s) {
  const std::int64_t repeats = s.needed - s.U;
  return refuse(d, "targets",
                "sequence " + to_string(n) + " is impossible: its " + to_string(s.U) + " labels with " +
                    to_string(repeats) + " adjacent repeats need " + to_string(s.needed) + " frames, got " +
                    to_string(s.frames));
}

}  // namespace seqgpu::device::cpu
