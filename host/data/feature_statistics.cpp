#include <algorithm>
#include <cmath>

#include "seqgpu/data/features.hpp"

namespace seqgpu::data {

namespace {

constexpr double kLeastVariance = 1e-10;

[[noreturn]] void fail(const std::string& argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "FeatureStatistics", argument, detail);
}

void check(const HostTensor& features, int width) {
  if (features.dtype != DType::f32 || features.shape.rank() != 2 || (width != 0 && features.shape[1] != width)) {
    fail("features", std::string("must be [T, ") + (width != 0 ? std::to_string(width) : "F") + "] f32, got " +
                         to_string(features.shape) + " " + to_string(features.dtype));
  }
}

HostTensor vector_tensor(const std::vector<double>& values) {
  return HostTensor::of<double>({static_cast<std::int64_t>(values.size())}, values);
}

const HostTensor& tensor(const TensorMap& tensors, const std::string& name, DType dtype) {
  const auto found = tensors.find(name);
  const auto refuse = [&](const std::string& detail) {
    throw Error(ErrorCode::invalid_file, "FeatureStatistics", name, detail);
  };
  if (found == tensors.end()) refuse("is missing");
  if (found->second.dtype != dtype || found->second.shape.rank() != 1 || found->second.shape[0] < 1) {
    refuse(std::string("must be a vector of ") + to_string(dtype) + ", got " + to_string(found->second.shape) + " " +
           to_string(found->second.dtype));
  }
  return found->second;
}

}  // namespace

void FeatureStatistics::add(const HostTensor& features) {
  check(features, width());
  const auto values = features.view<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) fail("features", "must be finite, element " + std::to_string(i) + " is not");
  }
  const auto width = static_cast<std::size_t>(features.shape[1]);
  if (values.empty()) return;
  if (frames_ == 0) {
    origin_.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(width));
    sum_.assign(width, 0.0);
    sum_of_squares_.assign(width, 0.0);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = double{values[i]} - origin_[i % width];
    sum_[i % width] += x;
    sum_of_squares_[i % width] += x * x;
  }
  frames_ += features.shape[0];
}

std::vector<double> FeatureStatistics::mean() const {
  std::vector<double> out = origin_;
  for (std::size_t f = 0; f < out.size(); ++f) out[f] += sum_[f] / static_cast<double>(frames_);
  return out;
}

std::vector<double> FeatureStatistics::variance() const {
  std::vector<double> out = sum_of_squares_;
  const auto count = static_cast<double>(frames_);
  for (std::size_t f = 0; f < out.size(); ++f) {
    const double shift = sum_[f] / count;
    out[f] = std::max(0.0, out[f] / count - shift * shift);
  }
  return out;
}

void FeatureStatistics::normalise(HostTensor& features) const {
  if (frames_ == 0) fail("frames", "must be more than 0 before features can be normalised");
  check(features, width());
  const std::vector<double> mean = this->mean(), variance = this->variance();
  const auto values = features.view<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t f = i % mean.size();
    const double scale = variance[f] < kLeastVariance ? 1.0 : 1.0 / std::sqrt(variance[f]);
    values[i] = static_cast<float>((double{values[i]} - mean[f]) * scale);
  }
}

TensorMap FeatureStatistics::to_tensors() const {
  if (frames_ == 0) fail("frames", "must be more than 0 before statistics can be saved");
  TensorMap tensors;
  tensors["frames"] = HostTensor::of<std::int64_t>({1}, std::vector<std::int64_t>{frames_});
  tensors["origin"] = vector_tensor(origin_);
  tensors["sum"] = vector_tensor(sum_);
  tensors["sum_of_squares"] = vector_tensor(sum_of_squares_);
  return tensors;
}

FeatureStatistics FeatureStatistics::from_tensors(const TensorMap& tensors) {
  const auto refuse = [](const std::string& name, const std::string& detail) {
    throw Error(ErrorCode::invalid_file, "FeatureStatistics", name, detail);
  };
  FeatureStatistics out;
  out.frames_ = tensor(tensors, "frames", DType::i64).view<std::int64_t>()[0];
  if (out.frames_ < 1) refuse("frames", "must be more than 0, got " + std::to_string(out.frames_));
  const auto read = [&](const std::string& name, std::vector<double>& to) {
    const auto values = tensor(tensors, name, DType::f64).view<double>();
    to.assign(values.begin(), values.end());
    if (to.size() != out.origin_.size()) refuse(name, "must be as long as \"origin\"");
    for (const double value : to) {
      if (!std::isfinite(value)) refuse(name, "must be finite");
    }
  };
  out.origin_.resize(tensor(tensors, "origin", DType::f64).view<double>().size());
  read("origin", out.origin_);
  read("sum", out.sum_);
  read("sum_of_squares", out.sum_of_squares_);
  return out;
}

}  // namespace seqgpu::data
