#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

namespace seqgpu::data {

// Power spectra of real signals of one power-of-two length.
class RealFft {
 public:
  // length = 2^k >= 2
  explicit RealFft(std::size_t length);

  // power[k] = |sum_t signal[t] exp(-2 pi i k t / length)|^2 for k = 0 to length/2.
  // signal [length], power [length/2 + 1]
  void power(std::span<const double> signal, std::span<double> power);

 private:
  void transform();

  std::size_t half_;                          // length/2: even and odd samples are the parts of one complex signal
  std::vector<std::complex<double>> roots_;   // [half] exp(-2 pi i k / length)
  std::vector<std::size_t> reversed_;         // [half] k with its bits in reverse order
  std::vector<std::complex<double>> buffer_;  // [half]
};

}  // namespace seqgpu::data
