#include "device/cpu/elementwise_kernels.hpp"

#include "device/cpu/simd/pack.hpp"

// Compiled once per instruction set. Plain loops here are written so that the compiler vectorises them.
namespace seqgpu::device::cpu::SEQGPU_SIMD {
namespace {

using Kind = op::OptimizerDesc::Kind;

/// f on whole packs; the last, partial one goes through a buffer filled with `fill`.
template <class T, class F>
void each_pack(const T* x, T* y, std::int64_t count, F&& f) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) f(Pack<T>::load(x + i)).store(y + i);
  if (i == count) return;
  T buffer[lanes] = {};
  std::memcpy(buffer, x + i, static_cast<std::size_t>(count - i) * sizeof(T));
  f(Pack<T>::load(buffer)).store(buffer);
  std::memcpy(y + i, buffer, static_cast<std::size_t>(count - i) * sizeof(T));
}

template <class T>
T log_sum_exp(const T* x, std::int64_t count) {
  T largest = x[0];
  for (std::int64_t i = 1; i < count; ++i) largest = x[i] > largest || x[i] != x[i] ? x[i] : largest;
  if (!__builtin_isfinite(largest)) return largest;
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  Pack<T> sums(T(0));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) sums = sums + exp(Pack<T>::load(x + i) - Pack<T>(largest));
  T total = 0;
  for (int lane = 0; lane < lanes; ++lane) total += sums.v[lane];
  if (i < count) {
    T buffer[lanes] = {};
    std::memcpy(buffer, x + i, static_cast<std::size_t>(count - i) * sizeof(T));
    const Pack<T> e = exp(Pack<T>::load(buffer) - Pack<T>(largest));
    for (std::int64_t lane = 0; lane < count - i; ++lane) total += e.v[lane];
  }
  return largest + static_cast<T>(__builtin_log(static_cast<double>(total)));
}

template <class T>
void exponentials(const T* x, T shift, T scale, T offset, T* y, std::int64_t count) {
  const Pack<T> s(shift), k(scale), o(offset);
  each_pack(x, y, count, [=](Pack<T> v) { return k * exp(v - s) - o; });
}

template <class T>
void activate(Activation activation, const T* x, T* y, std::int64_t count) {
  each_pack(x, y, count, [=](Pack<T> v) { return math::activate(activation, v); });
}

/// The sum of term(x) over all x.
template <class T, class Term>
double sum_of(const T* x, std::int64_t count, Term&& term) {
  double sums[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int j = 0; j < 16; ++j) sums[j] += term(static_cast<double>(x[i + j]));
  }
  for (int j = 0; i < count; ++i, ++j) sums[j] += term(static_cast<double>(x[i]));
  for (int width = 8; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) sums[j] += sums[j + width];
  }
  return sums[0];
}

template <class T>
double sum(const T* x, std::int64_t count) {
  return sum_of(x, count, [](double value) { return value; });
}

template <class T>
double sum_squares(const T* x, std::int64_t count) {
  return sum_of(x, count, [](double value) { return value * value; });
}

template <class T>
T root_of(T x) {
  if constexpr (sizeof(T) == 4) {
    return __builtin_sqrtf(x);
  } else {
    return __builtin_sqrt(x);
  }
}

/// One element's update; kKind is a constant, so each optimiser is its own loop.
template <Kind kKind, bool kNesterov, bool kAverage, class T>
void update_loop(const OptimizerPass<T>& s, std::int64_t begin, std::int64_t end) {
  T* __restrict p = s.p;
  T* __restrict m = s.m;
  T* __restrict v = s.v;
  T* __restrict average = s.average;
  const T* __restrict gradient = s.g;
  const T rate = s.rate, beta1 = s.beta1, beta2 = s.beta2, epsilon = s.epsilon, decay = s.decay, scale = s.scale;
  const T limit = s.clip > T(0) ? s.clip : static_cast<T>(__builtin_huge_val()), ema = s.ema;
  const T correct1 = T(1) / s.correct1, correct2 = T(1) / s.correct2;
  for (std::int64_t i = begin; i < end; ++i) {
    T g = gradient[i] * scale;
    g = g > limit ? limit : (g < -limit ? -limit : g);
    T x = p[i];
    if constexpr (kKind == Kind::adam_w) {
      x -= rate * decay * x;
    } else {
      g += decay * x;
    }
    if constexpr (kKind == Kind::sgd) {
      x -= rate * g;
    } else if constexpr (kKind == Kind::momentum) {
      m[i] = beta1 * m[i] + g;
      x -= rate * (kNesterov ? g + beta1 * m[i] : m[i]);
    } else if constexpr (kKind == Kind::rms_prop) {
      m[i] = beta2 * m[i] + (T(1) - beta2) * g * g;
      x -= rate * g / (root_of(m[i]) + epsilon);
    } else if constexpr (kKind == Kind::adagrad) {
      m[i] += g * g;
      x -= rate * g / (root_of(m[i]) + epsilon);
    } else {
      m[i] = beta1 * m[i] + (T(1) - beta1) * g;
      v[i] = beta2 * v[i] + (T(1) - beta2) * g * g;
      x -= rate * (m[i] * correct1) / (root_of(v[i] * correct2) + epsilon);
    }
    p[i] = x;
    if constexpr (kAverage) average[i] = ema * average[i] + (T(1) - ema) * x;
  }
}

