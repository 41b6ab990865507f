#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "emulator/memory.hpp"
#include "emulator/runtime.hpp"
#include "emulator/stream.hpp"

// cuBLAS by plain loops. Each element of C is one float sum over k in ascending order, so results depend on the shape
// only; the reduced compute types round the operands first, as the tensor cores see them.

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
};

namespace emulator {
namespace {

std::vector<std::unique_ptr<cublasContext>>& handles() {
  static auto& instance = *new std::vector<std::unique_ptr<cublasContext>>;  // outlives static devices
  return instance;
}

cublasContext* find(cublasHandle_t handle) {
  for (const auto& one : handles())
    if (one.get() == handle) return handle;
  return nullptr;
}

// The frame of a function: cuBLAS answers with its own codes.
template <class Body>
cublasStatus_t blas(const char* function, Body body) {
  refuse_in_kernel(function);
  const std::lock_guard lock(runtime_mutex());
  switch (begin_call(function, Needs::healthy_device)) {
    case cudaSuccess: return body();
    case cudaErrorMemoryAllocation: return CUBLAS_STATUS_ALLOC_FAILED;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver: return CUBLAS_STATUS_NOT_INITIALIZED;
    default: return CUBLAS_STATUS_EXECUTION_FAILED;
  }
}

template <class Body>
cublasStatus_t with_handle(const char* function, cublasHandle_t handle, Body body) {
  return blas(function, [&] {
    cublasContext* context = find(handle);
    return context == nullptr ? CUBLAS_STATUS_NOT_INITIALIZED : body(*context);
  });
}

enum class Rounding { none, tf32, bf16 };

// One matrix, or the first of a batch, column-major.
struct Matrix {
  const void* data;
  cudaDataType type;
  std::int64_t leading;
  long long stride;  // elements from one of the batch to the next

  std::size_t width() const { return type == CUDA_R_32F ? 4 : 2; }
};

struct Gemm {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k, batch;
  float alpha, beta;
  Matrix a, b, c;
  Rounding rounding;
};

float load(const Matrix& matrix, std::int64_t index) {
  switch (matrix.type) {
    case CUDA_R_16BF: return static_cast<const __nv_bfloat16*>(matrix.data)[index];
    case CUDA_R_16F: return static_cast<const __half*>(matrix.data)[index];
    default: return static_cast<const float*>(matrix.data)[index];
  }
}

void store(const Matrix& matrix, std::int64_t index, float value) {
  void* data = const_cast<void*>(matrix.data);
  switch (matrix.type) {
    case CUDA_R_16BF: static_cast<__nv_bfloat16*>(data)[index] = value; break;
    case CUDA_R_16F: static_cast<__half*>(data)[index] = value; break;
    default: static_cast<float*>(data)[index] = value;
  }
}

// To 10 bits of mantissa, to nearest, ties away from zero (cvt.rna.tf32.f32).
float to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7F800000u) == 0x7F800000u) return value;
  return std::bit_cast<float>((bits + 0x1000u) & ~0x1FFFu);
}

float rounded(float value, Rounding rounding) {
  switch (rounding) {
    case Rounding::tf32: return to_tf32(value);
    case Rounding::bf16: return __nv_bfloat16(value);
    case Rounding::none: break;
  }
  return value;
}

constexpr std::int64_t kPanel = 16;  // rows of C that are summed together, in registers

// op(matrix) [rows, columns], rounded, in panels of kPanel rows: [panels, columns, kPanel], the last one filled with 0.
std::vector<float> pack_panels(const Matrix& matrix, bool transpose, std::int64_t rows, std::int64_t columns,
                               std::int64_t offset, Rounding rounding) {
  const std::int64_t panels = (rows + kPanel - 1) / kPanel;
  std::vector<float> result(static_cast<std::size_t>(panels * columns * kPanel));
  for (std::int64_t j = 0; j < columns; ++j)
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t from = transpose ? j + i * matrix.leading : i + j * matrix.leading;
      const std::int64_t to = (i / kPanel * columns + j) * kPanel + i % kPanel;
      result[static_cast<std::size_t>(to)] = rounded(load(matrix, offset + from), rounding);
    }
  return result;
}

// op(matrix) [rows, columns], rounded, column-major without gaps.
std::vector<float> pack_columns(const Matrix& matrix, bool transpose, std::int64_t rows, std::int64_t columns,
                                std::int64_t offset, Rounding rounding) {
  std::vector<float> result;
  result.reserve(static_cast<std::size_t>(rows * columns));
  for (std::int64_t j = 0; j < columns; ++j)
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t from = transpose ? j + i * matrix.leading : i + j * matrix.leading;
      result.push_back(rounded(load(matrix, offset + from), rounding));
    }
  return result;
}

