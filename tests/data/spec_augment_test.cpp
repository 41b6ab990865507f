#include "seqgpu/data/spec_augment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

namespace seqgpu::data {
namespace {

HostTensor ones(std::int64_t frames, std::int64_t width) {
  return HostTensor::of<float>({frames, width}, std::vector<float>(static_cast<std::size_t>(frames * width), 1.f));
}

// Which rows (axis 0) or columns (axis 1) of a tensor of ones and fills are filled throughout.
std::vector<bool> masked(const HostTensor& features, int axis, float fill) {
  const auto view = features.view<float>();
  const auto width = static_cast<std::size_t>(features.shape[1]);
  std::vector<bool> all(static_cast<std::size_t>(features.shape[axis]), true);
  for (std::size_t i = 0; i < view.size(); ++i) {
    if (view[i] != fill) all[axis == 0 ? i / width : i % width] = false;
  }
  return all;
}

std::int64_t count(const std::vector<bool>& bits) { return std::count(bits.begin(), bits.end(), true); }

TEST(SpecAugment, MasksWholeFramesUpToTheLimits) {
  SpecAugmentOptions options;
  options.frequency_masks = 0;
  options.time_masks = 1;
  options.fill = -3.f;
  std::set<std::int64_t> widths, firsts, ends;
  for (std::uint64_t stream = 0; stream < 400; ++stream) {
    HostTensor features = ones(50, 4);
    spec_augment(features, options, stream);
    const auto rows = masked(features, 0, -3.f);
    const auto view = features.view<float>();
    EXPECT_EQ(std::count(view.begin(), view.end(), -3.f), 4 * count(rows));
    widths.insert(count(rows));
    const auto first = std::find(rows.begin(), rows.end(), true);
    if (first == rows.end()) continue;
    firsts.insert(first - rows.begin());
    ends.insert(first - rows.begin() + count(rows));
    EXPECT_EQ(std::find(first, rows.end(), false) - first, count(rows));  // in one piece
  }
  EXPECT_EQ(widths.size(), 11u);  // 0 to 20 % of 50
  EXPECT_EQ(*widths.rbegin(), 10);
  EXPECT_EQ(*firsts.begin(), 0);
  EXPECT_EQ(*ends.rbegin(), 50);
}

TEST(SpecAugment, MasksTheSameBandsInEachGroup) {
  SpecAugmentOptions options;
  options.time_masks = 0;
  options.frequency_masks = 1;
  options.max_frequency = 3;
  options.groups = 3;
  std::set<std::int64_t> widths;
  for (std::uint64_t stream = 0; stream < 100; ++stream) {
    HostTensor features = ones(5, 24);
    spec_augment(features, options, stream);
    const auto columns = masked(features, 1, 0.f);
    for (std::size_t f = 0; f < 8; ++f) {
      EXPECT_EQ(columns[f], columns[f + 8]);
      EXPECT_EQ(columns[f], columns[f + 16]);
    }
    widths.insert(count(columns));
  }
  EXPECT_EQ(widths, (std::set<std::int64_t>{0, 3, 6, 9}));
}

TEST(SpecAugment, DependsOnSeedAndStreamAlone) {
  const auto run = [](std::uint64_t seed, std::uint64_t stream) {
    SpecAugmentOptions options;
    options.seed = seed;
    HostTensor features = ones(100, 23);
    spec_augment(features, options, stream);
    return features.bytes;
  };
  EXPECT_EQ(run(1, 2), run(1, 2));
  EXPECT_NE(run(1, 2), run(1, 3));
  EXPECT_NE(run(1, 2), run(2, 2));
}

TEST(SpecAugment, HandlesShortInput) {
  SpecAugmentOptions options;
  options.max_frequency = 100;
  options.max_time_share = 1;
  for (const std::int64_t frames : {0, 1, 2}) {
    HostTensor features = ones(frames, 2);
    for (std::uint64_t stream = 0; stream < 50; ++stream) spec_augment(features, options, stream);
    EXPECT_EQ(features.shape, (Shape{frames, 2}));
  }
  HostTensor none(DType::f32, {3, 0});
  spec_augment(none, options, 0);
}

TEST(SpecAugment, RefusesWhatMakesNoSense) {
  const auto refused = [](auto change) {
    SpecAugmentOptions options;
    change(options);
    HostTensor features = ones(4, 6);
    try {
      spec_augment(features, options, 0);
    } catch (const Error& e) {
      return e.argument();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refused([](auto& o) { o.time_masks = -1; }), "time_masks");
  EXPECT_EQ(refused([](auto& o) { o.max_time = -1; }), "max_time");
  EXPECT_EQ(refused([](auto& o) { o.max_time_share = 1.5; }), "max_time_share");
  EXPECT_EQ(refused([](auto& o) { o.frequency_masks = -1; }), "frequency_masks");
  EXPECT_EQ(refused([](auto& o) { o.max_frequency = -1; }), "max_frequency");
  EXPECT_EQ(refused([](auto& o) { o.groups = 4; }), "groups");
  EXPECT_EQ(refused([](auto& o) { o.groups = 0; }), "groups");
  EXPECT_EQ(refused([](auto& o) { o.fill = std::numeric_limits<float>::infinity(); }), "fill");
  HostTensor ids(DType::i32, {4, 6});
  EXPECT_THROW(spec_augment(ids, {}, 0), Error);
}

}  // namespace
}  // namespace seqgpu::data
