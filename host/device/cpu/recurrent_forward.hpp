#pragma once

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "device/cpu/recurrent_weights.hpp"

namespace seqgpu::device::cpu {

/// The forward pass over one part of a batch: for each piece of some steps one product for its inputs, then their scan.
///
/// It is cut into phases for a Team, whose members each have a chunk of the units. Keeps for backward all it needs, or
/// the states before each segment, or nothing. With the states, backward makes what it needs of one segment after the
/// other by a Forward of its own: begin_again().
template <class T>
class Forward {
 public:
  /// @param part  a part of the layer; takes its workspace, and its share of the reserve, from the carvers
  /// @param prepared  Weights, filled
  /// @param again  to run segments once more; else the pass itself
  Forward(const op::RecurrentDesc& part, Carver& workspace, Carver& reserve, const void* prepared, bool again = false);

  /// What comes before the first phase. @param threads  for this part
  void begin(const Order& batch, int part, int parts, int threads);
  int chunks() const { return chunks_; }

  /// The pass.
  std::int64_t phases() const { return 2 + phases_of(0, order_.steps); }
  void run(int chunk, std::int64_t phase, const Arguments& a);

  /// Steps [first, last) from the states that the pass kept before `first`. @param a  without outputs
  std::int64_t phases_again(std::int64_t first, std::int64_t last) const { return 1 + phases_of(first, last); }
  void run_again(int chunk, std::int64_t phase, std::int64_t first, std::int64_t last, const T* states,
                 const Arguments& a);
  /// What that leaves: it begins with the rows of step `first`.
  const Reserve<T>& reserve() const { return reserve_; }

  /// What the pass leaves behind.
  static std::size_t reserve_bytes(const op::RecurrentDesc& part);
  /// Elements of the states before one segment.
  static std::int64_t kept_states(const op::RecurrentDesc& part, const Sizes<T>& z);

 private:
  std::int64_t phases_of_step() const { return 1 + z_.cell.two_phase + desc_.projection; }
  std::int64_t phases_of(std::int64_t first, std::int64_t last) const;
  /// One of the phases of steps [first, last).
  void run_phase(int chunk, std::int64_t phase, std::int64_t first, std::int64_t last, const Arguments& a);
  void load_initial(const Arguments& a);
  void draw_mask(const Arguments& a);
  void keep_states(std::int64_t s);
  void gather(int chunk, std::int64_t first, std::int64_t last, const Arguments& a);
  void multiply_inputs(int chunk, std::int64_t first, std::int64_t last, const Arguments& a);
  void step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const T* wx, const Arguments& a) const;
  void multiply_cell(std::int64_t s, bool second, Range units, const T* wx) const;
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

  op::RecurrentDesc desc_;
  Sizes<T> z_;
  bool keep_all_;
  Order order_;
  T *wx_, *x_, *mask_, *keep_;
  Weights<T> weights_;
  T* kept_ = nullptr;  // states before each segment
  Reserve<T> reserve_;
  int chunks_ = 1;
  std::array<Range, kMostChunks> units_, outputs_;  // by chunk
  std::uint64_t draw_ = 0;                          // Philox step
  std::int64_t origin_ = 0;                         // step whose rows the reserve begins with
};

extern template class Forward<float>;
extern template class Forward<double>;

}  // namespace seqgpu::device::cpu
