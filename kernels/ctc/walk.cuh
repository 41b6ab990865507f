#pragma once

#include "kernels/ctc/group.cuh"
#include "kernels/ctc/home.cuh"

// The recursion: Graves et al. 2006, equations 6 to 11. One direction of one sequence, block of frames by block; what
// both directions do, and what each does.
namespace seqgpu::kernels {

/// Where one sequence's rows are kept, and what is wanted of it.
struct CtcPlaces {
  CtcPair* rows;         // [blocks, labels + 1]
  std::int64_t* powers;  // [blocks]
  CtcPair* meeting;      // [labels + 1]
  float* posteriors;     // [frames, labels + 1]: over the columns; null: only p(target | x) is wanted, no rows either
  float* alignment;      // frame t at t * alignment_row, or null
  std::int64_t alignment_row;
};

/// The sum of alpha * beta over all states where the walks meet, which is p(target | x) but for the scales of
/// emissions: sum * 2^power.
struct CtcMeeting {
  unsigned long long sum;
  std::int64_t power;

  /// Of the sum's first bit; 0 where nothing is possible, and so all terms of posteriors will be.
  __device__ std::int64_t exponent() const { return sum == 0 ? 0 : power + 63 - __clzll(static_cast<long long>(sum)); }
};

template <class Home>
class CtcWalk {
 public:
  __device__ CtcWalk(const CtcView& view, const CtcPlaces& places, CtcGroup& group, Home& home)
      : view_(view), places_(places), group_(group), home_(home) {}

  __device__ std::int64_t power() const { return power_; }
  /// One thread of the group says so.
  __device__ bool first() const { return group_.thread() == 0; }

  /// All states 0 but for blank `position`, which is 1.
  __device__ void start(std::int64_t position) {
    for (int j = 0; j < home_.count(); ++j) {
      home_.now(j) = {home_.position(j) == position ? CtcNumber{1.f, 0} : ctc_zero(), ctc_zero()};
    }
  }

  /// Mantissas into [1, 2) and the largest exponent to 0.
  __device__ void normalise() {
    int top = kCtcDead;
    for (int j = 0; j < home_.count(); ++j) {
      CtcPair s = home_.now(j);
      s = {ctc_normal(s.blank), ctc_normal(s.label)};
      top = max(top, max(s.blank.k, s.label.k));
      home_.now(j) = s;
    }
    top = group_.most(top);
    if (top <= kCtcLive) return;
    for (int j = 0; j < home_.count(); ++j) {
      CtcPair& s = home_.now(j);
      s.blank.k = max(s.blank.k - top, kCtcDead);
      s.label.k = max(s.label.k - top, kCtcDead);
    }
    power_ += top;
  }

  /// Asks for what a block of frames needs; emit() waits for it.
  __device__ void fetch(std::int64_t block) {
    const std::int64_t t = block * kCtcBlock + group_.lane();
    if (group_.lane() < kCtcBlock && t < view_.length) frame_ = view_.frames[t];
    home_.fetch(block);
  }
  __device__ void emit(std::int64_t block) {
    group_.show(frame_);
    home_.emit(block, group_);
  }
  /// Frames of a block that there are.
  __device__ int frames(std::int64_t block) const {
    const std::int64_t left = view_.length - block * kCtcBlock;
    return static_cast<int>(left < kCtcBlock ? left : kCtcBlock);
  }

  /// Where a block's row goes, of which the exponent is noted.
  __device__ CtcPair* begin_row(std::int64_t block) {
    if (first()) places_.powers[block] = power_;
    return places_.rows + block * (view_.labels + 1);
  }
  __device__ void store(CtcPair* row) {
    for (int j = 0; j < home_.count(); ++j) store(row, j, home_.now(j));
  }
  __device__ void store(CtcPair* row, int j, const CtcPair& s) {
    if (home_.position(j) <= view_.labels) row[home_.position(j)] = s;
  }
  /// Asks for what the other direction stored of a block, which crossing that block waits for.
  __device__ void fetch_row(std::int64_t block) {
    home_.fetch_row(places_.rows + block * (view_.labels + 1));
    row_power_ = places_.powers[block];
  }

