// half of the emulator: the toolkit's names for what our kernels use, bit for bit the toolkit's conversions.
#pragma once
#include <bit>
#include <cstdint>

#include "vector_types.h"

struct __half_raw {
  unsigned short x;
};

struct alignas(2) __half {
  __half() = default;
  constexpr __half(__half_raw raw) : __x(raw.x) {}
  constexpr __half(float value) : __x(round(std::bit_cast<std::uint32_t>(value))) {}
  constexpr operator float() const { return widen(__x); }
  constexpr operator __half_raw() const { return {__x}; }

 protected:
  // To nearest, ties to even; from 65520 on infinity; every NaN becomes 0x7FFF.
  static constexpr unsigned short round(std::uint32_t bits) {
    const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return 0x7FFF;
    if (magnitude >= 0x477FF000u) return static_cast<unsigned short>(sign | 0x7C00u);
    const std::uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return static_cast<unsigned short>(sign);  // below half of the smallest, 2^-24
    // Normal: 13 bits go, and the exponent is rebased from 127 to 15. Below 2^-14 more go, and the hidden bit shows.
    const bool normal = exponent >= 113;
    const std::uint32_t value = normal ? magnitude - (112u << 23) : ((magnitude & 0x7FFFFFu) | 0x800000u);
    const std::uint32_t dropped = normal ? 13 : 126 - exponent;
    const std::uint32_t kept = value >> dropped, rest = value & ((1u << dropped) - 1), half = 1u << (dropped - 1);
    const std::uint32_t up = rest > half || (rest == half && (kept & 1u) != 0) ? 1 : 0;
    return static_cast<unsigned short>(sign | (kept + up));
  }

  static constexpr float widen(unsigned short bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, mantissa = bits & 0x3FFu;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }

  unsigned short __x;
};

struct alignas(4) __half2 {
  __half x, y;
};

typedef __half half;
typedef __half2 half2;

inline __half __float2half(float value) { return value; }
inline __half __float2half_rn(float value) { return value; }
inline float __half2float(__half value) { return value; }
inline unsigned short __half_as_ushort(__half value) { return __half_raw(value).x; }
inline __half __ushort_as_half(unsigned short bits) { return __half_raw{bits}; }

inline __half2 __halves2half2(__half low, __half high) { return {low, high}; }
inline __half2 __floats2half2_rn(float low, float high) { return {low, high}; }
inline __half2 __float22half2_rn(float2 v) { return {v.x, v.y}; }
inline float2 __half22float2(__half2 v) { return {float(v.x), float(v.y)}; }
inline __half __low2half(__half2 v) { return v.x; }
inline __half __high2half(__half2 v) { return v.y; }
inline float __low2float(__half2 v) { return v.x; }
inline float __high2float(__half2 v) { return v.y; }