// One panel of A by one column of B, summed over k in order.
struct PanelSums {
  float value[kPanel];
};
PanelSums sum_panel(const float* panel, const float* column, std::int64_t k) {
  PanelSums sums{};
  for (std::int64_t l = 0; l < k; ++l)
    for (std::int64_t i = 0; i < kPanel; ++i) sums.value[i] += panel[l * kPanel + i] * column[l];
  return sums;
}

void multiply(const Gemm& gemm, std::int64_t index) {
  const std::int64_t m = gemm.m, n = gemm.n, k = gemm.alpha == 0 ? 0 : gemm.k;  // alpha 0: A and B are not read
  const auto a = pack_panels(gemm.a, gemm.transpose_a, m, k, index * gemm.a.stride, gemm.rounding);
  const auto b = pack_columns(gemm.b, gemm.transpose_b, k, n, index * gemm.b.stride, gemm.rounding);
  for (std::int64_t j = 0; j < n; ++j) {
    const std::int64_t start = index * gemm.c.stride + j * gemm.c.leading;
    for (std::int64_t first = 0; first < m; first += kPanel) {
      const PanelSums sums = sum_panel(a.data() + first * k, b.data() + j * k, k);
      for (std::int64_t i = first; i < std::min(m, first + kPanel); ++i) {
        float value = gemm.alpha * sums.value[i - first];
        if (gemm.beta != 0) value += gemm.beta * load(gemm.c, start + i);  // beta 0: C may hold anything
        store(gemm.c, start + i, value);
      }
    }
    dev_init(static_cast<const char*>(gemm.c.data) + static_cast<std::size_t>(start) * gemm.c.width(),
             static_cast<std::size_t>(m) * gemm.c.width());
  }
}

// Is the matrix within one allocation? Checked when it runs, as the kernel of cuBLAS would fault then.
bool in_bounds(const Matrix& matrix, std::int64_t rows, std::int64_t columns, std::int64_t batch) {
  if (rows == 0 || columns == 0) return true;
  const std::int64_t elements = (batch - 1) * matrix.stride + (columns - 1) * matrix.leading + rows;
  return device_range(matrix.data, static_cast<std::size_t>(elements) * matrix.width());
}

cudaError_t run(const Gemm& gemm) {
  const bool reads = gemm.alpha != 0;
  const char* outside = nullptr;
  if (reads && !in_bounds(gemm.a, gemm.transpose_a ? gemm.k : gemm.m, gemm.transpose_a ? gemm.m : gemm.k, gemm.batch))
    outside = "A";
  if (reads && !in_bounds(gemm.b, gemm.transpose_b ? gemm.n : gemm.k, gemm.transpose_b ? gemm.k : gemm.n, gemm.batch))
    outside = "B";
  if (!in_bounds(gemm.c, gemm.m, gemm.n, gemm.batch)) outside = "C";
  if (outside != nullptr) {
    set_fault_text("cuBLAS: " + std::string(outside) + " is not within a live device allocation, m=" +
                   std::to_string(gemm.m) + " n=" + std::to_string(gemm.n) + " k=" + std::to_string(gemm.k));
    return cudaErrorIllegalAddress;
  }
  for (std::int64_t index = 0; index < gemm.batch; ++index) multiply(gemm, index);
  return cudaSuccess;
}

bool valid_operation(cublasOperation_t operation) { return operation >= CUBLAS_OP_N && operation <= CUBLAS_OP_C; }

// Types that cuBLAS multiplies with float sums.
bool supported(const Gemm& gemm, cublasComputeType_t compute) {
  if (gemm.a.type != gemm.b.type) return false;
  if (gemm.c.type != CUDA_R_32F && gemm.c.type != gemm.a.type) return false;
  switch (compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC: return true;
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32: return gemm.a.type == CUDA_R_32F;
  }
  return false;
}

Rounding rounding_of(const cublasContext& context, cublasComputeType_t compute, cudaDataType type) {
  if (type != CUDA_R_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC) return Rounding::none;
  if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) return Rounding::bf16;
  if (compute == CUBLAS_COMPUTE_32F_FAST_TF32) return Rounding::tf32;
  return (context.math & 0xF) == CUBLAS_TF32_TENSOR_OP_MATH ? Rounding::tf32 : Rounding::none;
}

