#include "seqgpu/data/features.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "data/fft.hpp"
#include "data/random.hpp"

namespace seqgpu::data {

namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kEpsilon = 0x1p-23;  // float's epsilon: what Kaldi takes the logarithm of where there is no energy

double mel(double hertz) { return 1127.0 * std::log(1.0 + hertz / 700.0); }

std::size_t samples_of(double ms, int rate) { return static_cast<std::size_t>(rate * 0.001 * ms); }

[[noreturn]] void fail(const std::string& argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "FeatureExtractor", argument, detail);
}

void check_range(const char* argument, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    fail(argument,
         "must be from " + std::to_string(low) + " to " + std::to_string(high) + ", got " + std::to_string(value));
  }
}

double high_edge(const FeatureOptions& o) {
  return o.high_frequency > 0 ? o.high_frequency : o.sample_rate / 2.0 + o.high_frequency;
}

void check(const FeatureOptions& o) {
  check_range("sample_rate", o.sample_rate, 100, 1e6);
  check_range("frame_length_ms", o.frame_length_ms, 0, 10'000);
  check_range("frame_shift_ms", o.frame_shift_ms, 0, 10'000);
  if (samples_of(o.frame_length_ms, o.sample_rate) < 2) fail("frame_length_ms", "must hold at least two samples");
  if (samples_of(o.frame_shift_ms, o.sample_rate) < 1) fail("frame_shift_ms", "must be at least one sample");
  check_range("preemphasis", o.preemphasis, 0, 1);
  check_range("dither", o.dither, 0, 1e6);
  check_range("sample_scale", o.sample_scale, 1e-6, 1e9);
  check_range("mel_bins", o.mel_bins, 3, 1024);
  check_range("low_frequency", o.low_frequency, 0, o.sample_rate / 2.0);
  if (!(high_edge(o) > o.low_frequency && high_edge(o) <= o.sample_rate / 2.0)) {
    fail("high_frequency",
         "must lie above low_frequency and not above half the sample rate, got " + std::to_string(high_edge(o)));
  }
  check_range("energy_floor", o.energy_floor, 0, 1e30);
  if (o.kind == FeatureKind::mfcc) {
    check_range("cepstra", o.cepstra, 1, o.mel_bins);
    check_range("cepstral_lifter", o.cepstral_lifter, 0, 1e6);
  }
}

// The same steps in either precision: in f32 each result is rounded, as where tensors are f32. Rounded from double, so
// that no fused operation of the machine comes between.
class Rounded {
 public:
  explicit Rounded(FeaturePrecision precision) : to_float_(precision == FeaturePrecision::f32) {}
  double operator()(double x) const { return to_float_ ? double{static_cast<float>(x)} : x; }

 private:
  bool to_float_;
};

double window_at(const FeatureOptions& o, std::size_t i, std::size_t length) {
  const Rounded r(o.precision);
  const double cosine = r(std::cos(r(static_cast<double>(i) * r(2 * kPi / static_cast<double>(length - 1)))));
  switch (o.window) {
    case WindowKind::povey: return r(std::pow(r(0.5 - r(0.5 * cosine)), r(0.85)));
    case WindowKind::hamming: return r(r(0.54) - r(r(0.46) * cosine));
    case WindowKind::hann: return r(0.5 - r(0.5 * cosine));
    case WindowKind::rectangular: return 1.0;
  }
  return 1.0;
}

// One triangle: weights of the bins of the spectrum from `first` on.
struct Triangle {
  std::size_t first = 0;
  std::vector<double> weights;
};

std::vector<Triangle> triangles(const FeatureOptions& o, std::size_t padded) {
  const Rounded r(o.precision);
  const double lowest = mel(o.low_frequency);  // in torchaudio no tensor: rounded where it meets one
  const double low = r(lowest), step = r((mel(high_edge(o)) - lowest) / (o.mel_bins + 1));
  const double hertz = r(o.sample_rate / static_cast<double>(padded));  // from one bin of the spectrum to the next
  std::vector<Triangle> bank(static_cast<std::size_t>(o.mel_bins));
  for (std::size_t b = 0; b < bank.size(); ++b) {
    const auto corner = [&](std::size_t i) { return r(low + r(static_cast<double>(i) * step)); };
    const double left = corner(b), center = corner(b + 1), right = corner(b + 2);
    for (std::size_t k = 0; k < padded / 2; ++k) {  // as in Kaldi, the bin at half the sample rate has no weight
      const double m = r(1127 * r(std::log(r(1 + r(r(static_cast<double>(k) * hertz) / 700)))));
      if (m <= left || m >= right) continue;
      if (bank[b].weights.empty()) bank[b].first = k;
      bank[b].weights.push_back(m <= center ? r(r(m - left) / r(center - left)) : r(r(right - m) / r(right - center)));
    }
    if (bank[b].weights.empty()) {
      fail("mel_bins", "must be fewer: no bin of a spectrum of " + std::to_string(padded) +
                           " points falls into triangle " + std::to_string(b));
    }
  }
  return bank;
}

// [cepstra, mel_bins] rows of the orthonormal DCT-II, times the lifter.
std::vector<double> cepstral_matrix(const FeatureOptions& o) {
  const Rounded r(o.precision);
  const double turn = r(kPi / o.mel_bins);
  std::vector<double> matrix;
  for (int k = 0; k < o.cepstra; ++k) {
    const double norm = r(std::sqrt((k == 0 ? 1.0 : 2.0) / o.mel_bins));
    const double l = o.cepstral_lifter, lifter = l > 0 ? 1 + 0.5 * l * std::sin(kPi * k / l) : 1.0;
    for (int b = 0; b < o.mel_bins; ++b) {
      matrix.push_back(lifter * r(norm * r(std::cos(r(r(turn * (b + 0.5)) * k)))));
    }
  }
  return matrix;
}

double energy(std::span<const double> frame) {
  double sum = 0;
  for (const double x : frame) sum += x * x;
  return sum;
}

// Gaussian by Box and Muller, keyed by the frame so that frames do not depend on each other.
void add_dither(std::span<double> frame, const FeatureOptions& o, std::size_t index) {
  const Rounded r(o.precision);
  Random random(mix(o.dither_seed, index));
  for (double& x : frame) {
    const double radius = std::sqrt(-2 * std::log(1 - unit(random.next())));
    x = r(x + o.dither * radius * std::cos(2 * kPi * unit(random.next())));
  }
}

void check_features(const char* operation, const HostTensor& features) {
  if (features.dtype != DType::f32 || features.shape.rank() != 2) {
    throw Error(ErrorCode::invalid_argument, operation, "features",
                std::string("must be [T, F] f32, got ") + to_string(features.shape) + " " + to_string(features.dtype));
  }
}

void check_int(const char* operation, const char* argument, int value, int low, int high) {
  if (value >= low && value <= high) return;
  throw Error(ErrorCode::invalid_argument, operation, argument,
              "must be from " + std::to_string(low) + " to " + std::to_string(high) + ", got " + std::to_string(value));
}

}  // namespace

const char* to_string(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::filterbank: return "filterbank";
    case FeatureKind::mfcc: return "mfcc";
  }
  return "unknown";
}

