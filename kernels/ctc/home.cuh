#pragma once

#include "kernels/ctc/group.cuh"
#include "kernels/ctc/sequence.cuh"

// Where a thread keeps its positions: one in registers, or several in memory. Both offer, for its j-th position,
//   now(j)       the states of its own walk
//   other(i, j)  the other walk's in frame i of the block, computed again; then terms of the posteriors
//   label(i, j)  what label j emits in frame i of the block
//   kUnroll      what loops over a block's frames are unrolled by
//   skip(j)      0, or kCtcDead where label j equals the one before it; also for j = count()
//   row(j)       of the row that fetch_row() asked for last
// fetch(block) asks for the columns that emit(block, group) makes into label().
namespace seqgpu::kernels {

/// One sequence's target and columns.
struct CtcView {
  const std::int32_t* target;  // [labels]
  const float* columns;        // [frames, labels + 1]
  const CtcFrame* frames;      // [frames]
  std::int64_t labels, length;

  __device__ int skip(std::int64_t position) const {
    return position > 0 && position < labels && target[position] != target[position - 1] ? 0 : kCtcDead;
  }
  __device__ float column(std::int64_t t, std::int64_t position) const {
    return position < labels && t < length ? columns[t * (labels + 1) + position] : -HUGE_VALF;
  }
  __device__ CtcPair state(const CtcPair* row, std::int64_t position) const {
    return position <= labels ? row[position] : CtcPair{ctc_zero(), ctc_zero()};
  }
};

class CtcOneHome {
 public:
  static constexpr int kUnroll = kCtcBlock;  // registers have no index

  __device__ CtcOneHome(const CtcView& view, int thread, int)
      : view_(view), position_(thread), skip_(view.skip(thread)), skip_behind_(view.skip(thread + 1)) {}

  __device__ int count() const { return 1; }
  __device__ std::int64_t position(int) const { return position_; }
  __device__ CtcPair& now(int) { return now_; }
  __device__ CtcPair& other(int i, int) { return other_[i]; }
  __device__ CtcNumber label(int i, int) const { return label_[i]; }
  __device__ void fetch_row(const CtcPair* row) { row_ = view_.state(row, position_); }
  __device__ CtcPair row(int) const { return row_; }
  __device__ int skip(int j) const { return j == 0 ? skip_ : skip_behind_; }

  __device__ void fetch(std::int64_t block) {
#pragma unroll
    for (int i = 0; i < kCtcBlock; ++i) column_[i] = view_.column(block * kCtcBlock + i, position_);
  }
  __device__ void emit(std::int64_t, const CtcGroup& group) {
#pragma unroll
    for (int i = 0; i < kCtcBlock; ++i) {
      const CtcFrame& frame = group.frame(i);
      label_[i] = ctc_emission(column_[i], frame.shift, frame.power);
    }
  }

 private:
  const CtcView& view_;
  int position_, skip_, skip_behind_;
  CtcPair now_, row_, other_[kCtcBlock];
  CtcNumber label_[kCtcBlock];
  float column_[kCtcBlock];
};

static_assert((kCtcBlock + 1) * sizeof(CtcPair) + kCtcBlock * sizeof(CtcNumber) + sizeof(int) <= kCtcHomeBytes / 2);

/// Position j of the group's thread i is i * count + j; its memory lies beside that of the j-th of other threads.
class CtcManyHome {
 public:
  static constexpr int kUnroll = 1;

  /// @param memory  half of CtcScratch::homes of a sequence
  __device__ CtcManyHome(const CtcView& view, int thread, int threads, std::byte* memory)
      : view_(view), thread_(thread), threads_(threads), count_(static_cast<int>((view.labels + threads) / threads)) {
    const std::int64_t all = static_cast<std::int64_t>(threads) * count_;
    pairs_ = reinterpret_cast<CtcPair*>(memory);
    labels_ = reinterpret_cast<CtcNumber*>(pairs_ + (kCtcBlock + 1) * all);
    skips_ = reinterpret_cast<int*>(labels_ + kCtcBlock * all);
    for (int j = 0; j < count_; ++j) skips_[at(0, j)] = view.skip(position(j));
    skip_behind_ = view.skip(position(count_));
  }

  __device__ int count() const { return count_; }
  __device__ std::int64_t position(int j) const { return static_cast<std::int64_t>(thread_) * count_ + j; }
  __device__ CtcPair& now(int j) { return pairs_[at(kCtcBlock, j)]; }
  __device__ CtcPair& other(int i, int j) { return pairs_[at(i, j)]; }
  __device__ CtcNumber label(int i, int j) const { return labels_[at(i, j)]; }
  __device__ void fetch_row(const CtcPair* row) { row_ = row; }
  __device__ CtcPair row(int j) const { return view_.state(row_, position(j)); }
  __device__ int skip(int j) const { return j < count_ ? skips_[at(0, j)] : skip_behind_; }

  __device__ void fetch(std::int64_t) {}
  __device__ void emit(std::int64_t block, const CtcGroup& group) {
    for (int i = 0; i < kCtcBlock; ++i) {
      const std::int64_t t = block * kCtcBlock + i;
      if (t >= view_.length) continue;
      const CtcFrame frame = group.frame(i);
      for (int j = 0; j < count_; ++j) {
        labels_[at(i, j)] = ctc_emission(view_.column(t, position(j)), frame.shift, frame.power);
      }
    }
  }

 private:
  __device__ std::int64_t at(int i, int j) const {
    return (static_cast<std::int64_t>(i) * count_ + j) * threads_ + thread_;
  }

  const CtcView& view_;
  int thread_, threads_, count_, skip_behind_;
  CtcPair* pairs_;
  CtcNumber* labels_;
  int* skips_;
  const CtcPair* row_ = nullptr;
};

}  // namespace seqgpu::kernels