  /// alpha in the frame that is the block's i-th, from the one before it: read(j) to write(j, states).
  template <class Read, class Write>
  __device__ void alpha(int i, Read read, Write write) {
    const CtcNumber blank = this->blank(i);
    CtcNumber before = group_.from_left(read(home_.count() - 1).label);
    for (int j = 0; j < home_.count(); ++j) {
      const CtcPair from = read(j);
      CtcPair to;
      to.blank = ctc_times(ctc_add(from.blank, before), blank);
      before.k += home_.skip(j);
      to.label = ctc_times(ctc_add(from.label, from.blank, before), home_.label(i, j));
      before = from.label;
      write(j, to);
    }
  }

  /// beta, without what its frame emits, from the frame behind it with that.
  template <class Read, class Write>
  __device__ void beta(Read read, Write write) {
    CtcPair behind = group_.from_right(read(0));
    for (int j = home_.count() - 1; j >= 0; --j) {
      const CtcPair from = read(j);
      CtcPair to;
      to.blank = ctc_add(from.blank, from.label);
      behind.label.k += home_.skip(j + 1);
      to.label = ctc_add(from.label, behind.blank, behind.label);
      behind = from;
      write(j, to);
    }
  }
  /// What the blank emits in the block's i-th frame.
  __device__ CtcNumber blank(int i) const { return {group_.frame(i).blank_m, group_.frame(i).blank_k}; }
  /// beta with what its frame emits, of which `blank` is the blank's.
  __device__ CtcPair emitted(CtcPair s, CtcNumber blank, int i, int j) const {
    return {ctc_times(s.blank, blank), ctc_times(s.label, home_.label(i, j))};
  }

  __device__ void step_alpha(int i) {
    alpha(
        i, [&](int j) { return home_.now(j); }, [&](int j, CtcPair s) { home_.now(j) = s; });
  }
  /// @param row  gets beta without what frame i emits, or null
  __device__ void step_beta(int i, CtcPair* row) {
    const CtcNumber blank = this->blank(i);
    beta([&](int j) { return home_.now(j); },
         [&](int j, CtcPair s) {
           if (row) store(row, j, s);
           home_.now(j) = emitted(s, blank, i, j);
         });
  }

  /// Between the last frame of `alphas` and the first of this walk's, which is beta's.
  __device__ CtcMeeting meet(const CtcPair* alphas, std::int64_t alpha_power) {
    beta([&](int j) { return home_.now(j); }, [&](int j, CtcPair s) { home_.other(0, j) = s; });
    home_.fetch_row(alphas);
    int top = kCtcDead;
    for (int j = 0; j < home_.count(); ++j) {
      const CtcPair a = home_.row(j), b = home_.other(0, j);
      const CtcPair product{ctc_times(a.blank, b.blank), ctc_times(a.label, b.label)};
      home_.other(0, j) = product;
      top = max(top, max(ctc_exponent(product.blank), ctc_exponent(product.label)));
    }
    top = group_.most(top);
    // As integers, so that the sum is one for all numbers of threads: of 36 bits for the largest term, so that a loss
    // of a million labels still has all digits of a float, and 2^27 terms fit.
    constexpr int kBits = 36;
    unsigned long long sum = 0;
    for (int j = 0; j < home_.count(); ++j) {
      const CtcNumber blank = ctc_normal(home_.other(0, j).blank), label = ctc_normal(home_.other(0, j).label);
      constexpr float kOne = static_cast<float>(1ll << kBits);
      sum += static_cast<unsigned long long>(blank.m * ctc_power(blank.k, top) * kOne);
      sum += static_cast<unsigned long long>(label.m * ctc_power(label.k, top) * kOne);
    }
    return {group_.add_up(sum), alpha_power + power_ + top - kBits};
  }

  /// A block in which this alpha crosses the other direction's half, its row fetched. @param total  what meet() found
  __device__ void cross_alpha(std::int64_t block, std::int64_t total) {
    const int n = frames(block);
#pragma unroll(Home::kUnroll)
    for (int i = kCtcBlock - 1; i >= 0; --i) {
      if (i == n - 1) {
        for (int j = 0; j < home_.count(); ++j) home_.other(i, j) = home_.row(j);
      } else if (i + 1 < kCtcBlock && i < n) {
        const CtcNumber blank = this->blank(i + 1);
        beta([&](int j) { return emitted(home_.other(i + 1, j), blank, i + 1, j); },
             [&](int j, CtcPair s) { home_.other(i, j) = s; });
      }
    }
    const int relative = offset(total);
    if (frames(block + 1) > 0) fetch_row(block + 1);
#pragma unroll(Home::kUnroll)
    for (int i = 0; i < kCtcBlock; ++i) {
      if (i >= n) continue;
      step_alpha(i);
      CtcSums sums = {};
      for (int j = 0; j < home_.count(); ++j) multiply(home_.now(j), home_.other(i, j), relative, sums);
      group_.add(i, sums);
    }
    finish(block, n);
  }

