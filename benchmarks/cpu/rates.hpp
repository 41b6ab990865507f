#pragma once

#include <map>
#include <string>
#include <tuple>

#include "benchmarks/support/clock.hpp"

// What this machine reaches, measured when first asked for and remembered: matrix products, gate maths, copies.
namespace seqgpu::benchmark {

/// C [m, n] = A [m, k] B [k, n], one of `together` equal products that do not depend on each other.
struct Product {
  std::ptrdiff_t m = 0, n = 0, k = 0;
  bool transposed_a = false;  // A is held as [k, m]: the weights' gradients
  bool operator<(const Product& o) const {
    return std::tie(m, n, k, transposed_a) < std::tie(o.m, o.n, o.k, o.transposed_a);
  }
};

struct Rate {
  double flops = 0;  // per second
  std::string best;  // which candidate
};

class Rates {
 public:
  Rates(int threads, Clock clock) : threads_(threads), clock_(clock) {}

  /// The best of all candidates, all threads working: OpenBLAS and a packed kernel of our own on shares of the rows or
  /// the columns, or a whole product each where there are as many; oneDNN's sgemm, and its matmul with packed weights.
  Rate product(const Product& shape, int together);
  /// Seconds per unit and step of a cell's gate maths on one thread, operands in the first-level cache.
  double gates(const std::string& cell, bool backward);
  /// Bytes read and written per second by a copy on all threads that touches so many bytes in all.
  double copy(double bytes);

 private:
  int threads_;
  Clock clock_;
  std::map<std::pair<Product, int>, Rate> products_;
  std::map<std::pair<std::string, bool>, double> gates_;
  std::map<int, double> copies_;  // by the binary logarithm of the bytes
};

}  // namespace seqgpu::benchmark
