#include "gemm_rates.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "benchmarks/support/random_data.hpp"

namespace seqgpu::benchmark {

namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;
constexpr std::size_t kPattern = std::size_t{1} << 20;  // random bytes, repeated
constexpr int kProposals = 8;

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string(what) + ": " + cublasLtGetStatusString(status));
}

/// A cuBLASLt object that destroys itself.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
struct Owned {
  Handle handle = nullptr;
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (handle) destroy(handle);
  }
};

struct Layout : Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> {
  Layout(const GemmType& type, std::int64_t rows, std::int64_t columns, std::int64_t batch) {
    check(cublasLtMatrixLayoutCreate(&handle, type.data, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), rows),
          "cublasLtMatrixLayoutCreate");
    const auto count = static_cast<std::int32_t>(batch);
    const std::int64_t stride = rows * columns;
    check(cublasLtMatrixLayoutSetAttribute(handle, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
          "CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT");
    check(cublasLtMatrixLayoutSetAttribute(handle, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
          "CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET");
  }
};

/// Microseconds a call of `body`, of the best of three rounds of calls that are enqueued at once.
template <class Body>
double microseconds_of(cudaStream_t stream, Body&& body) {
  Event begin, end;
  const auto round = [&](int calls) {
    begin.record(stream);
    for (int i = 0; i < calls; ++i) body();
    end.record(stream);
    seqgpu::benchmark::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return end.microseconds_since(begin) / calls;
  };
  round(2);
  const int calls = std::clamp(static_cast<int>(300 / std::max(round(1), 0.1)), 1, 100);
  double best = round(calls);
  for (int i = 0; i < 2; ++i) best = std::min(best, round(calls));
  return best;
}

}  // namespace

GemmRates::GemmRates() : workspace_(kWorkspace) {
  check(cublasLtCreate(&handle_), "cublasLtCreate");
  seqgpu::benchmark::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

GemmRates::~GemmRates() {
  if (stream_) cudaStreamDestroy(stream_);
  if (handle_) cublasLtDestroy(handle_);
}

// Zeros would let the chip run cooler, and so faster. The bytes are numbers of U(-1, 1) in bf16, two of which also make
// one of f32.
void GemmRates::reserve(DeviceMemory& memory, std::size_t bytes) {
  if (memory.bytes() >= bytes) return;
  memory = DeviceMemory();
  memory = DeviceMemory((bytes + kPattern - 1) / kPattern * kPattern);
  std::vector<std::uint16_t> pattern;
  for (const float v : random_values("gemm", kPattern / sizeof(std::uint16_t))) {
    std::uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    pattern.push_back(static_cast<std::uint16_t>(bits >> 16));
  }
  for (std::size_t at = 0; at < memory.bytes(); at += kPattern) {
    seqgpu::benchmark::check(
        cudaMemcpy(memory.data<std::byte>() + at, pattern.data(), kPattern, cudaMemcpyHostToDevice), "cudaMemcpy");
  }
}

double GemmRates::best(const Gemm& gemm, const GemmType& type) {
  const auto key = std::make_pair(std::string(type.name), gemm);
  const auto found = known_.find(key);
  if (found != known_.end()) return found->second;
  const double flops = 2.0 * static_cast<double>(gemm.m) * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) *
                       static_cast<double>(gemm.batch);
  return known_[key] = flops / measure(gemm, type);
}

double GemmRates::measure(const Gemm& gemm, const GemmType& type) {
  const auto bytes = [&](std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns * gemm.batch * type.bytes);
  };
  reserve(a_, bytes(gemm.m, gemm.k));
  reserve(b_, bytes(gemm.k, gemm.n));
  reserve(c_, bytes(gemm.m, gemm.n));
  const auto layout = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
    return Layout(type, transposed ? columns : rows, transposed ? rows : columns, gemm.batch);
  };
  const Layout a = layout(gemm.m, gemm.k, gemm.transpose_a), b = layout(gemm.k, gemm.n, gemm.transpose_b),
               c = layout(gemm.m, gemm.n, false);

  Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> product;
  check(cublasLtMatmulDescCreate(&product.handle, type.compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
  const cublasOperation_t of_a = gemm.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                          of_b = gemm.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(cublasLtMatmulDescSetAttribute(product.handle, CUBLASLT_MATMUL_DESC_TRANSA, &of_a, sizeof of_a), "TRANSA");
  check(cublasLtMatmulDescSetAttribute(product.handle, CUBLASLT_MATMUL_DESC_TRANSB, &of_b, sizeof of_b), "TRANSB");
  Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  check(cublasLtMatmulPreferenceCreate(&preference.handle), "cublasLtMatmulPreferenceCreate");
  check(cublasLtMatmulPreferenceSetAttribute(preference.handle, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspace,
                                             sizeof kWorkspace),
        "CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES");

  std::array<cublasLtMatmulHeuristicResult_t, kProposals> proposals{};
  int count = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle_, product.handle, a.handle, b.handle, c.handle, c.handle,
                                       preference.handle, kProposals, proposals.data(), &count),
        "cublasLtMatmulAlgoGetHeuristic");
  const float one = 1, zero = 0;
  double best = 0;
  std::string refused = "cuBLAS proposes no algorithm";
  for (int i = 0; i < count; ++i) {
    const auto multiply = [&] {
      check(cublasLtMatmul(handle_, product.handle, &one, a_.data(), a.handle, b_.data(), b.handle, &zero, c_.data(),
                           c.handle, c_.data(), c.handle, &proposals[static_cast<std::size_t>(i)].algo,
                           workspace_.data(), workspace_.bytes(), stream_),
            "cublasLtMatmul");
    };
    try {
      const double us = microseconds_of(stream_, multiply);
      best = best == 0 ? us : std::min(best, us);
    } catch (const std::exception& error) {  // one algorithm that it then refuses must not cost the others
      refused = error.what();
    }
  }
  if (best == 0) throw std::runtime_error(refused);
  return best;
}

double GemmRates::copy_gbps() {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  reserve(a_, kBytes);
  reserve(c_, kBytes);
  const double us = microseconds_of(stream_, [&] {
    seqgpu::benchmark::check(cudaMemcpyAsync(c_.data(), a_.data(), kBytes, cudaMemcpyDeviceToDevice, stream_),
                             "cudaMemcpyAsync");
  });
  return 2.0 * static_cast<double>(kBytes) / us * 1e-3;
}

}  // namespace seqgpu::benchmark
