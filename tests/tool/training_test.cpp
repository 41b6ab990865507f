// Which epoch of a training run is kept.
#include "tools/seqgpu/training.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace seqgpu::tool {
namespace {

TEST(BestEpoch, IsTheOneWithTheBetterScoreThenTheLowerLoss) {
  const Measure f1{"dev_f1", "F1", true}, errors{"dev_wer", "WER", false};
  EXPECT_TRUE(better(f1, {{"dev_f1", 0.6}}, {{"dev_f1", 0.5}}));
  EXPECT_FALSE(better(f1, {{"dev_f1", 0.5}}, {{"dev_f1", 0.5}}));
  const auto of = [](double wer, double loss) { return Scores{{"dev_wer", wer}, {"dev_loss", loss}}; };
  EXPECT_TRUE(better(errors, of(0.1, 9), of(0.2, 1)));
  EXPECT_FALSE(better(errors, of(0.2, 1), of(0.1, 9)));
  EXPECT_TRUE(better(errors, of(0.1, 1), of(0.1, 2)));
  EXPECT_FALSE(better(errors, of(0.1, 2), of(0.1, 2)));
  EXPECT_TRUE(better(errors, of(0.1, 2), of(0.1, std::nan(""))));
  EXPECT_FALSE(better(errors, of(0.1, std::nan("")), of(0.1, std::nan(""))));
}

}  // namespace
}  // namespace seqgpu::tool