cublasStatus_t start(const char* function, cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                     Gemm gemm, const void* alpha, const void* beta, cublasComputeType_t compute) {
  return with_handle(function, handle, [&](cublasContext& context) {
    gemm.transpose_a = op_a != CUBLAS_OP_N;
    gemm.transpose_b = op_b != CUBLAS_OP_N;
    const std::int64_t rows_a = gemm.transpose_a ? gemm.k : gemm.m, rows_b = gemm.transpose_b ? gemm.n : gemm.k;
    const auto too_small = [](std::int64_t leading, std::int64_t rows) {
      return leading < std::max<std::int64_t>(rows, 1);
    };
    if (!valid_operation(op_a) || !valid_operation(op_b)) return CUBLAS_STATUS_INVALID_VALUE;
    if (gemm.m < 0 || gemm.n < 0 || gemm.k < 0 || gemm.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (too_small(gemm.a.leading, rows_a) || too_small(gemm.b.leading, rows_b) || too_small(gemm.c.leading, gemm.m))
      return CUBLAS_STATUS_INVALID_VALUE;
    if (alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    if (!supported(gemm, compute)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (gemm.m == 0 || gemm.n == 0 || gemm.batch == 0) return CUBLAS_STATUS_SUCCESS;
    std::memcpy(&gemm.alpha, alpha, sizeof(float));
    std::memcpy(&gemm.beta, beta, sizeof(float));
    gemm.rounding = rounding_of(context, compute, gemm.a.type);
    const cudaError_t error = enqueue(context.stream, cudaGraphNodeTypeKernel, function, [gemm] { return run(gemm); });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}

}  // namespace

void count_cublas(Live& result) { result.cublas_handles = handles().size(); }

void reset_cublas() { handles().clear(); }

}  // namespace emulator

using namespace emulator;

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown cuBLAS status";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "the function requires an architectural feature absent from the device";
    case CUBLAS_STATUS_MAPPING_ERROR: return "an access to GPU memory space failed";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the GPU program failed to execute";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "an internal operation failed";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the functionality requested is not supported";
  }
  return "unknown cuBLAS status";
}

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  return blas("cublasCreate", [&] {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = handles().emplace_back(std::make_unique<cublasContext>()).get();
    return CUBLAS_STATUS_SUCCESS;
  });
}

