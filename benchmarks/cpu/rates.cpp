#include "rates.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "benchmarks/support/contestant.hpp"
#include "benchmarks/support/gates.hpp"
#include "packed_product.hpp"

#ifdef SEQGPU_BENCH_OPENBLAS
#include <cblas.h>
#endif
#ifdef SEQGPU_BENCH_DNNL
#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace seqgpu::benchmark {
namespace {

constexpr double kEnough = 0.02;  // seconds to spend on a candidate, at least

/// Seconds of one of many runs: the fastest of several batches. @param body  runs n times
double fastest(Clock clock, const std::function<void(int)>& body) {
  body(1);
  const double once = seconds_of(clock, [&] { body(1); });
  const int runs = std::max(1, static_cast<int>(kEnough / 4 / std::max(once, 1e-8)));
  double best = 1e30, spent = 0;
  for (int batch = 0; batch < 3 || (spent < kEnough && batch < 12); ++batch) {
    const double seconds = seconds_of(clock, [&] { body(runs); });
    best = std::min(best, seconds / runs);
    spent += seconds;
  }
  return best;
}

/// How threads share a product: rows need not wait for each other from step to step, columns do; `whole` gives each
/// thread a product of its own.
enum class Split { rows, columns, whole };
constexpr std::pair<Split, const char*> kSplits[] = {
    {Split::rows, "rows"}, {Split::columns, "columns"}, {Split::whole, "one each"}};

struct Share {
  std::ptrdiff_t begin, end;
};
Share share(std::ptrdiff_t count, int thread, int threads) {
  return {count * thread / threads, count * (thread + 1) / threads};
}

class Candidates {
 public:
  Candidates(const Product& p, int threads, int together, Clock clock)
      : p_(p),
        threads_(threads),
        together_(together),
        clock_(clock),
        a_(random_values("a", static_cast<std::size_t>(p.m * p.k))),
        b_(random_values("b", static_cast<std::size_t>(p.k * p.n))),
        c_(static_cast<std::size_t>(threads), std::vector<float>(static_cast<std::size_t>(p.m * p.n))) {}

  Rate best() {
    for (const auto& [split, name] : kSplits) {
      if (split == Split::rows && p_.m < threads_) continue;
      if (split == Split::whole && (threads_ == 1 || together_ < threads_)) continue;
      if (split != Split::rows && threads_ == 1) continue;  // the same
      const std::string how = threads_ == 1 ? "" : std::string(", ") + name;
      openblas(split, "OpenBLAS" + how);
      if (!p_.transposed_a) packed(split, "packed" + how);
    }
    onednn();
    return best_;
  }

 private:
  void note(double seconds, double products, const std::string& name) {
    const double flops = 2.0 * static_cast<double>(p_.m * p_.n) * static_cast<double>(p_.k) * products / seconds;
    if (flops > best_.flops) best_ = {flops, name};
  }

  /// body(thread, rows, columns) on each thread's share, many times.
  template <class Body>
  void split_and_time(Split split, std::ptrdiff_t columns, const std::string& name, Body&& body) {
    const double seconds = fastest(clock_, [&](int runs) {
#pragma omp parallel num_threads(threads_)
      {
        const int t = omp_get_thread_num();
        const Share rows = split == Split::rows ? share(p_.m, t, threads_) : Share{0, p_.m};
        const Share mine = split == Split::columns ? share(columns, t, threads_) : Share{0, columns};
        for (int r = 0; r < runs; ++r) {
          body(t, rows, mine);
          if (split == Split::columns) {
#pragma omp barrier
          }
        }
      }
    });
    note(seconds, split == Split::whole ? threads_ : 1, name);
  }

  void packed(Split split, const std::string& name) {
    const PackedProduct product(b_.data(), p_.n, p_.k);
    split_and_time(split, product.panels(), name, [&](int t, const Share& rows, const Share& panels) {
      float* c = c_[split == Split::whole ? static_cast<std::size_t>(t) : 0].data();
      product.run(a_.data(), c, rows.begin, rows.end, panels.begin, panels.end);
    });
  }

  void openblas([[maybe_unused]] Split split, [[maybe_unused]] const std::string& name) {
#ifdef SEQGPU_BENCH_OPENBLAS
    openblas_set_num_threads(1);
    split_and_time(split, p_.n, name, [&](int t, const Share& rows, const Share& columns) {
      float* c = c_[split == Split::whole ? static_cast<std::size_t>(t) : 0].data() + rows.begin * p_.n + columns.begin;
      const float* a = a_.data() + (p_.transposed_a ? rows.begin : rows.begin * p_.k);
      cblas_sgemm(CblasRowMajor, p_.transposed_a ? CblasTrans : CblasNoTrans, CblasNoTrans,
                  static_cast<blasint>(rows.end - rows.begin), static_cast<blasint>(columns.end - columns.begin),
                  static_cast<blasint>(p_.k), 1.f, a, static_cast<blasint>(p_.transposed_a ? p_.m : p_.k),
                  b_.data() + columns.begin, static_cast<blasint>(p_.n), 0.f, c, static_cast<blasint>(p_.n));
    });
#endif
  }