  /// The same for beta, whose half are whole blocks.
  __device__ void cross_beta(std::int64_t block, std::int64_t total) {
    for (int j = 0; j < home_.count(); ++j) home_.other(0, j) = home_.row(j);
#pragma unroll(Home::kUnroll)
    for (int i = 1; i < kCtcBlock; ++i) {
      alpha(
          i, [&](int j) { return home_.other(i - 1, j); }, [&](int j, CtcPair s) { home_.other(i, j) = s; });
    }
    const int relative = offset(total);
    if (block > 0) fetch_row(block - 1);
#pragma unroll(Home::kUnroll)
    for (int i = kCtcBlock - 1; i >= 0; --i) {
      const CtcNumber blank = this->blank(i);
      CtcSums sums = {};
      beta([&](int j) { return home_.now(j); },
           [&](int j, CtcPair s) {
             multiply(s, home_.other(i, j), relative, sums);
             home_.now(j) = emitted(s, blank, i, j);
           });
      group_.add(i, sums);
    }
    finish(block, kCtcBlock);
  }

 private:
  // Posteriors of a frame sum to 1, up to the drift of all frames' roundings, so they are added as integers of 2^-28,
  // with room for a sum of 16: the same bits whoever adds them.
  static constexpr float kUnit = 1.f / (1 << 28);

  /// What brings a product of this row's numbers and that row's to about 1.
  __device__ int offset(std::int64_t total) const {
    const std::int64_t relative = power_ + row_power_ - total;
    return static_cast<int>(relative < kCtcLive ? kCtcLive : relative > -kCtcLive ? -kCtcLive : relative);
  }
  static __device__ float term(CtcNumber a, CtcNumber b, int relative) {
    const int k = max(a.k + b.k, kCtcDead) + relative;
    return a.m * b.m * __int_as_float(min(max(k + 127, 0), 254) << 23);
  }
  /// Terms of a frame's posteriors, in the place of `other`.
  __device__ void multiply(const CtcPair& mine, CtcPair& other, int relative, CtcSums& sums) {
    const float blank = term(mine.blank, other.blank, relative), label = term(mine.label, other.label, relative);
    other.blank.m = blank;
    other.label.m = label;
    const unsigned blanks = static_cast<unsigned>(__float2int_rn(blank / kUnit));
    sums.all += blanks + static_cast<unsigned>(__float2int_rn(label / kUnit));
    sums.blanks += blanks;
  }
  /// Divides each frame's terms, which lie in other(i, .), by their sum, and writes them.
  __device__ void finish(std::int64_t block, int n) {
    group_.sums_meet();
#pragma unroll(Home::kUnroll)
    for (int i = 0; i < kCtcBlock; ++i) {
      if (i >= n) continue;
      const std::int64_t t = block * kCtcBlock + i;
      const CtcSums sums = group_.sums(i);
      const float inverse = sums.all > 0 ? 1.f / (static_cast<float>(sums.all) * kUnit) : 0.f;
      float* posteriors = places_.posteriors + t * (view_.labels + 1);
      float* states = places_.alignment ? places_.alignment + t * places_.alignment_row : nullptr;
      for (int j = 0; j < home_.count(); ++j) {
        const std::int64_t position = home_.position(j);
        if (position > view_.labels) continue;
        const bool label = position < view_.labels;
        const CtcPair& terms = home_.other(i, j);
        posteriors[position] = (label ? terms.label.m : static_cast<float>(sums.blanks) * kUnit) * inverse;
        if (!states) continue;
        states[2 * position] = terms.blank.m * inverse;
        if (label) states[2 * position + 1] = terms.label.m * inverse;
      }
    }
    group_.sums_meet();
  }

  const CtcView& view_;
  const CtcPlaces& places_;
  CtcGroup& group_;
  Home& home_;
  CtcFrame frame_ = {};                     // lane i's is the i-th of the block fetched last
  std::int64_t power_ = 0, row_power_ = 0;  // taken off the exponents of this walk, and of the row fetched last
};

}  // namespace seqgpu::kernels
