#include "kernels/math/philox.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/math/activation.hpp"

namespace seqgpu::math {
namespace {

// Known answers of the authors' Random123 distribution, kat_vectors.
TEST(Philox, KnownAnswers) {
  const Philox4 zero = philox4x32({{0, 0, 0, 0}}, 0);
  EXPECT_EQ(zero.x[0], 0x6627e8d5u);
  EXPECT_EQ(zero.x[1], 0xe169c58du);
  EXPECT_EQ(zero.x[2], 0xbc57ac4cu);
  EXPECT_EQ(zero.x[3], 0x9b00dbd8u);
  const Philox4 ones = philox4x32({{~0u, ~0u, ~0u, ~0u}}, ~std::uint64_t{0});
  EXPECT_EQ(ones.x[0], 0x408f276du);
  EXPECT_EQ(ones.x[1], 0x41c83b0eu);
  EXPECT_EQ(ones.x[2], 0xa20bc7c6u);
  EXPECT_EQ(ones.x[3], 0x6d5451fdu);
}

TEST(Philox, UniformLooksUniform) {
  double sum = 0, square = 0;
  constexpr int kDraws = 100000;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const float u = uniform(1, 2, 3, i);
    ASSERT_GE(u, 0.f);
    ASSERT_LT(u, 1.f);
    sum += u, square += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));  // 5 sigma
  EXPECT_NEAR(square / kDraws, 1 / 3., 5 * 0.2982 / std::sqrt(kDraws));
  EXPECT_NE(uniform(1, 2, 3, 4), uniform(1, 3, 3, 4));
  EXPECT_NE(uniform(1, 2, 3, 4), uniform(1, 2, 4, 4));
}

TEST(Activation, ExtremesAndNan) {
  EXPECT_EQ(sigmoid(1e4), 1);
  EXPECT_EQ(sigmoid(-1e4), 0);
  EXPECT_EQ(activate(Activation::tanh, -1e4), -1);
  for (const Activation a : {Activation::linear, Activation::tanh, Activation::relu, Activation::sigmoid})
    EXPECT_TRUE(std::isnan(activate(a, std::numeric_limits<double>::quiet_NaN())));
}

}  // namespace
}  // namespace seqgpu::math