const char* to_string(WindowKind kind) {
  switch (kind) {
    case WindowKind::povey: return "povey";
    case WindowKind::hamming: return "hamming";
    case WindowKind::hann: return "hann";
    case WindowKind::rectangular: return "rectangular";
  }
  return "unknown";
}

struct FeatureExtractor::Impl {
  // What one call works in, so that calls on several threads do not meet.
  struct Workspace {
    explicit Workspace(const Impl& impl)
        : fft(impl.fft), padded(impl.padded), power(impl.padded / 2 + 1), mel(impl.bank.size()) {}
    RealFft fft;
    std::vector<double> padded, power, mel;
  };

  explicit Impl(const FeatureOptions& o)
      : options(o),
        rounded(o.precision),
        length(samples_of(o.frame_length_ms, o.sample_rate)),
        shift(samples_of(o.frame_shift_ms, o.sample_rate)),
        padded(std::bit_ceil(length)),
        fft(padded),
        bank(triangles(o, padded)) {
    for (std::size_t i = 0; i < length; ++i) window.push_back(window_at(o, i, length));
    if (o.kind == FeatureKind::mfcc) cepstral = cepstral_matrix(o);
  }

  std::size_t frame_count(std::size_t samples) const {
    if (!options.snip_edges) return (samples + shift / 2) / shift;
    return samples < length ? 0 : 1 + (samples - length) / shift;
  }

