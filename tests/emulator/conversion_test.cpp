#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "emulator/toolkit.hpp"

namespace seqgpu::tests {
namespace {

// The value of a 16-bit float, from the definition of the format.
double value_of(unsigned bits, int mantissa_bits, int exponent_bits) {
  const unsigned mantissa = bits & ((1u << mantissa_bits) - 1);
  const unsigned exponent = (bits >> mantissa_bits) & ((1u << exponent_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
  if (exponent == (1u << exponent_bits) - 1)
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  const double fraction = std::ldexp(mantissa, -mantissa_bits) + (exponent != 0 ? 1 : 0);
  return sign * std::ldexp(fraction, static_cast<int>(exponent != 0 ? exponent : 1) - bias);
}

// The nearest of the format to `value`, ties to an even last bit, found in double by scaling to the format's last
// place.
unsigned nearest(float value, int mantissa_bits, int exponent_bits) {
  if (std::isnan(value)) return 0x7FFF;
  const unsigned sign = std::signbit(value) ? 0x8000u : 0u;
  const unsigned infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (std::isinf(value)) return sign | infinity;
  if (magnitude == 0) return sign;
  int exponent = std::max(std::ilogb(magnitude), 1 - bias);
  double places = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));  // nearbyint: ties to even
  if (places == std::ldexp(1, mantissa_bits + 1)) {
    places /= 2;
    ++exponent;
  }
  const double hidden = std::ldexp(1, mantissa_bits);
  if (places < hidden) return sign | static_cast<unsigned>(places);  // subnormal
  const unsigned rebased = static_cast<unsigned>(exponent + bias);
  if (rebased >= (1u << exponent_bits) - 1) return sign | infinity;
  return sign | (rebased << mantissa_bits) | static_cast<unsigned>(places - hidden);
}

constexpr std::uint32_t kStride = 2503;  // a prime: 1.7 million floats, all exponents and both signs

TEST(EmulatorConversion, RoundsToTheNearest) {
  std::uint64_t wrong_bf16 = 0, wrong_half = 0;
  const auto check = [&](std::uint32_t bits) {
    const float value = std::bit_cast<float>(bits);
    wrong_bf16 += __bfloat16_as_ushort(__float2bfloat16(value)) != nearest(value, 7, 8);
    wrong_half += __half_as_ushort(__float2half(value)) != nearest(value, 10, 5);
  };
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += kStride)
    check(static_cast<std::uint32_t>(bits));
  // Around every value of half and bf16, and half way between.
  for (std::uint32_t high = 0; high < 0x10000; ++high)
    for (const std::uint32_t low : {0x0000u, 0x0001u, 0x0FFFu, 0x1000u, 0x1001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu})
      check(high << 16 | low);
  EXPECT_EQ(wrong_bf16, 0u);
  EXPECT_EQ(wrong_half, 0u);
}

TEST(EmulatorConversion, WidensExactly) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto half_bits = static_cast<unsigned short>(bits);
    const double half = value_of(bits, 10, 5), bf16 = value_of(bits, 7, 8);
    const float got_half = __half2float(__ushort_as_half(half_bits));
    const float got_bf16 = __bfloat162float(__ushort_as_bfloat16(half_bits));
    ASSERT_EQ(std::isnan(got_half), std::isnan(half)) << bits;
    ASSERT_EQ(std::isnan(got_bf16), std::isnan(bf16)) << bits;
    if (!std::isnan(half)) {
      ASSERT_EQ(got_half, half) << bits;
      ASSERT_EQ(std::signbit(got_half), std::signbit(half)) << bits;
    }
    if (!std::isnan(bf16)) {
      ASSERT_EQ(got_bf16, bf16) << bits;
      ASSERT_EQ(std::signbit(got_bf16), std::signbit(bf16)) << bits;
    }
  }
}

TEST(EmulatorConversion, KeepsPairsInOrder) {
  EXPECT_EQ(sizeof(__nv_bfloat162), 4u);
  EXPECT_EQ(alignof(__half2), 4u);
  const float2 bf16 = __bfloat1622float2(__floats2bfloat162_rn(1, 2));
  const float2 half = __half22float2(__float22half2_rn({3, 4}));
  EXPECT_EQ(bf16.x, 1);
  EXPECT_EQ(bf16.y, 2);
  EXPECT_EQ(half.x, 3);
  EXPECT_EQ(half.y, 4);
  EXPECT_EQ(__low2float(__halves2half2(5.f, 6.f)), 5);
  EXPECT_EQ(__high2float(__halves2bfloat162(5.f, 6.f)), 6);
}

// A program over one header or the other, which prints a hash of all the bits. NaNs count without their payload.
constexpr const char* kHashProgram = R"(
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
static std::uint64_t hash = 14695981039346656037u;
static void add(std::uint64_t v) { hash = (hash ^ v) * 1099511628211u; }
template <class T> static unsigned short bits16(T v) { unsigned short u; std::memcpy(&u, &v, 2); return u; }
static std::uint32_t bits32(float v) { std::uint32_t u; std::memcpy(&u, &v, 4); return v == v ? u : 0x7FC00000u; }
int main() {
  for (std::uint64_t b = 0; b < (std::uint64_t(1) << 32); b += 2503) {
    const std::uint32_t u = static_cast<std::uint32_t>(b);
    float f;
    std::memcpy(&f, &u, 4);
    add(bits16(__float2bfloat16(f)));
    add(bits16(__float2half(f)));
  }
  for (unsigned b = 0; b < 65536; ++b) {
    add(bits32(__bfloat162float(__ushort_as_bfloat16(static_cast<unsigned short>(b)))));
    add(bits32(__half2float(__ushort_as_half(static_cast<unsigned short>(b)))));
  }
  std::printf("%llx\n", static_cast<unsigned long long>(hash));
}
)";

TEST(EmulatorConversion, AgreesWithTheToolkit) {
  const std::filesystem::path toolkit = toolkit_headers();
  if (toolkit.empty()) GTEST_SKIP() << "no CUDA toolkit found";
  const std::string theirs = run_against(toolkit, kHashProgram);
  EXPECT_FALSE(theirs.empty());
  EXPECT_EQ(run_against(emulator_headers(), kHashProgram), theirs);
}

}  // namespace
}  // namespace seqgpu::tests
