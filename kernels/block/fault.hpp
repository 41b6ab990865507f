#pragma once

// What a kernel reports when the content of its input is illegal: a length outside [0, T], a label or an id outside its
// range. Nothing on the host looks while a program runs, so the kernel notes it, goes on with a harmless value (a
// length clamped to [0, T], a label as ignored, an id as no row) and the host turns the note into an Error when the run
// ends.
namespace seqgpu::kernels {

enum class FaultyArgument : int {
  lengths,  ///< lengths [N]; the index is n
  values,   ///< labels or ids; the index is the element
};

/// Per launch: the first illegal element of each argument, as index << 32 | value; all bits set: none.
struct Fault {
  unsigned long long first[2];
  long long detail[3];  // what an operation adds to say what is wrong; one thread of a launch may write them
};

/// Where a launch reports; passed to kernels by value. Both null: nobody listens (tests of single kernels).
struct FaultSink {
  Fault* launch = nullptr;  // of this launch
  unsigned* any = nullptr;  // of the whole program: not 0 once anything was reported
};

}  // namespace seqgpu::kernels