  void cut_frame(std::span<const float> samples, std::size_t t, std::span<double> frame) const {
    const auto total = static_cast<std::int64_t>(samples.size());
    auto start = static_cast<std::int64_t>(t * shift);
    if (!options.snip_edges) start += static_cast<std::int64_t>(shift / 2) - static_cast<std::int64_t>(length / 2);
    for (std::size_t i = 0; i < length; ++i) {
      std::int64_t at = start + static_cast<std::int64_t>(i);
      while (at < 0 || at >= total) at = at < 0 ? -at - 1 : 2 * total - 1 - at;  // more than once in short signals
      frame[i] = rounded(options.sample_scale * double{samples[static_cast<std::size_t>(at)]});
    }
  }

  double log_energy(std::span<const double> frame) const {
    const double value = std::log(std::max(energy(frame), kEpsilon));
    return options.energy_floor > 0 ? std::max(value, std::log(options.energy_floor)) : value;
  }

  // The frame as the spectrum sees it; returns its log energy.
  double shape_frame(std::span<double> frame, std::size_t t) const {
    if (options.dither > 0) add_dither(frame, options, t);
    if (options.remove_dc) {
      double mean = 0;
      for (const double x : frame) mean += x;
      mean = rounded(mean / static_cast<double>(length));
      for (double& x : frame) x = rounded(x - mean);
    }
    const double raw = log_energy(frame);
    const double c = rounded(options.preemphasis);
    for (std::size_t i = length - 1; i > 0; --i) frame[i] = rounded(frame[i] - rounded(c * frame[i - 1]));
    frame[0] = rounded(frame[0] - rounded(c * frame[0]));
    for (std::size_t i = 0; i < length; ++i) frame[i] = rounded(frame[i] * window[i]);
    return options.raw_energy ? raw : log_energy(frame);
  }

  void features_of(std::span<const float> samples, std::size_t t, Workspace& work, std::span<float> out) const {
    const std::span<double> frame(work.padded.data(), length);
    cut_frame(samples, t, frame);
    const double frame_energy = shape_frame(frame, t);
    work.fft.power(work.padded, work.power);
    if (!options.power_spectrum) {
      for (double& p : work.power) p = std::sqrt(p);
    }
    const bool logarithm = options.kind == FeatureKind::mfcc || options.log_energies;
    for (std::size_t b = 0; b < bank.size(); ++b) {
      double sum = 0;
      for (std::size_t i = 0; i < bank[b].weights.size(); ++i)
        sum += bank[b].weights[i] * work.power[bank[b].first + i];
      work.mel[b] = logarithm ? std::log(std::max(sum, kEpsilon)) : sum;
    }
    if (options.kind == FeatureKind::filterbank) {
      if (options.use_energy) out[0] = static_cast<float>(frame_energy);
      for (std::size_t b = 0; b < bank.size(); ++b) {
        out[b + (options.use_energy ? 1 : 0)] = static_cast<float>(work.mel[b]);
      }
      return;
    }
    for (std::size_t k = 0; k < out.size(); ++k) {
      double sum = 0;
      for (std::size_t b = 0; b < bank.size(); ++b) sum += cepstral[k * bank.size() + b] * work.mel[b];
      out[k] = static_cast<float>(sum);
    }
    if (options.use_energy) out[0] = static_cast<float>(frame_energy);
  }

  FeatureOptions options;
  Rounded rounded;
  std::size_t length, shift, padded;  // in samples
  RealFft fft;
  std::vector<Triangle> bank;    // [mel_bins]
  std::vector<double> window;    // [length]
  std::vector<double> cepstral;  // [cepstra, mel_bins]
};

FeatureExtractor::FeatureExtractor(const FeatureOptions& options) {
  check(options);
  impl_ = std::make_unique<Impl>(options);
}
FeatureExtractor::~FeatureExtractor() = default;
FeatureExtractor::FeatureExtractor(FeatureExtractor&&) noexcept = default;
FeatureExtractor& FeatureExtractor::operator=(FeatureExtractor&&) noexcept = default;

