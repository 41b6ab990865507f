#include <cstdio>
#include <string>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/data/features.hpp"

// Computes the features that the metadata of a safetensors file describes, of the samples in it, and writes them.
namespace seqgpu {
namespace {

data::WindowKind window_named(const std::string& name) {
  using enum data::WindowKind;
  for (const auto window : {povey, hamming, hann, rectangular}) {
    if (name == data::to_string(window)) return window;
  }
  throw Error(ErrorCode::invalid_argument, "dump", "window", "is unknown: " + name);
}

void dump(const std::string& from, const std::string& to) {
  const TensorFile file = read_safetensors(from);
  const auto text = [&](const char* key) { return file.metadata.at(key); };
  const auto number = [&](const char* key) { return std::stod(text(key)); };
  const auto flag = [&](const char* key) { return text(key) == "1"; };
  data::FeatureOptions o;
  o.kind = text("kind") == "mfcc" ? data::FeatureKind::mfcc : data::FeatureKind::filterbank;
  o.sample_rate = std::stoi(text("sample_rate"));
  o.frame_length_ms = number("frame_length_ms");
  o.frame_shift_ms = number("frame_shift_ms");
  o.snip_edges = flag("snip_edges");
  o.remove_dc = flag("remove_dc");
  o.preemphasis = number("preemphasis");
  o.window = window_named(text("window"));
  o.mel_bins = std::stoi(text("mel_bins"));
  o.low_frequency = number("low_frequency");
  o.high_frequency = number("high_frequency");
  o.log_energies = flag("log_energies");
  o.power_spectrum = flag("power_spectrum");
  o.use_energy = flag("use_energy");
  o.raw_energy = flag("raw_energy");
  o.energy_floor = number("energy_floor");
  o.cepstra = std::stoi(text("cepstra"));
  o.cepstral_lifter = number("cepstral_lifter");
  o.precision = text("precision") == "f64" ? data::FeaturePrecision::f64 : data::FeaturePrecision::f32;

  TensorFile out;
  out.tensors["features"] = data::FeatureExtractor(o)(file.tensors.at("samples").view<float>());
  write_safetensors(to, out);
}

}  // namespace
}  // namespace seqgpu

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s in.safetensors out.safetensors\n", argv[0]);
    return 2;
  }
  try {
    seqgpu::dump(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
