#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/data/wav.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu::data {

enum class FeatureKind : std::uint8_t { filterbank, mfcc };
/// povey: Hann's to the power 0.85, which unlike Hamming's goes to 0 at the ends.
enum class WindowKind : std::uint8_t { povey, hamming, hann, rectangular };
/// f32: the frame up to its window, the triangles and the DCT are rounded to f32 step by step, as in
/// torchaudio.compliance.kaldi; the spectrum and the sums are double. f64: all is double. The two differ by what
/// torchaudio's features do from Kaldi's equations: up to 3e-4 for energies, 1e-3 for MFCC (whose DCT has the angle of
/// the cosine in f32; Kaldi's own has not).
enum class FeaturePrecision : std::uint8_t { f32, f64 };

/// "filterbank", ...; "povey", ...
SEQGPU_API const char* to_string(FeatureKind kind);
SEQGPU_API const char* to_string(WindowKind kind);

/// Names, meanings and defaults are Kaldi's (compute-fbank-feats, compute-mfcc-feats), except that dither is off,
/// `use_energy` is off for both kinds, and samples are from -1 to 1.
struct FeatureOptions {
  FeatureKind kind = FeatureKind::filterbank;
  int sample_rate = 16000;  ///< in Hz, of the samples that will be given

  double frame_length_ms = 25;  ///< cut down to whole samples
  double frame_shift_ms = 10;
  bool snip_edges = true;     ///< only frames that lie inside the signal; else round(S / shift), edges mirrored
  bool remove_dc = true;      ///< subtracts the mean of each frame
  double preemphasis = 0.97;  ///< x[i] - c x[i-1] inside a frame, from 0 to 1
  WindowKind window = WindowKind::povey;
  double dither = 0;  ///< standard deviation of Gaussian noise added to each sample of a frame
  std::uint64_t dither_seed = 0;
  double sample_scale = 1;  ///< 32768 gives the numbers of Kaldi, which takes 16-bit integers as they are

  int mel_bins = 23;
  double low_frequency = 20;   ///< in Hz, lower edge of the first triangle
  double high_frequency = 0;   ///< in Hz, upper edge of the last; 0 or less: half the sample rate plus this
  bool log_energies = true;    ///< filterbank: natural logarithm of the energies
  bool power_spectrum = true;  ///< false: magnitudes
  bool use_energy = false;     ///< filterbank: the log energy of the frame comes first; mfcc: in place of coefficient 0
  bool raw_energy = true;      ///< that energy is taken before pre-emphasis and window
  double energy_floor = 0;     ///< least energy of a frame for `use_energy`; 0: the least positive normal step, 2^-23

  int cepstra = 13;             ///< mfcc: coefficients, coefficient 0 included
  double cepstral_lifter = 22;  ///< mfcc: coefficient k is scaled by 1 + L/2 sin(pi k / L); 0: not at all

  FeaturePrecision precision = FeaturePrecision::f32;
};

/// Mel-scale log filterbank energies, or mel-frequency cepstral coefficients (Davis, Mermelstein 1980), as Kaldi
/// computes them (Povey et al. 2011): frame, dither, DC removal, pre-emphasis, window, zeros up to a power of two,
/// spectrum, triangles equidistant in mel(f) = 1127 ln(1 + f/700), log; then for mfcc the orthonormal DCT-II and
/// lifter. Within 1e-4 of torchaudio.compliance.kaldi in f32, save energies 70 dB below their frame: FeaturePrecision.
class SEQGPU_API FeatureExtractor {
 public:
  /// @throws Error{invalid_argument} naming the option that is out of range, or a triangle that no bin of the spectrum
  ///         falls into
  explicit FeatureExtractor(const FeatureOptions& options);
  ~FeatureExtractor();
  FeatureExtractor(FeatureExtractor&&) noexcept;
  FeatureExtractor& operator=(FeatureExtractor&&) noexcept;

  const FeatureOptions& options() const;
  /// F, the features of a frame.
  int width() const;
  /// T, for a signal of that many samples; may be 0.
  std::int64_t frame_count(std::int64_t samples) const;

  /// Safe to call from several threads.
  /// @param samples  [S]
  /// @return         [T, F] f32
  /// @throws Error{invalid_argument} for a sample that is not finite
  HostTensor operator()(std::span<const float> samples) const;
  /// @throws also Error{invalid_argument} where the rate is not that of the options
  HostTensor operator()(const Waveform& wave) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Features followed by their derivatives in time, as Kaldi's add-deltas: derivative o is the regression
/// sum_j j x[t+j] / sum_j j^2 over j = -window to window, applied o times as one filter; frames past an end repeat it.
/// @param features  [T, F] f32
/// @return          [T, (order + 1)*F] f32
/// @throws Error{invalid_argument} unless 0 <= order <= 4 and 1 <= window <= 100
SEQGPU_API HostTensor add_deltas(const HostTensor& features, int order = 2, int window = 2);

/// Fewer, wider frames (Sak et al. 2015): frame j is frames j*stride to j*stride + width - 1 side by side; those past
/// the end repeat the last.
/// @param features  [T, F] f32
/// @return          [ceil(T / stride), width*F] f32
/// @throws Error{invalid_argument} unless width and stride are from 1 to 100
SEQGPU_API HostTensor stack_frames(const HostTensor& features, int width, int stride);

/// Mean and variance of each feature over all frames added, to bring features to mean 0 and variance 1. Sums are kept
/// in double about the first frame, so a large mean costs no digits.
class SEQGPU_API FeatureStatistics {
 public:
  /// @param features  [T, F] f32 @throws Error{invalid_argument} where F differs from before, or a value is not finite
  void add(const HostTensor& features);

  std::int64_t frames() const { return frames_; }
  int width() const { return static_cast<int>(origin_.size()); }
  std::vector<double> mean() const;
  /// Of the frames, divided by their count.
  std::vector<double> variance() const;

  /// (x - mean) / sqrt(variance), in place; a feature that never varies (variance below 1e-10) is only shifted.
  /// @throws Error{invalid_argument} before any frame was added, or for another F
  void normalise(HostTensor& features) const;

  /// "frames" [1] i64, "origin", "sum" and "sum_of_squares" [F] f64, for a safetensors file or checkpoint.
  TensorMap to_tensors() const;
  /// @throws Error{invalid_file} where a tensor is missing or makes no sense
  static FeatureStatistics from_tensors(const TensorMap& tensors);

 private:
  std::int64_t frames_ = 0;
  std::vector<double> origin_, sum_, sum_of_squares_;  // [F]; sums are of x - origin
};

}  // namespace seqgpu::data