template <Kind kKind, bool kNesterov = false, class T>
void update_kind(const OptimizerPass<T>& s, std::int64_t begin, std::int64_t end) {
  if (s.average) {
    update_loop<kKind, kNesterov, true>(s, begin, end);
  } else {
    update_loop<kKind, kNesterov, false>(s, begin, end);
  }
}

template <class T>
void update(const OptimizerPass<T>& s, std::int64_t begin, std::int64_t end) {
  switch (s.kind) {
    case Kind::sgd: return update_kind<Kind::sgd>(s, begin, end);
    case Kind::momentum:
      return s.nesterov ? update_kind<Kind::momentum, true>(s, begin, end) : update_kind<Kind::momentum>(s, begin, end);
    case Kind::rms_prop: return update_kind<Kind::rms_prop>(s, begin, end);
    case Kind::adagrad: return update_kind<Kind::adagrad>(s, begin, end);
    case Kind::adam: return update_kind<Kind::adam>(s, begin, end);
    case Kind::adam_w: return update_kind<Kind::adam_w>(s, begin, end);
  }
}

constexpr int kGroups = 16, kDraws = 4 * kGroups;

/// Draws kDraws * block .. of Philox 4x32-10, several counters abreast; the same numbers as math::uniform. Each word
/// sits in the low half of a 64-bit lane, so that a round's products need no widening.
void draw_block(std::uint64_t key, std::uint64_t step, std::uint64_t block, float* u) {
  typedef std::uint64_t Words __attribute__((vector_size(kPackBytes)));
  constexpr int lanes = kPackBytes / 8;
  constexpr std::uint64_t low = 0xFFFFFFFFu;
  for (int first = 0; first < kGroups; first += lanes) {
    Words c0 = {}, c1, c2 = Words{} + (step & low), c3 = Words{} + (step >> 32);
    for (int l = 0; l < lanes; ++l) c0[l] = block * kGroups + static_cast<std::uint64_t>(first + l);
    c1 = c0 >> 32;
    c0 &= low;
    std::uint64_t k0 = key & low, k1 = key >> 32;
    for (int round = 0; round < 10; ++round) {
      const Words p0 = c0 * 0xD2511F53u, p1 = c2 * 0xCD9E8D57u;
      c0 = (p1 >> 32) ^ c1 ^ k0;
      c1 = p1 & low;
      c2 = (p0 >> 32) ^ c3 ^ k1;
      c3 = p0 & low;
      k0 = (k0 + 0x9E3779B9u) & low;
      k1 = (k1 + 0xBB67AE85u) & low;
    }
    for (int l = 0; l < lanes; ++l) {
      const std::uint64_t words[4] = {c0[l], c1[l], c2[l], c3[l]};
      for (int j = 0; j < 4; ++j) {
        u[4 * (first + l) + j] = static_cast<float>(static_cast<std::int32_t>(words[j] >> 8)) * 0x1p-24f;
      }
    }
  }
}

template <class T>
void dropout(const DropoutPass<T>& s, std::int64_t begin, std::int64_t end) {
  const T scale = T(1) / (T(1) - static_cast<T>(s.rate));
  float u[kDraws];
  for (std::int64_t i = begin; i < end;) {
    const std::int64_t index = i % s.period, first = index % kDraws;
    std::int64_t run = kDraws - first;
    run = run < end - i ? run : end - i;
    run = run < s.period - index ? run : s.period - index;
    draw_block(s.key, s.step, static_cast<std::uint64_t>(index / kDraws), u);
    for (std::int64_t k = 0; k < run; ++k) s.y[i + k] = u[first + k] >= s.rate ? s.x[i + k] * scale : T(0);
    i += run;
  }
}

template <class T>
constexpr ElementwiseKernels<T> kTable{log_sum_exp<T>, exponentials<T>, activate<T>, sum<T>,
                                       sum_squares<T>, update<T>,       dropout<T>};

}  // namespace

extern const ElementwiseKernels<float> kElementwiseF32;
extern const ElementwiseKernels<double> kElementwiseF64;
const ElementwiseKernels<float> kElementwiseF32 = kTable<float>;
const ElementwiseKernels<double> kElementwiseF64 = kTable<double>;

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
