#include "seqgpu/data/features.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>

#include "data/fft.hpp"
#include "reference/features.hpp"
#include "seqgpu/checkpoint.hpp"
#include "support/temporary_folder.hpp"

namespace seqgpu::data {
namespace {

using Row = std::vector<float>;

// Rough, with an offset, and the same on every machine.
Row signal(int samples) {
  Row x;
  for (std::int64_t i = 0; i < samples; ++i) {
    x.push_back(static_cast<float>((i * i * 7919 + i * 104729) % 20011 - 9005) / 32768.f);
  }
  return x;
}

Row row(const HostTensor& features, std::int64_t t) {
  const auto view = features.view<float>();
  const std::int64_t width = features.shape[1];
  return {view.begin() + t * width, view.begin() + (t + 1) * width};
}

void expect_near(const Row& got, const Row& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << "feature " << i;
}

TEST(Fft, PowerIsThatOfTheSum) {
  for (std::size_t length = 2; length <= 1024; length *= 2) {
    const Row x = signal(static_cast<int>(length));
    const std::vector<double> samples(x.begin(), x.end());
    std::vector<double> power(length / 2 + 1);
    RealFft fft(length);
    fft.power(samples, power);
    double total = 0;
    for (const double v : samples) total += v * v;
    const std::size_t step = length > 64 ? 37 : 1;
    for (std::size_t k = 0; k <= length / 2; k += step) {
      const double want = reference::dft_power(samples, static_cast<int>(length), static_cast<int>(k));
      // A bin is the square of a sum of at most sqrt(length * total); both sides round it in double.
      EXPECT_NEAR(power[k], want, 1e-12 * static_cast<double>(length) * total) << length << " " << k;
    }
  }
}

FeatureOptions mirrored_filterbank() {
  FeatureOptions o;
  o.sample_rate = 8000;
  o.snip_edges = false;
  o.window = WindowKind::hamming;
  o.mel_bins = 40;
  o.low_frequency = 100;
  o.high_frequency = -200;
  o.use_energy = true;
  return o;
}

FeatureOptions cepstra(int sample_rate) {
  FeatureOptions o;
  o.kind = FeatureKind::mfcc;
  o.sample_rate = sample_rate;
  return o;
}

FeatureOptions mirrored_cepstra() {
  FeatureOptions o = cepstra(8000);
  o.snip_edges = false;
  o.window = WindowKind::hann;
  o.use_energy = true;
  return o;
}

struct Published {
  const char* name;
  FeatureOptions options;
  std::int64_t frames;
  Row first, last;
};

// From kaldi-native-fbank 1.23.0 (Kaldi's own code, in float), dither 0, on signal(1000).
TEST(Features, AreKaldis) {
  const std::vector<Published> cases = {
      {"filterbank",
       {},
       4,
       {-4.29551697f, -2.66869974f, -1.00843513f, -0.23511453f, -0.346360624f, -0.143176898f, 0.871232629f, 1.45871258f,
        1.50484788f,  1.57154f,     2.37469983f,  2.35457277f,  2.82208538f,   3.34920669f,   4.17325068f,  4.6805892f,
        4.78796577f,  5.00724888f,  5.19218111f,  5.6347332f,   6.08974123f,   5.94871378f,   6.07629347f},
       {-3.63797307f, -2.96185374f, -2.95653415f, -1.62490475f, -1.22469068f, 0.200207576f, 0.438227981f, -0.47901687f,
        0.832743764f, 2.02005339f,  2.30993676f,  2.50509262f,  2.91002274f,  3.67194009f,  4.2534256f,   4.61301136f,
        4.7539258f,   4.9478364f,   5.18895674f,  5.62031221f,  5.70109844f,  6.17666006f,  6.23229504f}},
      {"mirrored_filterbank",
       mirrored_filterbank(),
       13,
       {1.8166182f,  -2.82509685f, -2.84186912f,  -2.22513223f,  -2.67883801f,  -2.46395564f,  -2.64062905f,
        -2.4243114f, -2.12308979f, -0.779046297f, -0.234873265f, -0.485929281f, -0.977298617f, -0.0253668129f,
        1.23675084f, 1.37585521f,  0.563445628f,  1.09042227f,   1.39638805f,   1.75105846f,   2.59576941f,
        2.22843504f, 1.47932172f,  1.30703247f,   2.02719331f,   2.51123977f,   1.74568546f,   2.88122725f,
        3.09777451f, 2.12563133f,  1.71415305f,   2.87482262f,   3.22606874f,   3.88234615f,   2.65311146f,
        3.79957318f, 3.81085753f,  4.29317331f,   4.01950312f,   3.58448195f,   3.93932629f},
       {1.55273914f,   -5.16729784f, -3.95747542f, -3.46685171f, -2.47307515f,   -2.25282145f,  -0.463651299f,
        -0.529645324f, -3.72456288f, -3.13085938f, -2.72656155f, -2.11247087f,   -1.45028722f,  -1.33412468f,
        -1.24250305f,  -1.47917843f, -2.94691873f, -1.03522289f, -0.158711389f,  -0.471342802f, 0.834192336f,
        2.78959489f,   3.05615878f,  1.67258489f,  -2.34807181f, 1.75344312f,    2.73008156f,   2.25873137f,
        2.68250585f,   3.3723805f,   2.69685769f,  2.81777859f,  2.99334884f,    1.11143565f,   3.58542347f,
        3.38086033f,   3.16272974f,  2.26859236f,  1.40286946f,  -0.0150477886f, 4.04662991f}},
      {"cepstra",
       cepstra(16000),
       4,
       {11.5100594f, -33.8337898f, -6.80726099f, -10.2714748f, -11.1821613f, -9.38491726f, -4.80872154f, -9.36631966f,
        -12.3087187f, -6.19506168f, -10.0690584f, -4.81653643f, 1.46933436f},
       {10.3195391f, -37.3372154f, -8.69565964f, -7.07300997f, -4.44946718f, -7.72846079f, -2.01253891f, -3.16921544f,
        2.88589692f, 9.42330551f, 4.00826645f, -6.27661371f, -7.02293921f}},
      {"mirrored_cepstra",
       mirrored_cepstra(),
       13,
       {1.8166182f, -28.5601025f, -10.2433004f, -9.45771217f, 2.79703093f, 2.80086184f, -1.1272341f, 0.948211133f,
        -2.79298687f, -0.898403466f, -7.69271088f, -6.24799633f, -0.300132722f},
       {1.55273914f, -30.2872505f, -8.53101921f, 3.71851826f, -8.8237896f, -18.9474106f, -17.3704796f, -8.2224884f,
        1.03710067f, -14.5903978f, -2.03900743f, 9.61416721f, 24.3001652f}},
  };
  for (const Published& c : cases) {
    SCOPED_TRACE(c.name);
    const FeatureExtractor extract(c.options);
    const HostTensor got = extract(signal(1000));
    ASSERT_EQ(got.shape, (Shape{c.frames, extract.width()}));
    // The bound the project sets itself; the float sums on the other side are good to about 1e-5.
    expect_near(row(got, 0), c.first, 1e-4);
    expect_near(row(got, c.frames - 1), c.last, 1e-4);
  }
}

// From torchaudio 0.13.1's compliance.kaldi.mfcc in f32, dither 0, on signal(1000) in 16-bit steps: 9e-4 from the
// equations in places.
TEST(Features, AreTorchaudios) {
  FeatureOptions o = cepstra(16000);
  o.cepstra = 20;
  o.mel_bins = 40;
  o.cepstral_lifter = 30;
  o.sample_scale = 32768;
  const Row first = {142.863342f,  -46.1593246f, -9.96119213f, -14.8180151f,  -15.8907871f, -13.5486422f, -7.69699478f,
                     -14.5458059f, -18.9486847f, -8.72721481f, -11.29076f,    -4.39700556f, 8.08568382f,  6.67868948f,
                     4.10437679f,  -5.74058533f, 3.03739023f,  -0.451251566f, 8.39774799f,  2.73383641f};
  const Row last = {141.015137f,  -51.188118f, -12.6544895f, -10.0453615f, -7.28045559f, -11.9017315f, -5.12330341f,
                    -7.67048359f, 2.25280976f, 14.8438292f,  6.54542255f,  -14.7389107f, -17.813055f,  -7.61608458f,
                    1.78933179f,  4.7935791f,  -2.77012372f, -3.47564626f, -17.4205551f, -22.5832767f};
  const HostTensor got = FeatureExtractor(o)(signal(1000));
  ASSERT_EQ(got.shape, (Shape{4, 20}));
  expect_near(row(got, 0), first, 1e-4);
  expect_near(row(got, 3), last, 1e-4);

  o.precision = FeaturePrecision::f64;
  const HostTensor equations = FeatureExtractor(o)(signal(1000));
  double most = 0;
  for (std::size_t i = 0; i < got.view<float>().size(); ++i) {
    most = std::max(most, std::abs(double{got.view<float>()[i]} - double{equations.view<float>()[i]}));
  }
  EXPECT_GT(most, 5e-4);  // so that the one cannot stand in for the other
  EXPECT_LT(most, 1e-3);
}

reference::Signal reference_frame(const FeatureOptions& o, const reference::Signal& x, std::int64_t t) {
  const int length = static_cast<int>(o.sample_rate * 0.001 * o.frame_length_ms);
  const int shift = static_cast<int>(o.sample_rate * 0.001 * o.frame_shift_ms);
  const std::int64_t start = t * shift + (o.snip_edges ? 0 : shift / 2 - length / 2);
  auto frame = reference::frame_at(x, start, length);
  return o.remove_dc ? reference::without_mean(frame) : frame;
}

reference::Signal reference_window(const FeatureOptions& o, const reference::Signal& frame) {
  const auto emphasised = reference::preemphasised(frame, o.preemphasis);
  switch (o.window) {
    case WindowKind::povey: return reference::windowed(emphasised, 0.5, 0.85);
    case WindowKind::hamming: return reference::windowed(emphasised, 0.54, 1);
    case WindowKind::hann: return reference::windowed(emphasised, 0.5, 1);
    case WindowKind::rectangular: return emphasised;
  }
  return {};
}

reference::MelBank reference_bank(const FeatureOptions& o) {
  int points = 1;
  while (points < static_cast<int>(o.sample_rate * 0.001 * o.frame_length_ms)) points *= 2;
  const double nyquist = o.sample_rate / 2.0;
  return {o.mel_bins, points, static_cast<double>(o.sample_rate), o.low_frequency,
          o.high_frequency > 0 ? o.high_frequency : nyquist + o.high_frequency};
}

void expect_reference(FeatureOptions o, int samples) {
  o.precision = FeaturePrecision::f64;
  const Row x = signal(samples);
  const FeatureExtractor extract(o);
  const HostTensor got = extract(x);
  ASSERT_GT(got.shape[0], 0);
  const reference::Signal scaled = [&] {
    reference::Signal s(x.begin(), x.end());
    for (double& v : s) v *= o.sample_scale;
    return s;
  }();
  const auto bank = reference_bank(o);
  for (std::int64_t t = 0; t < got.shape[0]; t += 3) {
    const auto frame = reference_frame(o, scaled, t);
    const auto shaped = reference_window(o, frame);
    std::vector<double> log_energies, want;
    for (int b = 0; b < o.mel_bins; ++b) log_energies.push_back(bank.log_energy(b, shaped));
    if (o.kind == FeatureKind::mfcc) {
      for (int k = 0; k < o.cepstra; ++k) want.push_back(reference::cepstrum(log_energies, k, o.cepstral_lifter));
    } else {
      want = log_energies;
      if (o.use_energy) want.insert(want.begin(), 0.0);
    }
    if (o.use_energy) {
      double energy = 0;
      for (const double v : o.raw_energy ? frame : shaped) energy += v * v;
      want[0] = std::max(reference::log_or_floor(energy), o.energy_floor > 0 ? std::log(o.energy_floor) : -1e30);
    }
    // Both sides are double, the result is rounded to float: 2^-24 of magnitudes up to 100.
    expect_near(row(got, t), Row(want.begin(), want.end()), 2e-5);
  }
}

TEST(Features, AreThoseOfTheEquations) {
  for (const WindowKind window : {WindowKind::povey, WindowKind::hamming, WindowKind::hann, WindowKind::rectangular}) {
    SCOPED_TRACE(to_string(window));
    FeatureOptions o = mirrored_filterbank();
    o.window = window;
    expect_reference(o, 700);
    o.snip_edges = true;
    o.use_energy = window == WindowKind::hann;
    o.raw_energy = false;
    expect_reference(o, 700);
  }
  FeatureOptions o = cepstra(8000);
  o.mel_bins = 20;
  o.cepstra = 20;
  o.cepstral_lifter = 0;
  o.remove_dc = false;
  o.preemphasis = 0;
  o.sample_scale = 32768;
  expect_reference(o, 500);
  o = mirrored_cepstra();
  o.energy_floor = 100;
  expect_reference(o, 90);  // shorter than a frame: mirrored more than once
}

TEST(Features, CountsFrames) {
  FeatureOptions o;
  o.sample_rate = 8000;  // 200 samples a frame, 80 a step
  const FeatureExtractor inside(o);
  EXPECT_EQ(inside.frame_count(0), 0);
  EXPECT_EQ(inside.frame_count(199), 0);
  EXPECT_EQ(inside.frame_count(200), 1);
  EXPECT_EQ(inside.frame_count(279), 1);
  EXPECT_EQ(inside.frame_count(280), 2);
  EXPECT_EQ(inside(Row{}).shape, (Shape{0, 23}));
  o.snip_edges = false;
  const FeatureExtractor all(o);
  EXPECT_EQ(all.frame_count(39), 0);
  EXPECT_EQ(all.frame_count(40), 1);
  EXPECT_EQ(all.frame_count(800), 10);
  EXPECT_EQ(all(Row(40, 0.5f)).shape, (Shape{1, 23}));
}

TEST(Features, ScaleOnlyShiftsTheLogarithm) {
  FeatureOptions o;
  const HostTensor small = FeatureExtractor(o)(signal(1000));
  o.sample_scale = 32768;
  const HostTensor large = FeatureExtractor(o)(signal(1000));
  for (std::size_t i = 0; i < small.view<float>().size(); ++i) {
    EXPECT_NEAR(large.view<float>()[i], small.view<float>()[i] + 2 * std::log(32768.0), 1e-5);
  }
}

TEST(Features, SilenceHasTheLeastEnergyAndNoInfinity) {
  const HostTensor features = FeatureExtractor(FeatureOptions{})(Row(800, 0.f));
  for (const float x : features.view<float>()) EXPECT_FLOAT_EQ(x, std::log(0x1p-23f));
}

TEST(Features, AToneIsInItsTriangle) {
  FeatureOptions o;
  Row x;
  for (int i = 0; i < 1600; ++i)
    x.push_back(static_cast<float>(0.5 * std::sin(2 * std::numbers::pi * 1000 * i / 16000)));
  const Row frame = row(FeatureExtractor(o)(x), 2);
  const auto loudest = std::max_element(frame.begin(), frame.end()) - frame.begin();
  const auto bank = reference_bank(o);
  EXPECT_GT(bank.weight(static_cast<int>(loudest), 1000), 0.4);
}

TEST(Features, DitherIsRepeatableAndSmall) {
  FeatureOptions o;
  o.dither = 1e-4;
  o.dither_seed = 7;
  const Row x = signal(1000);
  const HostTensor one = FeatureExtractor(o)(x), two = FeatureExtractor(o)(x);
  EXPECT_EQ(one.bytes, two.bytes);
  o.dither_seed = 8;
  EXPECT_NE(FeatureExtractor(o)(x).bytes, one.bytes);
  o.dither = 0;
  expect_near(row(FeatureExtractor(o)(x), 1), row(one, 1), 0.5);
}

TEST(Features, RefusesWhatMakesNoSense) {
  const auto refused = [](auto change) {
    FeatureOptions o;
    o.kind = FeatureKind::mfcc;
    change(o);
    try {
      const FeatureExtractor extract(o);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      return e.argument();
    }
    return std::string("accepted");
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(refused([](auto& o) { o.sample_rate = 0; }), "sample_rate");
  EXPECT_EQ(refused([](auto& o) { o.frame_length_ms = kNan; }), "frame_length_ms");
  EXPECT_EQ(refused([](auto& o) { o.frame_length_ms = 0.1; }), "frame_length_ms");
  EXPECT_EQ(refused([](auto& o) { o.frame_shift_ms = 0; }), "frame_shift_ms");
  EXPECT_EQ(refused([](auto& o) { o.preemphasis = 2; }), "preemphasis");
  EXPECT_EQ(refused([](auto& o) { o.mel_bins = 0; }), "mel_bins");
  EXPECT_EQ(refused([](auto& o) { o.mel_bins = 200; }), "mel_bins");  // triangles narrower than a bin
  EXPECT_EQ(refused([](auto& o) { o.low_frequency = -1; }), "low_frequency");
  EXPECT_EQ(refused([](auto& o) { o.high_frequency = 8001; }), "high_frequency");
  EXPECT_EQ(refused([](auto& o) { o.high_frequency = -8000; }), "high_frequency");
  EXPECT_EQ(refused([](auto& o) { o.cepstra = 24; }), "cepstra");
  EXPECT_EQ(refused([](auto& o) { o.dither = -1; }), "dither");
  const FeatureExtractor extract{FeatureOptions{}};
  EXPECT_THROW(extract(Row(1000, std::numeric_limits<float>::infinity())), Error);
  EXPECT_THROW(extract(Waveform{Row(1000, 0.f), 8000}), Error);
}

TEST(Deltas, OfALineAreItsSlope) {
  HostTensor line(DType::f32, {20, 2});
  for (int t = 0; t < 20; ++t) {
    line.view<float>()[static_cast<std::size_t>(2 * t)] = static_cast<float>(3 * t);
    line.view<float>()[static_cast<std::size_t>(2 * t + 1)] = static_cast<float>(t * t);
  }
  const HostTensor out = add_deltas(line);
  ASSERT_EQ(out.shape, (Shape{20, 6}));
  expect_near(row(out, 10), {30, 100, 3, 20, 0, 2}, 1e-4);
  // At t = 0 frames before the start repeat it: (1*3 + 2*6) / 10.
  EXPECT_NEAR(row(out, 0)[2], 1.5f, 1e-6);
  EXPECT_EQ(add_deltas(line, 0).bytes, line.bytes);
}

TEST(Deltas, HandleFewFrames) {
  EXPECT_EQ(add_deltas(HostTensor(DType::f32, {0, 3})).shape, (Shape{0, 9}));
  HostTensor one = HostTensor::of<float>({1, 1}, Row{5.f});
  expect_near(row(add_deltas(one), 0), {5, 0, 0}, 1e-6);
  EXPECT_THROW(add_deltas(one, 5), Error);
  EXPECT_THROW(add_deltas(one, 2, 0), Error);
  EXPECT_THROW(add_deltas(HostTensor(DType::i32, {1, 1})), Error);
}

TEST(StackFrames, PutsFramesSideBySideAndRepeatsTheLast) {
  const HostTensor frames = HostTensor::of<float>({5, 1}, Row{1, 2, 3, 4, 5});
  const HostTensor out = stack_frames(frames, 3, 2);
  ASSERT_EQ(out.shape, (Shape{3, 3}));
  expect_near(row(out, 0), {1, 2, 3}, 0);
  expect_near(row(out, 1), {3, 4, 5}, 0);
  expect_near(row(out, 2), {5, 5, 5}, 0);
  EXPECT_EQ(stack_frames(frames, 1, 1).bytes, frames.bytes);
  EXPECT_EQ(stack_frames(frames, 1, 7).shape, (Shape{1, 1}));
  EXPECT_EQ(stack_frames(HostTensor(DType::f32, {0, 4}), 2, 2).shape, (Shape{0, 8}));
  EXPECT_THROW(stack_frames(frames, 0, 1), Error);
  EXPECT_THROW(stack_frames(frames, 1, 101), Error);
}

TEST(FeatureStatistics, BringToMeanZeroAndVarianceOne) {
  FeatureStatistics statistics;
  std::vector<HostTensor> parts;
  for (const int frames : {3, 0, 5}) {
    HostTensor part(DType::f32, {frames, 3});
    for (std::size_t i = 0; i < part.view<float>().size(); ++i) {
      const auto x = static_cast<float>((i * 37 + static_cast<std::size_t>(frames)) % 11);
      part.view<float>()[i] = i % 3 == 0 ? 10000.f + x / 64 : i % 3 == 1 ? x : 2.5f;
    }
    statistics.add(part);
    parts.push_back(std::move(part));
  }
  EXPECT_EQ(statistics.frames(), 8);
  EXPECT_EQ(statistics.width(), 3);
  std::vector<double> sum(3), squares(3);
  for (HostTensor& part : parts) {
    statistics.normalise(part);
    for (std::size_t i = 0; i < part.view<float>().size(); ++i) {
      sum[i % 3] += double{part.view<float>()[i]};
      squares[i % 3] += double{part.view<float>()[i]} * double{part.view<float>()[i]};
    }
  }
  for (std::size_t f = 0; f < 3; ++f) {
    EXPECT_NEAR(sum[f], 0, 1e-5);
    EXPECT_NEAR(squares[f], f == 2 ? 0 : 8, 1e-5);  // the last one never varies
  }
  EXPECT_NEAR(statistics.mean()[2], 2.5, 0);
}

TEST(FeatureStatistics, SurviveAFile) {
  FeatureStatistics statistics;
  HostTensor features = FeatureExtractor(FeatureOptions{})(signal(3000));
  statistics.add(features);
  const test::TemporaryFolder folder;
  const std::string path = folder / "statistics.safetensors";
  write_safetensors(path, {statistics.to_tensors(), {}});
  const auto back = FeatureStatistics::from_tensors(read_safetensors(path).tensors);
  HostTensor other = features;
  statistics.normalise(features);
  back.normalise(other);
  EXPECT_EQ(features.bytes, other.bytes);
  EXPECT_EQ(back.frames(), statistics.frames());
}

TEST(FeatureStatistics, RefuseNonsense) {
  FeatureStatistics statistics;
  HostTensor two(DType::f32, {1, 2}), three(DType::f32, {1, 3});
  EXPECT_THROW(statistics.normalise(two), Error);
  EXPECT_THROW(statistics.to_tensors(), Error);
  statistics.add(two);
  EXPECT_THROW(statistics.add(three), Error);
  EXPECT_THROW(statistics.normalise(three), Error);
  two.view<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(statistics.add(two), Error);
  EXPECT_EQ(statistics.frames(), 1);
  auto tensors = statistics.to_tensors();
  tensors["frames"].view<std::int64_t>()[0] = 0;
  EXPECT_THROW(FeatureStatistics::from_tensors(tensors), Error);
  tensors = statistics.to_tensors();
  tensors["sum"] = HostTensor(DType::f64, {3});
  EXPECT_THROW(FeatureStatistics::from_tensors(tensors), Error);
  tensors.erase("sum");
  EXPECT_THROW(FeatureStatistics::from_tensors(tensors), Error);
}

}  // namespace
}  // namespace seqgpu::data
