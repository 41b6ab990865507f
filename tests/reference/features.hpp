#pragma once

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

// Filterbank energies and cepstra from the equations alone, in double, one feature of one frame at a time. Equations:
// the HTK book (Young et al. 2006, chapter 5) with the conventions of Kaldi.
namespace seqgpu::reference {

using Signal = std::vector<double>;

inline constexpr double kFeaturePi = std::numbers::pi;

// |X_k|^2 of the signal followed by zeros up to `points`; a sum over all samples for each k.
inline double dft_power(const Signal& x, int points, int k) {
  std::complex<double> sum = 0;
  for (std::size_t t = 0; t < x.size(); ++t) {
    const double turns = static_cast<double>((static_cast<long long>(t) * k) % points) / points;
    sum += x[t] * std::complex<double>(std::cos(2 * kFeaturePi * turns), -std::sin(2 * kFeaturePi * turns));
  }
  return std::norm(sum);
}

// Samples from `start`; before and after the signal it is mirrored, so the period is twice its length.
inline Signal frame_at(const Signal& x, long long start, int length) {
  const auto n = static_cast<long long>(x.size());
  Signal frame;
  for (long long i = start; i < start + length; ++i) {
    const long long phase = ((i % (2 * n)) + 2 * n) % (2 * n);
    frame.push_back(x[static_cast<std::size_t>(phase < n ? phase : 2 * n - 1 - phase)]);
  }
  return frame;
}

inline Signal without_mean(Signal x) {
  double mean = 0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  for (double& v : x) v -= mean;
  return x;
}

inline Signal preemphasised(const Signal& x, double c) {
  Signal out;
  for (std::size_t i = 0; i < x.size(); ++i) out.push_back(x[i] - c * x[i == 0 ? 0 : i - 1]);
  return out;
}

// `shape`: a0 - (1 - a0) cos, to the power p: Hann 0.5, 1; Hamming 0.54, 1; Povey 0.5, 0.85.
inline Signal windowed(const Signal& x, double a0, double p) {
  Signal out;
  const double last = static_cast<double>(x.size()) - 1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    out.push_back(x[i] * std::pow(a0 - (1 - a0) * std::cos(2 * kFeaturePi * static_cast<double>(i) / last), p));
  }
  return out;
}

inline double log_or_floor(double energy) { return std::log(std::max(energy, std::pow(2.0, -23))); }

inline double mel_of(double hertz) { return 1127 * std::log(1 + hertz / 700); }

struct MelBank {
  int bins = 0, points = 0;
  double rate = 0, low = 0, high = 0;

  // The triangle of bin b at frequency `hertz`.
  double weight(int b, double hertz) const {
    const double step = (mel_of(high) - mel_of(low)) / (bins + 1);
    const double peak = mel_of(low) + (b + 1) * step;
    return std::max(0.0, 1 - std::abs(mel_of(hertz) - peak) / step);
  }
  double log_energy(int b, const Signal& frame) const {
    double sum = 0;
    for (int k = 0; k < points / 2; ++k) {
      const double w = weight(b, k * rate / points);
      if (w > 0) sum += w * dft_power(frame, points, k);
    }
    return log_or_floor(sum);
  }
};

// Coefficient k of the log energies, liftered.
inline double cepstrum(const std::vector<double>& log_energies, int k, double lifter) {
  const auto bins = static_cast<double>(log_energies.size());
  double sum = 0;
  for (std::size_t b = 0; b < log_energies.size(); ++b) {
    sum += log_energies[b] * std::cos(kFeaturePi * k * (static_cast<double>(b) + 0.5) / bins);
  }
  const double norm = k == 0 ? std::sqrt(1 / bins) : std::sqrt(2 / bins);
  return norm * sum * (lifter > 0 ? 1 + lifter / 2 * std::sin(kFeaturePi * k / lifter) : 1);
}

}  // namespace seqgpu::reference
