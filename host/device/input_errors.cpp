#include "device/input_errors.hpp"

#include <string>
#include <utility>

namespace seqgpu::device {

using std::to_string;

Error length_error(const char* operation, std::int64_t n, std::int64_t length, std::int64_t T) {
  return Error(ErrorCode::invalid_argument, operation, "lengths[" + to_string(n) + "]",
               "must be in [0, T], got " + to_string(length) + " with T=" + to_string(T));
}

Error label_error(std::int64_t classes, std::int64_t ignore_index, std::int64_t label, std::int64_t row,
                  std::int64_t N) {
  return Error(ErrorCode::invalid_argument, "cross_entropy", "labels",
               "must be in [0, " + to_string(classes) + ") or ignore_index " + to_string(ignore_index) + ", got " +
                   to_string(label) + " at step " + to_string(N ? row / N : 0) + " of sequence " +
                   to_string(N ? row % N : 0));
}

Error id_error(std::int64_t vocabulary, std::int64_t id, std::int64_t element) {
  return Error(ErrorCode::invalid_argument, "embedding", "ids",
               "must be in [0, " + to_string(vocabulary) + "), got " + to_string(id) + " at element " +
                   to_string(element) + "; map unknown words to a row of the table first");
}

namespace {

Error refuse_ctc(const op::CtcDesc& d, std::string argument, const std::string& what) {
  return Error(ErrorCode::invalid_argument, d.from_log_probs ? "ctc_loss_from_log_probs" : "ctc_loss",
               std::move(argument), what);
}

}  // namespace

Error ctc_length_error(const op::CtcDesc& d, const char* name, std::int64_t n, std::int64_t length) {
  const bool input = std::string(name) == "input_lengths";
  const std::string axis = input ? "T" : d.concatenated ? "labels" : "L";
  return refuse_ctc(
      d, name + ("[" + to_string(n) + "]"),
      "must be in [0, " + axis + "], got " + to_string(length) + " with " + axis + "=" + to_string(input ? d.T : d.L));
}

Error ctc_sum_error(const op::CtcDesc& d, std::int64_t sum, std::int64_t n) {
  return refuse_ctc(d, "target_lengths",
                    "must sum to the " + to_string(d.L) + " elements of targets, got " + to_string(sum) +
                        (n < 0 ? "" : " up to sequence " + to_string(n)));
}

Error ctc_label_error(const op::CtcDesc& d, std::int64_t n, std::int64_t u, std::int64_t at, std::int64_t label) {
  const std::string place =
      d.concatenated ? "targets[" + to_string(at) + "]" : "targets[" + to_string(n) + ", " + to_string(u) + "]";
  return refuse_ctc(d, place,
                    "must be in [0, " + to_string(d.C) + ") and not the blank " + to_string(d.blank) + ", got " +
                        to_string(label) + ": label " + to_string(u) + " of sequence " + to_string(n));
}

Error ctc_impossible_error(const op::CtcDesc& d, std::int64_t n, std::int64_t labels, std::int64_t needed,
                           std::int64_t frames) {
  return refuse_ctc(d, "targets",
                    "sequence " + to_string(n) + " is impossible: its " + to_string(labels) + " labels with " +
                        to_string(needed - labels) + " adjacent repeats need " + to_string(needed) + " frames, got " +
                        to_string(frames));
}

}  // namespace seqgpu::device
