#include "device/cuda/faults.hpp"

#include <string>

#include "device/input_errors.hpp"
#include "kernels/ctc/launch.hpp"

namespace seqgpu::device::cuda {
namespace {

struct Note {
  std::int64_t index, value;
};
Note unpack(unsigned long long packed) {
  return {static_cast<std::int64_t>(packed >> 32), static_cast<std::int32_t>(packed & 0xffffffffu)};
}

std::int64_t steps(std::int64_t rows, std::int64_t n) { return n ? rows / n : 0; }

/// CTC's details, as kernels/ctc/launch.hpp has them.
Error ctc_error(const op::CtcDesc& d, kernels::CtcFault kind, std::int64_t n, const long long (&detail)[3]) {
  switch (kind) {
    case kernels::CtcFault::input_length: return ctc_length_error(d, "input_lengths", n, detail[0]);
    case kernels::CtcFault::target_length: return ctc_length_error(d, "target_lengths", n, detail[0]);
    case kernels::CtcFault::too_many: return ctc_sum_error(d, detail[0], n);
    case kernels::CtcFault::too_few: return ctc_sum_error(d, detail[0], -1);
    case kernels::CtcFault::label: return ctc_label_error(d, n, detail[0], detail[2], detail[1]);
    case kernels::CtcFault::impossible: return ctc_impossible_error(d, n, detail[0], detail[1], detail[2]);
    case kernels::CtcFault::none: break;
  }
  return Error(ErrorCode::internal, "ctc", "", "reported an illegal input of no known kind");
}

/// Says what each operation says of an argument that it checks; null where it checks none.
struct Describe {
  kernels::FaultyArgument argument;
  Note note;
  const kernels::Fault& fault;

  Error operator()(const op::GatherDesc& d) const { return id_error(d.vocabulary, note.value, note.index); }
  Error operator()(const op::GatherBackwardDesc& d) const { return id_error(d.vocabulary, note.value, note.index); }
  Error operator()(const op::CrossEntropyDesc& d) const { return cross_entropy(d.rows, d.N, d.K, d.ignore_index); }
  Error operator()(const op::CrossEntropyBackwardDesc& d) const {
    return cross_entropy(d.rows, d.N, d.K, d.ignore_index);
  }
  Error operator()(const op::SquaredErrorDesc& d) const { return lengths("mean_squared_error", steps(d.rows, d.N)); }
  Error operator()(const op::SquaredErrorBackwardDesc& d) const {
    return lengths("mean_squared_error", steps(d.rows, d.N));
  }
  Error operator()(const op::WindowDesc& d) const { return lengths("context_window", d.T); }
  Error operator()(const op::WindowBackwardDesc& d) const { return lengths("context_window", d.T); }
  Error operator()(const op::RecurrentForwardDesc& d) const { return lengths("recurrent", d.T); }
  Error operator()(const op::RecurrentBackwardDesc& d) const { return lengths("recurrent", d.T); }
  Error operator()(const op::CtcForwardDesc& d) const {
    return ctc_error(d, static_cast<kernels::CtcFault>(note.value), note.index, fault.detail);
  }
  template <class D>
  Error operator()(const D& d) const {
    return Error(ErrorCode::internal, op::name_of(d), "",
                 "reported illegal input, which it does not check: " + std::to_string(note.value) + " at " +
                     std::to_string(note.index));
  }

 private:
  Error lengths(const char* operation, std::int64_t T) const {
    return length_error(operation, note.index, note.value, T);
  }
  Error cross_entropy(std::int64_t rows, std::int64_t n, std::int64_t classes, std::int64_t ignore_index) const {
    if (argument == kernels::FaultyArgument::lengths) return lengths("cross_entropy", steps(rows, n));
    return label_error(classes, ignore_index, note.value, note.index, n);
  }
};

}  // namespace

Error input_error(const std::vector<Launch>& launches, const std::vector<kernels::Fault>& faults) {
  for (std::size_t i = 0; i < launches.size() && i < faults.size(); ++i) {
    for (const auto argument : {kernels::FaultyArgument::lengths, kernels::FaultyArgument::values}) {
      const unsigned long long packed = faults[i].first[static_cast<int>(argument)];
      if (packed != kNoFault) return std::visit(Describe{argument, unpack(packed), faults[i]}, *launches[i].desc);
    }
  }
  return Error(ErrorCode::internal, "run", "", "a kernel reported illegal input, but none is noted");
}

}  // namespace seqgpu::device::cuda
