#pragma once

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "device/cpu/recurrent_weights.hpp"

namespace seqgpu::device::cpu {

/// The forward pass: for each piece of a block of steps one product for its inputs, then their scan.
///
/// Keeps for backward all it needs, or the states before each segment, or nothing. With the states, backward makes what
/// it needs of one segment after the other by a Forward of its own: again().
template <class T>
class Forward {
 public:
  /// @param again  to run segments once more, into `reserve_block`; else the pass itself
  /// @param prepared  Weights, filled
  Forward(const op::RecurrentDesc& desc, void* workspace, const void* prepared, void* reserve_block,
          bool again = false);
  std::size_t workspace_bytes() const { return bytes_; }

  /// @throws Error{invalid_argument} for an illegal length
  void run(const Arguments& a);

  /// What comes before the first step: the order of rows, dropout's mask.
  /// @throws Error{invalid_argument} for an illegal length
  void begin(const Arguments& a);
  /// Steps [first, last) from the states that run() kept before `first`. @param a  without outputs
  /// @return their reserve, which begins with the rows of step `first`
  const Reserve<T>& again(std::int64_t first, std::int64_t last, const T* states, const Arguments& a);

  /// What run() leaves behind.
  static std::size_t reserve_bytes(const op::RecurrentDesc& desc);
  /// Elements of the states before one segment.
  static std::int64_t kept_states(const op::RecurrentDesc& desc, const Sizes<T>& z);

 private:
  /// Steps [first, last), a block at most.
  void scan(std::int64_t first, std::int64_t last, const Arguments& a);
  void scan_piece(std::int64_t first, std::int64_t last, const Arguments& a);
  void load_initial(const Arguments& a);
  void step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const;
  void multiply_cell(std::int64_t s, bool second, Range units) const;
  void project(std::int64_t s, Range outputs) const;
  void publish(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void zone_out(std::int64_t s, std::int64_t state, Range columns) const;
  void enter(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void clear_padding(const Arguments& a) const;

  /// Packed row of step s's first in what is kept per step; and in the states, of which two steps are there in turn
  /// where they are not kept.
  std::int64_t row(std::int64_t s) const { return keep_all_ ? order_.base[s] - order_.base[origin_] : 0; }
  std::int64_t state_row(std::int64_t s) const { return keep_all_ ? row(s) : s % 2 * desc_.N; }
  /// A state before step s.
  T* before(std::int64_t s, std::int64_t state) const { return reserve_.prev[state] + state_row(s) * z_.width(state); }
  T* entering(std::int64_t s) const { return reserve_.entering + state_row(s) * z_.R; }

  const op::RecurrentDesc& desc_;
  Sizes<T> z_;
  bool keep_all_;
  Order order_;
  T *wx_, *x_, *mask_, *keep_;
  Weights<T> weights_;
  T* kept_ = nullptr;  // states before each segment
  Reserve<T> reserve_;
  std::size_t bytes_ = 0;
  std::uint64_t draw_ = 0;   // Philox step
  std::int64_t origin_ = 0;  // step whose rows the reserve begins with
  std::int64_t piece_ = 0;   // first step of the piece that wx_ is of
};

extern template class Forward<float>;
extern template class Forward<double>;

}  // namespace seqgpu::device::cpu
