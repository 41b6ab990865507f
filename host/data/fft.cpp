#include "data/fft.hpp"

#include <cassert>
#include <numbers>
#include <utility>

namespace seqgpu::data {

namespace {

using Complex = std::complex<double>;

// Without the recovery of infinities that std::complex's own product is bound to.
Complex product(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

RealFft::RealFft(std::size_t length)
    : half_(length / 2), roots_(length / 2), reversed_(length / 2), buffer_(length / 2) {
  assert(length >= 2 && (length & (length - 1)) == 0);
  for (std::size_t k = 0; k < half_; ++k) {
    roots_[k] = std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(length));
  }
  for (std::size_t k = 1; k < half_; ++k) reversed_[k] = reversed_[k / 2] / 2 + (k % 2 != 0 ? half_ / 2 : 0);
}

// Cooley and Tukey 1965: in place, radix 2, decimation in time.
void RealFft::transform() {
  for (std::size_t k = 0; k < half_; ++k) {
    if (k < reversed_[k]) std::swap(buffer_[k], buffer_[reversed_[k]]);
  }
  for (std::size_t block = 2; block <= half_; block *= 2) {
    const std::size_t stride = 2 * half_ / block;  // roots_ are of order 2*half
    for (std::size_t start = 0; start < half_; start += block) {
      for (std::size_t k = 0; k < block / 2; ++k) {
        Complex& low = buffer_[start + k];
        Complex& high = buffer_[start + k + block / 2];
        const Complex turned = product(high, roots_[k * stride]);
        high = low - turned;
        low += turned;
      }
    }
  }
}

void RealFft::power(std::span<const double> signal, std::span<double> power) {
  assert(signal.size() == 2 * half_ && power.size() == half_ + 1);
  for (std::size_t k = 0; k < half_; ++k) buffer_[k] = {signal[2 * k], signal[2 * k + 1]};
  transform();
  // With Z of z = even + i odd: E[k] = (Z[k] + conj Z[-k])/2, O[k] = (Z[k] - conj Z[-k])/2i, X[k] = E[k] + root^k O[k].
  for (std::size_t k = 0; k <= half_; ++k) {
    const Complex z = buffer_[k % half_], mirrored = std::conj(buffer_[(half_ - k) % half_]);
    const Complex even = 0.5 * (z + mirrored), odd = product({0.0, -0.5}, z - mirrored);
    const Complex root = k == half_ ? Complex(-1.0, 0.0) : roots_[k];
    power[k] = std::norm(even + product(root, odd));
  }
}

}  // namespace seqgpu::data
