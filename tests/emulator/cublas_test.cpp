#include <cublas_v2.h>
#include <cuda_bf16.h>

#include <cmath>
#include <limits>
#include <vector>

#include "emulator/runtime_support.hpp"

namespace seqgpu::tests {
namespace {

using testing::HasSubstr;

class EmulatorCublas : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    stream_ = stream();
    ASSERT_EQ(cublasCreate(&handle_), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasSetStream(handle_, stream_), CUBLAS_STATUS_SUCCESS);
  }

  void TearDown() override {
    EXPECT_EQ(cublasDestroy(handle_), CUBLAS_STATUS_SUCCESS);
    for (void* p : memory_) cudaFree(p);
    cudaStreamDestroy(stream_);
    RuntimeTest::TearDown();
  }

  // Device memory with these values, freed with the test.
  template <class T>
  T* put(const std::vector<T>& values) {
    T* p = device<T>(values.size());
    EXPECT_EQ(cudaMemcpy(p, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    memory_.push_back(p);
    return p;
  }

  std::vector<float> get(const float* p, std::size_t count) {
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    return {p, p + count};
  }

  cublasHandle_t handle_{};
  cudaStream_t stream_{};
  std::vector<void*> memory_;
};

// Small integers: every sum is exact.
std::vector<float> integers(std::size_t count, int modulus) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(static_cast<int>(i) % modulus - modulus / 2);
  return values;
}

struct Product {
  bool transpose_a, transpose_b;
  int m, n, k, lda, ldb, ldc;

  float element(const std::vector<float>& a, const std::vector<float>& b, int i, int j) const {
    float sum = 0;
    for (int l = 0; l < k; ++l) {
      const int at = transpose_a ? l + i * lda : i + l * lda, bt = transpose_b ? j + l * ldb : l + j * ldb;
      sum += a[static_cast<std::size_t>(at)] * b[static_cast<std::size_t>(bt)];
    }
    return sum;
  }
};

cublasOperation_t operation(bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; }

TEST_F(EmulatorCublas, MultipliesEveryLayout) {
  const int m = 5, n = 7, k = 9;
  const float alpha = 2, beta = 3;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const Product product{ta, tb, m, n, k, (ta ? k : m) + 1, (tb ? n : k) + 2, m + 3};
      const auto a = integers(static_cast<std::size_t>(product.lda * (ta ? m : k)), 5);
      const auto b = integers(static_cast<std::size_t>(product.ldb * (tb ? k : n)), 7);
      const auto c = integers(static_cast<std::size_t>(product.ldc * n), 11);
      float* out = put(c);
      ASSERT_EQ(cublasSgemm(handle_, operation(ta), operation(tb), m, n, k, &alpha, put(a), product.lda, put(b),
                            product.ldb, &beta, out, product.ldc),
                CUBLAS_STATUS_SUCCESS);
      EXPECT_EQ(out[0], c[0]) << "nothing runs before the host waits";
      const std::vector<float> got = get(out, c.size());
      for (int j = 0; j < n; ++j)
        for (int i = 0; i < product.ldc; ++i) {
          const auto place = static_cast<std::size_t>(i + j * product.ldc);
          const float want = i < m ? 2 * product.element(a, b, i, j) + 3 * c[place] : c[place];
          EXPECT_EQ(got[place], want) << ta << tb << " " << i << " " << j;
        }
    }
}

TEST_F(EmulatorCublas, MultipliesBatches) {
  const int m = 2, n = 3, k = 4, batch = 3;
  const float alpha = 1, beta = 0;
  const auto a = integers(static_cast<std::size_t>(m * k), 5);
  const auto b = integers(static_cast<std::size_t>(k * n * batch), 7);
  float* out = put(std::vector<float>(static_cast<std::size_t>(m * n * batch)));
  ASSERT_EQ(cublasGemmStridedBatchedEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &alpha, put(a), CUDA_R_32F, m, 0,
                                       put(b), CUDA_R_32F, k, k * n, &beta, out, CUDA_R_32F, m, m * n, batch,
                                       CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_SUCCESS);
  const std::vector<float> got = get(out, static_cast<std::size_t>(m * n * batch));
  const Product product{false, false, m, n * batch, k, m, k, m};
  for (int j = 0; j < n * batch; ++j)
    for (int i = 0; i < m; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i + j * m)], product.element(a, b, i, j));
}

TEST_F(EmulatorCublas, MultipliesMatrixByVector) {
  const float alpha = 1, beta = 2;
  const auto a = integers(6, 5);  // [2, 3]
  const float* matrix = put(a);
  float* y = put<float>({1, -1, 1, -1, 1});
  const float* x = put<float>({1, 9, 2, 9, 3});
  ASSERT_EQ(cublasSgemv(handle_, CUBLAS_OP_N, 2, 3, &alpha, matrix, 2, x, 2, &beta, y, 1), CUBLAS_STATUS_SUCCESS);
  EXPECT_THAT(get(y, 2), testing::ElementsAre(a[0] + 2 * a[2] + 3 * a[4] + 2, a[1] + 2 * a[3] + 3 * a[5] - 2));
  const float zero = 0;
  ASSERT_EQ(cublasSgemv(handle_, CUBLAS_OP_T, 2, 3, &alpha, matrix, 2, x, 2, &zero, y, 2), CUBLAS_STATUS_SUCCESS);
  const std::vector<float> got = get(y, 5);
  for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(got[2 * j], a[2 * j] + 2 * a[2 * j + 1]);
}

