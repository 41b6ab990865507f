// Row-major products over cuBLAS: shapes, transposes, strides, empty ones.
#if defined(SEQGPU_TEST_EMULATED)

#include <array>
#include <random>

#include "device/cuda/blas.hpp"
#include "tests/device/cuda_launches.hpp"

namespace seqgpu::device {
namespace {

using namespace testing_support;

class CudaBlas : public CudaBackendTest {
 protected:
  /// Device memory with small integers: every product and sum of them is exact, in bf16 too.
  float* numbers(std::int64_t count, std::vector<float>& values) {
    values.resize(static_cast<std::size_t>(count));
    for (float& v : values) v = static_cast<float>(static_cast<int>(random_() % 7) - 3);
    buffers_.emplace_back(backend, count * static_cast<std::int64_t>(sizeof(float)));
    backend->upload(buffers_.back().data(), values.data(), buffers_.back().bytes());
    return reinterpret_cast<float*>(buffers_.back().data());
  }

  void expect_product(cuda::Gemm g, std::int64_t slack) {
    std::vector<float> a, b, c;
    g.a_row = (g.a_transposed ? g.m : g.k) + slack;
    g.b_row = (g.b_transposed ? g.k : g.n) + slack;
    g.c_row = g.n + slack;
    g.a = numbers((g.a_transposed ? g.k : g.m) * g.a_row, a);
    g.b = numbers((g.b_transposed ? g.n : g.k) * g.b_row, b);
    g.c = numbers(g.m * g.c_row, c);
    run(g);
    std::vector<float> got(c.size());
    backend->download(got.data(), g.c, static_cast<std::int64_t>(got.size() * sizeof(float)));
    const auto at = [](const std::vector<float>& x, std::int64_t i) { return x[static_cast<std::size_t>(i)]; };
    for (std::int64_t i = 0; i < g.m; ++i) {
      for (std::int64_t j = 0; j < g.n; ++j) {
        float sum = g.beta * at(c, i * g.c_row + j);
        for (std::int64_t k = 0; k < g.k; ++k) {
          sum += at(a, g.a_transposed ? k * g.a_row + i : i * g.a_row + k) *
                 at(b, g.b_transposed ? j * g.b_row + k : k * g.b_row + j);
        }
        c[static_cast<std::size_t>(i * g.c_row + j)] = sum;
      }
    }
    EXPECT_EQ(got, c) << g.m << " " << g.n << " " << g.k << " " << g.a_transposed << g.b_transposed << " beta "
                      << g.beta << " slack " << slack;
    buffers_.clear();
  }

  void run(const cuda::Gemm& g) {
    static const cuda::Gemm* now;
    now = &g;
    const Implementation product{"product", nullptr, nullptr, nullptr,
                                 [](const op::AnyDesc&, const Arguments& a) { gemm(cuda::queue_of(a), *now); }};
    Work work;
    work.launches = {make(product, {}, {})};
    backend->run(work);
  }

  std::vector<Buffer> buffers_;

 private:
  std::mt19937 random_{4};
};

TEST_F(CudaBlas, ProductsOfAllShapes) {
  start();
  for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16}) {
    for (const int transposed : {0, 1, 2, 3}) {
      for (const auto& [m, n, k] : {std::array{1, 1, 1}, {3, 5, 7}, {33, 8, 31}, {1, 9, 16}, {8, 1, 4}}) {
        for (const float beta : {0.f, 1.f}) {
          cuda::Gemm g{.m = m, .n = n, .k = k, .beta = beta, .precision = precision};
          g.a_transposed = (transposed & 1) != 0;
          g.b_transposed = (transposed & 2) != 0;
          expect_product(g, 0);
          expect_product(g, 3);
        }
      }
    }
  }
}

TEST_F(CudaBlas, EmptyProducts) {
  start();
  for (const float beta : {0.f, 1.f}) {
    for (const std::int64_t slack : {0, 2}) {
      expect_product({.m = 0, .n = 3, .k = 4, .beta = beta}, slack);
      expect_product({.m = 3, .n = 0, .k = 4, .beta = beta}, slack);
      expect_product({.m = 3, .n = 4, .k = 0, .beta = beta}, slack);  // beta C
    }
  }
}

// cuBLAS starts at the first product of a stream, outside any capture, and a replay needs nothing more of it.
TEST_F(CudaBlas, StartsOnceForEachStream) {
  start();
  std::vector<float> a, b, c;
  static cuda::Gemm g;
  g = {.m = 2, .n = 3, .k = 4, .a_row = 4, .b_row = 3, .c_row = 3};
  g.a = numbers(8, a);
  g.b = numbers(12, b);
  g.c = numbers(6, c);
  const Implementation product{"product", nullptr, nullptr, nullptr,
                               [](const op::AnyDesc&, const Arguments& x) { gemm(cuda::queue_of(x), g); }};
  Work work;
  work.streams = 2;
  work.launches = {make(product, {}, {}), make(product, {}, {}, 1, {0}), make(product, {}, {}, 1)};
  const std::size_t before = emulator::live().cublas_handles;
  for (int run = 0; run < 4; ++run) {
    backend->run(work);
    EXPECT_EQ(emulator::live().cublas_handles, before + 2);
  }
  buffers_.clear();
}

}  // namespace
}  // namespace seqgpu::device

#endif
