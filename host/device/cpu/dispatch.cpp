#include "device/cpu/dispatch.hpp"

#include <atomic>
#include <cstring>

namespace seqgpu::device::cpu {

namespace baseline {
extern const GemmKernels<float> kGemmF32;
extern const GemmKernels<double> kGemmF64;
extern const RecurrentKernels<float> kRecurrentF32;
extern const RecurrentKernels<double> kRecurrentF64;
extern const ElementwiseKernels<float> kElementwiseF32;
extern const ElementwiseKernels<double> kElementwiseF64;
extern const CtcKernels<float> kCtcF32;
extern const CtcKernels<double> kCtcF64;
}  // namespace baseline

#if defined(SEQGPU_SIMD_X86)
namespace avx2 {
extern const GemmKernels<float> kGemmF32;
extern const GemmKernels<double> kGemmF64;
extern const RecurrentKernels<float> kRecurrentF32;
extern const RecurrentKernels<double> kRecurrentF64;
extern const ElementwiseKernels<float> kElementwiseF32;
extern const ElementwiseKernels<double> kElementwiseF64;
extern const CtcKernels<float> kCtcF32;
extern const CtcKernels<double> kCtcF64;
}  // namespace avx2
namespace avx512 {
extern const GemmKernels<float> kGemmF32;
extern const GemmKernels<double> kGemmF64;
extern const RecurrentKernels<float> kRecurrentF32;
extern const RecurrentKernels<double> kRecurrentF64;
extern const ElementwiseKernels<float> kElementwiseF32;
extern const ElementwiseKernels<double> kElementwiseF64;
extern const CtcKernels<float> kCtcF32;
extern const CtcKernels<double> kCtcF64;
}  // namespace avx512

namespace avx512bf16 {
extern const GemmKernels<float> kGemmF32;
extern const RecurrentKernels<float> kRecurrentF32;
}  // namespace avx512bf16
#endif

namespace {

// Narrowest first.
const SimdKernels kTables[] = {
    {"baseline", &baseline::kGemmF32, &baseline::kGemmF64, &baseline::kRecurrentF32, &baseline::kRecurrentF64,
     &baseline::kElementwiseF32, &baseline::kElementwiseF64, &baseline::kCtcF32, &baseline::kCtcF64},
#if defined(SEQGPU_SIMD_X86)
    {"avx2", &avx2::kGemmF32, &avx2::kGemmF64, &avx2::kRecurrentF32, &avx2::kRecurrentF64, &avx2::kElementwiseF32,
     &avx2::kElementwiseF64, &avx2::kCtcF32, &avx2::kCtcF64},
    {"avx512", &avx512::kGemmF32, &avx512::kGemmF64, &avx512::kRecurrentF32, &avx512::kRecurrentF64,
     &avx512::kElementwiseF32, &avx512::kElementwiseF64, &avx512::kCtcF32, &avx512::kCtcF64},
    {"avx512bf16", &avx512::kGemmF32, &avx512::kGemmF64, &avx512::kRecurrentF32, &avx512::kRecurrentF64,
     &avx512::kElementwiseF32, &avx512::kElementwiseF64, &avx512::kCtcF32, &avx512::kCtcF64, &avx512bf16::kGemmF32,
     &avx512bf16::kRecurrentF32},
#endif
};

bool has(const char* name) {
#if defined(SEQGPU_SIMD_X86)
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (std::strcmp(name, "avx2") == 0) return v3;
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (std::strcmp(name, "avx512") == 0) return v4;
  if (std::strcmp(name, "avx512bf16") == 0) return v4 && __builtin_cpu_supports("avx512bf16");
#endif
  return std::strcmp(name, "baseline") == 0;
}

const SimdKernels* widest() {
  const SimdKernels* best = &kTables[0];
  for (const SimdKernels& table : kTables)
    if (has(table.name)) best = &table;
  return best;
}

std::atomic<const SimdKernels*>& chosen() {
  static std::atomic<const SimdKernels*> table{widest()};
  return table;
}

}  // namespace

const SimdKernels& simd() { return *chosen().load(std::memory_order_relaxed); }
const char* simd_name() { return simd().name; }

bool set_simd_limit(const char* name) {
  if (*name == '\0') {
    chosen() = widest();
    return true;
  }
  for (const SimdKernels& table : kTables) {
    if (std::strcmp(table.name, name) != 0 || !has(name)) continue;
    chosen() = &table;
    return true;
  }
  return false;
}

}  // namespace seqgpu::device::cpu