TEST_F(EmulatorCublas, DoesNotReadWhatItMultipliesByZero) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), zero = 0, one = 1;
  const float* a = put<float>({nan});
  float* c = put<float>({nan});
  const float* two = put<float>({2});
  ASSERT_EQ(cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, two, 1, two, 1, &zero, c, 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(get(c, 1)[0], 4.f);
  ASSERT_EQ(cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &zero, a, 1, a, 1, &one, c, 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(get(c, 1)[0], 4.f);
  ASSERT_EQ(cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 0, &one, nullptr, 1, nullptr, 1, &zero, c, 1),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(get(c, 1)[0], 0.f);
}

TEST_F(EmulatorCublas, RoundsAsTheComputeTypeSays) {
  const float one = 1, zero = 0;
  const float value = 1 + 0x1p-9f + 0x1p-12f;  // tf32 keeps 10 bits, bf16 7
  const float* a = put<float>({value});
  const float* b = put<float>({1});
  float* c = put<float>({0});
  const auto product = [&](cublasComputeType_t compute) {
    EXPECT_EQ(cublasGemmEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a, CUDA_R_32F, 1, b, CUDA_R_32F, 1, &zero,
                           c, CUDA_R_32F, 1, compute, CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
    return get(c, 1)[0];
  };
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F), value);
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F_FAST_TF32), 1 + 0x1p-9f);
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F_FAST_16BF), 1.f);
  EXPECT_EQ(cublasSetMathMode(handle_, CUBLAS_TF32_TENSOR_OP_MATH), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F), 1 + 0x1p-9f);
  EXPECT_EQ(product(CUBLAS_COMPUTE_32F_PEDANTIC), value);
}

TEST_F(EmulatorCublas, ReadsBfloat16) {
  const float one = 1, zero = 0;
  const __nv_bfloat16* a = put<__nv_bfloat16>({1.5f, -2.f});
  const __nv_bfloat16* b = put<__nv_bfloat16>({4.f, 0.25f});
  float* c = put<float>({0});
  const auto product = [&](cudaDataType type, cublasComputeType_t compute) {
    return cublasGemmEx_64(handle_, CUBLAS_OP_T, CUBLAS_OP_N, 1, 1, 2, &one, a, CUDA_R_16BF, 2, b, type, 2, &zero, c,
                           CUDA_R_32F, 1, compute, CUBLAS_GEMM_DEFAULT);
  };
  ASSERT_EQ(product(CUDA_R_16BF, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(get(c, 1)[0], 5.5f);
  EXPECT_EQ(product(CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(product(CUDA_R_16BF, CUBLAS_COMPUTE_32F_FAST_TF32), CUBLAS_STATUS_NOT_SUPPORTED);
}

// The sum of an element has one order, whatever else is computed beside it.
TEST_F(EmulatorCublas, SumsInAFixedOrder) {
  const int k = 1000;
  const float one = 1, zero = 0;
  std::vector<float> a(static_cast<std::size_t>(33 * k)), b(static_cast<std::size_t>(k));
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = std::cos(static_cast<float>(3 * i));
  const float *pa = put(a), *pb = put(b);
  float* c = put(std::vector<float>(33));
  ASSERT_EQ(cublasSgemm(handle_, CUBLAS_OP_T, CUBLAS_OP_N, 33, 1, k, &one, pa, k, pb, k, &zero, c, 33),
            CUBLAS_STATUS_SUCCESS);
  const std::vector<float> all = get(c, 33);
  for (int i = 0; i < 33; ++i) {
    ASSERT_EQ(cublasSgemm(handle_, CUBLAS_OP_T, CUBLAS_OP_N, 1, 1, k, &one, pa + i * k, k, pb, k, &zero, c, 1),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(get(c, 1)[0], all[static_cast<std::size_t>(i)]);
  }
}

TEST_F(EmulatorCublas, RefusesWrongArguments) {
  const float one = 1;
  float* c = put<float>({0, 0, 0, 0});
  const auto product = [&](int m, int lda) {
    return cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, m, 1, 1, &one, c, lda, c, 1, &one, c, 4);
  };
  EXPECT_EQ(product(-1, 1), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(product(2, 1), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(product(0, 1), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSgemm(nullptr, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, c, 1, c, 1, &one, c, 1),
            CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(cublasSetWorkspace(handle_, c, 16), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSetWorkspace(handle_, c + 1, 12), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasSetWorkspace(handle_, c, 17), CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(EmulatorCublas, AMatrixOutsideDeviceMemoryIsAnIllegalAddress) {
  const float one = 1;
  float* c = put<float>({0, 0, 0, 0});
  EXPECT_EQ(cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 5, 1, 1, &one, c, 5, c, 1, &one, c, 5),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorIllegalAddress);
  EXPECT_THAT(cudaGetErrorString(cudaErrorIllegalAddress), HasSubstr("C is not within a live device allocation"));
  EXPECT_EQ(cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, c, 1, c, 1, &one, c, 1),
            CUBLAS_STATUS_EXECUTION_FAILED);
}

TEST_F(EmulatorCublas, IsCaptured) {
  const float one = 1;
  float* c = put<float>({1});
  const float* two = put<float>({2});
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, two, 1, two, 1, &one, c, 1),
            CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(emulator::graph_nodes(graph).at(0).label, "cublasSgemm");
  EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
  EXPECT_EQ(get(c, 1)[0], 9.f);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

TEST_F(EmulatorCublas, InjectsFaults) {
  const float one = 1;
  float* c = put<float>({1});
  emulator::fail_next("cublasSgemm", cudaErrorMemoryAllocation);
  const auto product = [&] {
    return cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, c, 1, c, 1, &one, c, 1);
  };
  EXPECT_EQ(product(), CUBLAS_STATUS_ALLOC_FAILED);
  EXPECT_EQ(product(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(emulator::calls("cublasSgemm"), 2u);
}

}  // namespace
}  // namespace seqgpu::tests