  void onednn() {
#ifdef SEQGPU_BENCH_DNNL
    const double plain = fastest(clock_, [&](int runs) {
      for (int r = 0; r < runs; ++r) {
        dnnl_sgemm(p_.transposed_a ? 'T' : 'N', 'N', p_.m, p_.n, p_.k, 1.f, a_.data(), p_.transposed_a ? p_.m : p_.k,
                   b_.data(), p_.n, 0.f, c_[0].data(), p_.n);
      }
    });
    note(plain, 1, "oneDNN sgemm");
    if (p_.transposed_a) return;
    using dnnl::memory;
    using Tag = memory::format_tag;
    dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    dnnl::stream stream(engine);
    const auto described = [](std::ptrdiff_t rows, std::ptrdiff_t columns, Tag tag) {
      return memory::desc({rows, columns}, memory::data_type::f32, tag);
    };
    const dnnl::matmul::primitive_desc desc(
        {described(p_.m, p_.k, Tag::ab), described(p_.k, p_.n, Tag::any), described(p_.m, p_.n, Tag::ab)}, engine);
    memory a(desc.src_desc(), engine, a_.data()), c(desc.dst_desc(), engine, c_[0].data());
    memory unpacked(described(p_.k, p_.n, Tag::ab), engine, b_.data()), b(desc.weights_desc(), engine);
    dnnl::reorder(unpacked, b).execute(stream, unpacked, b);
    stream.wait();
    const dnnl::matmul matmul(desc);
    const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}};
    const double seconds = fastest(clock_, [&](int runs) {
      for (int r = 0; r < runs; ++r) matmul.execute(stream, arguments);
      stream.wait();
    });
    note(seconds, 1, "oneDNN matmul, packed weights");
#endif
  }

  Product p_;
  int threads_, together_;
  Clock clock_;
  std::vector<float> a_, b_;
  std::vector<std::vector<float>> c_;
  Rate best_;
};

/// One pass over `rows` sequences of H units each.
void run_gates(const std::string& cell, bool backward, std::vector<float>& memory, std::ptrdiff_t H,
               std::ptrdiff_t rows) {
  for (std::ptrdiff_t n = 0; n < rows; ++n) {
    float* at = memory.data();
    const auto next = [&](std::ptrdiff_t count) { return std::exchange(at, at + count * H); };
    if (backward) {
      GateRowBackward r{H, 0, H};
      r.gates = next(4), r.rh = next(4), r.h_before = next(1), r.c_before = next(1), r.tanh_c = next(1);
      r.h = next(1), r.dy = next(1), r.dh = next(1), r.dc = next(1), r.dh_direct = next(1), r.da = next(4);
      r.drh = next(4);
      if (cell == "lstm") {
        lstm_backward(r);
      } else if (cell == "gru") {
        gru_backward(r);
      } else {
        elman_backward(r);
      }
      continue;
    }
    GateRow r{H, 0, H};
    r.a = next(4), r.rh = next(4), r.h_before = next(1), r.c_before = next(1), r.c = next(1), r.tanh_c = next(1);
    r.h = next(1);
    if (cell == "lstm") {
      lstm_forward(r);
    } else if (cell == "gru") {
      gru_forward(r);
    } else {
      elman_forward(r);
    }
  }
}

}  // namespace

Rate Rates::product(const Product& shape, int together) {
  const auto key = std::make_pair(shape, std::min(together, threads_));
  const auto known = products_.find(key);
  if (known != products_.end()) return known->second;
  return products_[key] = Candidates(shape, threads_, together, clock_).best();
}

double Rates::gates(const std::string& cell, bool backward) {
  const auto key = std::make_pair(cell, backward);
  const auto known = gates_.find(key);
  if (known != gates_.end()) return known->second;
  constexpr std::ptrdiff_t kUnits = 256, kSequences = 64;
  std::vector<float> memory = random_values("gates", 24 * kUnits, 0.5f);
  const double seconds = fastest(clock_, [&](int runs) {
    for (int r = 0; r < runs; ++r) run_gates(cell, backward, memory, kUnits, kSequences);
  });
  return gates_[key] = seconds / static_cast<double>(kUnits * kSequences);
}

double Rates::copy(double bytes) {
  const int size = std::clamp(static_cast<int>(std::lround(std::log2(bytes))), 14, 29);
  const auto known = copies_.find(size);
  if (known != copies_.end()) return known->second;
  const std::ptrdiff_t half = (std::ptrdiff_t{1} << size) / 2;
  std::vector<char> from(static_cast<std::size_t>(half), 1), to(static_cast<std::size_t>(half), 2);
  const double seconds = fastest(clock_, [&](int runs) {
#pragma omp parallel num_threads(threads_)
    {
      const Share mine = share(half, omp_get_thread_num(), threads_);
      for (int r = 0; r < runs; ++r) {
        std::memcpy(to.data() + mine.begin, from.data() + mine.begin, static_cast<std::size_t>(mine.end - mine.begin));
        asm volatile("" ::: "memory");
      }
    }
  });
  return copies_[size] = 2.0 * static_cast<double>(half) / seconds;
}

}  // namespace seqgpu::benchmark
