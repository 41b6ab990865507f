#pragma once

#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <map>

#include "cuda_timer.hpp"

// The best rates of cuBLAS on this GPU, by shape, and that of a copy.
namespace seqgpu::benchmark {

/// c [m, n] = a [m, k] b [k, n], by columns, of operands that may be stored transposed; `batch` of them at once.
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0, batch = 1;
  bool transpose_a = false, transpose_b = false;
  auto operator<=>(const Gemm&) const = default;
};

struct GemmType {
  const char* name;
  cudaDataType data;
  cublasComputeType_t compute;
  int bytes;  // of an element
};
inline constexpr GemmType kGemmBf16{"bf16", CUDA_R_16BF, CUBLAS_COMPUTE_32F, 2};
inline constexpr GemmType kGemmF32{"f32", CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC, 4};
inline constexpr GemmType kGemmTf32{"tf32", CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, 4};

class GemmRates {
 public:
  GemmRates();
  GemmRates(const GemmRates&) = delete;
  GemmRates& operator=(const GemmRates&) = delete;
  ~GemmRates();

  /// Floating-point operations a microsecond, by the fastest of the algorithms that cuBLAS proposes; measured once a
  /// shape and type. @throws std::runtime_error where cuBLAS has none
  double best(const Gemm& gemm, const GemmType& type);
  /// Bytes read and written, of a copy much larger than the caches.
  double copy_gbps();

 private:
  double measure(const Gemm& gemm, const GemmType& type);
  void reserve(DeviceMemory& memory, std::size_t bytes);

  cublasLtHandle_t handle_ = nullptr;
  cudaStream_t stream_ = nullptr;
  DeviceMemory a_, b_, c_, workspace_;
  std::map<std::pair<std::string, Gemm>, double> known_;
};

}  // namespace seqgpu::benchmark
