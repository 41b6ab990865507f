#include "device/input_errors.hpp"

#include <string>

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

}  // namespace seqgpu::device