const FeatureOptions& FeatureExtractor::options() const { return impl_->options; }

int FeatureExtractor::width() const {
  const FeatureOptions& o = impl_->options;
  return o.kind == FeatureKind::mfcc ? o.cepstra : o.mel_bins + (o.use_energy ? 1 : 0);
}

std::int64_t FeatureExtractor::frame_count(std::int64_t samples) const {
  if (samples < 0) fail("samples", "must not be negative, got " + std::to_string(samples));
  return static_cast<std::int64_t>(impl_->frame_count(static_cast<std::size_t>(samples)));
}

HostTensor FeatureExtractor::operator()(std::span<const float> samples) const {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (!std::isfinite(samples[i])) fail("samples[" + std::to_string(i) + "]", "must be finite");
  }
  const std::size_t frames = impl_->frame_count(samples.size()), features = static_cast<std::size_t>(width());
  HostTensor out(DType::f32, {static_cast<std::int64_t>(frames), width()});
  const auto view = out.view<float>();
  Impl::Workspace work(*impl_);
  for (std::size_t t = 0; t < frames; ++t) {
    impl_->features_of(samples, t, work, view.subspan(t * features, features));
  }
  return out;
}

HostTensor FeatureExtractor::operator()(const Waveform& wave) const {
  if (wave.sample_rate != options().sample_rate) {
    fail("wave.sample_rate", "must be " + std::to_string(options().sample_rate) + " as in the options, got " +
                                 std::to_string(wave.sample_rate));
  }
  return (*this)(std::span<const float>(wave.samples));
}

HostTensor add_deltas(const HostTensor& features, int order, int window) {
  check_features("add_deltas", features);
  check_int("add_deltas", "order", order, 0, 4);
  check_int("add_deltas", "window", window, 1, 100);

  const std::int64_t frames = features.shape[0], width = features.shape[1];
  HostTensor out(DType::f32, {frames, (order + 1) * width});
  const auto from = features.view<float>();
  const auto to = out.view<float>();
  double norm = 0;
  for (int j = -window; j <= window; ++j) norm += j * j;
  std::vector<double> filter = {1.0};  // of the current derivative, for offsets -(size/2) to size/2
  for (int o = 0; o <= order; ++o) {
    const auto reach = static_cast<std::int64_t>(filter.size() / 2);
    for (std::int64_t t = 0; t < frames; ++t) {
      for (std::int64_t f = 0; f < width; ++f) {
        double sum = 0;
        for (std::int64_t j = -reach; j <= reach; ++j) {
          const std::int64_t at = std::clamp<std::int64_t>(t + j, 0, frames - 1);
          sum += filter[static_cast<std::size_t>(j + reach)] * double{from[static_cast<std::size_t>(at * width + f)]};
        }
        to[static_cast<std::size_t>((t * (order + 1) + o) * width + f)] = static_cast<float>(sum);
      }
    }
    std::vector<double> longer(filter.size() + 2 * static_cast<std::size_t>(window), 0.0);
    for (std::size_t i = 0; i < filter.size(); ++i) {
      for (int j = -window; j <= window; ++j) {
        longer[i + static_cast<std::size_t>(j + window)] += filter[i] * j / norm;
      }
    }
    filter = std::move(longer);
  }
  return out;
}

HostTensor stack_frames(const HostTensor& features, int width, int stride) {
  check_features("stack_frames", features);
  check_int("stack_frames", "width", width, 1, 100);
  check_int("stack_frames", "stride", stride, 1, 100);
  const std::int64_t frames = features.shape[0], bands = features.shape[1];
  HostTensor out(DType::f32, {(frames + stride - 1) / stride, width * bands});
  const auto from = features.view<float>();
  auto to = out.view<float>().begin();
  for (std::int64_t first = 0; first < frames; first += stride) {
    for (std::int64_t t = first; t < first + width; ++t) {
      to = std::copy_n(from.begin() + std::min(t, frames - 1) * bands, bands, to);
    }
  }
  return out;
}

}  // namespace seqgpu::data