// Works after a sticky error too, so that nothing leaks.
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  refuse_in_kernel("cublasDestroy");
  const std::lock_guard lock(runtime_mutex());
  if (begin_call("cublasDestroy", Needs::device) != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (find(handle) == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  std::erase_if(handles(), [&](const auto& one) { return one.get() == handle; });
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int* version) {
  return with_handle("cublasGetVersion", handle, [&](cublasContext&) {
    if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *version = 130000;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t streamId) {
  return with_handle("cublasSetStream", handle, [&](cublasContext& context) {
    if (find_stream(streamId) == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    context.stream = streamId;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* streamId) {
  return with_handle("cublasGetStream", handle, [&](cublasContext& context) {
    if (streamId == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *streamId = context.stream;
    return CUBLAS_STATUS_SUCCESS;
  });
}

// The loops need no workspace; what cuBLAS would refuse is refused.
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t workspaceSizeInBytes) {
  return with_handle("cublasSetWorkspace", handle, [&](cublasContext&) {
    if (workspace == nullptr && workspaceSizeInBytes == 0) return CUBLAS_STATUS_SUCCESS;
    if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
    return device_range(workspace, workspaceSizeInBytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return with_handle("cublasSetMathMode", handle, [&](cublasContext& context) {
    constexpr int kKnown = CUBLAS_TF32_TENSOR_OP_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    if ((static_cast<int>(mode) & ~kKnown) != 0) return CUBLAS_STATUS_INVALID_VALUE;
    context.math = mode;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  return with_handle("cublasGetMathMode", handle, [&](cublasContext& context) {
    if (mode == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *mode = context.math;
    return CUBLAS_STATUS_SUCCESS;
  });
}

// Sums have a fixed order in either mode.
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t) {
  return with_handle("cublasSetAtomicsMode", handle, [](cublasContext&) { return CUBLAS_STATUS_SUCCESS; });
}

cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                             int64_t m, int64_t n, int64_t k, const void* alpha, const void* A,
                                             cudaDataType Atype, int64_t lda, long long int strideA, const void* B,
                                             cudaDataType Btype, int64_t ldb, long long int strideB, const void* beta,
                                             void* C, cudaDataType Ctype, int64_t ldc, long long int strideC,
                                             int64_t batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t) {
  Gemm gemm{};
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.batch = batchCount;
  gemm.a = {A, Atype, lda, strideA};
  gemm.b = {B, Btype, ldb, strideB};
  gemm.c = {C, Ctype, ldc, strideC};
  return start("cublasGemmStridedBatchedEx", handle, transa, transb, gemm, alpha, beta, computeType);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                          int m, int n, int k, const void* alpha, const void* A, cudaDataType Atype,
                                          int lda, long long int strideA, const void* B, cudaDataType Btype, int ldb,
                                          long long int strideB, const void* beta, void* C, cudaDataType Ctype, int ldc,
                                          long long int strideC, int batchCount, cublasComputeType_t computeType,
                                          cublasGemmAlgo_t algo) {
  return cublasGemmStridedBatchedEx_64(handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb,
                                       strideB, beta, C, Ctype, ldc, strideC, batchCount, computeType, algo);
}

cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m,
                               int64_t n, int64_t k, const void* alpha, const void* A, cudaDataType Atype, int64_t lda,
                               const void* B, cudaDataType Btype, int64_t ldb, const void* beta, void* C,
                               cudaDataType Ctype, int64_t ldc, cublasComputeType_t computeType, cublasGemmAlgo_t) {
  Gemm gemm{};
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.batch = 1;
  gemm.a = {A, Atype, lda, 0};
  gemm.b = {B, Btype, ldb, 0};
  gemm.c = {C, Ctype, ldc, 0};
  return start("cublasGemmEx", handle, transa, transb, gemm, alpha, beta, computeType);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                            int k, const void* alpha, const void* A, cudaDataType Atype, int lda, const void* B,
                            cudaDataType Btype, int ldb, const void* beta, void* C, cudaDataType Ctype, int ldc,
                            cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
  return cublasGemmEx_64(handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc,
                         computeType, algo);
}

cublasStatus_t cublasSgemm_v2_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m,
                                 int64_t n, int64_t k, const float* alpha, const float* A, int64_t lda, const float* B,
                                 int64_t ldb, const float* beta, float* C, int64_t ldc) {
  Gemm gemm{};
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.batch = 1;
  gemm.a = {A, CUDA_R_32F, lda, 0};
  gemm.b = {B, CUDA_R_32F, ldb, 0};
  gemm.c = {C, CUDA_R_32F, ldc, 0};
  return start("cublasSgemm", handle, transa, transb, gemm, alpha, beta, CUBLAS_COMPUTE_32F);
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                              int k, const float* alpha, const float* A, int lda, const float* B, int ldb,
                              const float* beta, float* C, int ldc) {
  return cublasSgemm_v2_64(handle, transa, transb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                         int m, int n, int k, const float* alpha, const float* A, int lda,
                                         long long int strideA, const float* B, int ldb, long long int strideB,
                                         const float* beta, float* C, int ldc, long long int strideC, int batchCount) {
  Gemm gemm{};
  gemm.m = m;
  gemm.n = n;
  gemm.k = k;
  gemm.batch = batchCount;
  gemm.a = {A, CUDA_R_32F, lda, strideA};
  gemm.b = {B, CUDA_R_32F, ldb, strideB};
  gemm.c = {C, CUDA_R_32F, ldc, strideC};
  return start("cublasSgemmStridedBatched", handle, transa, transb, gemm, alpha, beta, CUBLAS_COMPUTE_32F);
}

// y as one row of C, x as one row of op(B): their increments are the leading dimensions.
cublasStatus_t cublasSgemv_v2_64(cublasHandle_t handle, cublasOperation_t trans, int64_t m, int64_t n,
                                 const float* alpha, const float* A, int64_t lda, const float* x, int64_t incx,
                                 const float* beta, float* y, int64_t incy) {
  if (incx <= 0 || incy <= 0) return incx == 0 || incy == 0 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_NOT_SUPPORTED;
  const bool transpose = trans != CUBLAS_OP_N;
  Gemm gemm{};
  gemm.m = 1;
  gemm.n = transpose ? n : m;
  gemm.k = transpose ? m : n;
  gemm.batch = 1;
  gemm.a = {x, CUDA_R_32F, incx, 0};
  gemm.b = {A, CUDA_R_32F, lda, 0};
  gemm.c = {y, CUDA_R_32F, incy, 0};
  return start("cublasSgemv", handle, CUBLAS_OP_N, transpose ? CUBLAS_OP_N : CUBLAS_OP_T, gemm, alpha, beta,
               CUBLAS_COMPUTE_32F);
}

cublasStatus_t cublasSgemv_v2(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const float* alpha,
                              const float* A, int lda, const float* x, int incx, const float* beta, float* y,
                              int incy) {
  return cublasSgemv_v2_64(handle, trans, m, n, alpha, A, lda, x, incx, beta, y, incy);
}
