#include "device/cuda/blas.hpp"

#include <algorithm>

#include "device/cuda/check.hpp"

namespace seqgpu::device::cuda {
namespace {

cublasComputeType_t compute_type(Precision precision) {
  switch (precision) {
    case Precision::tf32: return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::bf16: return CUBLAS_COMPUTE_32F_FAST_16BF;
    case Precision::f32: break;
  }
  return CUBLAS_COMPUTE_32F;
}

/// C = beta C.
void scale(const Queue& queue, const Gemm& g) {
  if (g.beta == 1.f) return;
  const auto clear = [&](float* from, std::int64_t count) {
    check(cudaMemsetAsync(from, 0, static_cast<std::size_t>(count) * sizeof(float), queue.stream),
          "clearing an empty product");
  };
  if (g.c_row == g.n) {
    clear(g.c, g.m * g.n);
  } else {
    for (std::int64_t row = 0; row < g.m; ++row) clear(g.c + row * g.c_row, g.n);
  }
}

}  // namespace

void gemm(const Queue& queue, const Gemm& g) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) return scale(queue, g);  // cuBLAS does not promise to accept it
  // cuBLAS stores columns one after the other, so it sees every matrix transposed: C' = B' A'.
  const float one = 1.f;
  check(cublasGemmEx_64(queue.blas->handle(), g.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                        g.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, g.n, g.m, g.k, &one, g.b, CUDA_R_32F, g.b_row, g.a,
                        CUDA_R_32F, g.a_row, &g.beta, g.c, CUDA_R_32F, g.c_row, compute_type(g.precision),
                        CUBLAS_GEMM_DEFAULT),
        "multiplying matrices");
}

}  // namespace seqgpu::device::cuda
