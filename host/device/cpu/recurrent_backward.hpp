#pragma once

#include <optional>

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent_forward.hpp"
#include "device/cpu/recurrent_plan.hpp"

namespace seqgpu::device::cpu {

/// What the backward scan reads of a layer's weights, packed for the micro-kernels: made once a pass, for all parts.
template <class T>
struct BackwardWeights {
  T *panels = nullptr, *projection_panels = nullptr, *unit = nullptr;
  std::byte* w_ih = nullptr;

  static BackwardWeights take(Carver& carver, const op::RecurrentDesc& desc);
  void fill(const op::RecurrentDesc& desc, const Arguments& a);
};

/// d x = d wx W over `rows` rows, but for where it goes.
template <class T>
Gemm<T> d_inputs_product(const Sizes<T>& z, const op::RecurrentDesc& desc, std::int64_t rows, const T* d_wx,
                         const T* w_ih);

/// The backward pass over one part of a batch: the scan from the last step to the first gives the gradient of every
/// gate input, packed as in forward; after each block of steps one product for each weight adds the block's share. d s
/// is the gradient of the loss by s.
///
/// It is cut into phases for a Team, as forward is.
template <class T>
class Backward {
 public:
  /// @param part  a part of the layer; takes its workspace, and its share of the reserve, from the carvers
  /// @param first  of the parts: its sums go to the caller's gradients, those of the others to where sums() tells
  Backward(const op::RecurrentDesc& part, Carver& workspace, Carver& reserve, const BackwardWeights<T>& weights,
           const void* forward_weights, bool first);

  /// What comes before the first phase. @param threads  for this part
  void begin(const Order& batch, int part, int parts, int threads, const Arguments& a);
  int chunks() const { return chunks_; }

  /// The pass goes by segments: all steps are one where forward kept all that is needed. Segments are counted from the
  /// last steps on; a part may have fewer than another.
  std::int64_t segments() const;
  std::int64_t phases(std::int64_t segment) const;
  /// @param again  forward's arguments, without outputs
  void run(int chunk, std::int64_t segment, std::int64_t phase, const Arguments& a, const Arguments& again);
  /// What comes after the last: the gradients of this part's sequences. Those of biases are left in sums().
  void end(const Arguments& a) const;

  /// The sums over this part's steps: [G*H, I], [G*H, R], [R, H] of the weights, null where nobody wants them; units
  /// padded of the biases and the unit parameters.
  struct Sums {
    T *w_ih = nullptr, *w_hh = nullptr, *projection = nullptr;
    T *b_ih = nullptr, *b_hh = nullptr, *unit = nullptr, *b_projection = nullptr;
  };
  const Sums& sums() const { return sums_; }

 private:
  struct Steps {
    std::int64_t first = 0, last = 0;  // [first, last)
  };

  bool zoned(std::int64_t s) const { return desc_.training && zoneout_rate(desc_, s) > 0; }
  Steps steps_of(std::int64_t segment) const;
  std::int64_t phases_of_step() const { return 1 + z_.cell.two_phase + desc_.projection; }
  void clear(const Arguments& a);
  void run_block(int chunk, std::int64_t phase, Steps block, const Arguments& a);
  void step(std::int64_t s, std::int64_t phase, Steps block, Range units, Range outputs, const Arguments& a) const;
  void take_outputs(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void zone_out(std::int64_t s, std::int64_t state, Range columns) const;
  void project(std::int64_t s, Range outputs) const;
  StepBackward<T> cell_step(std::int64_t s, Range units) const;
  void run_cell(std::int64_t s, Range units) const;
  void run_cell_second(std::int64_t s, Range units) const;
  void recur(std::int64_t s, Range units, Range outputs, const Arguments& a) const;
  void add_biases(const StepBackward<T>& p) const;
  void keep_gates(std::int64_t s, const StepBackward<T>& p) const;

  // After a block, in recurrent_gradients.cpp.
  static constexpr std::int64_t kProducts = 7;  // phases
  void run_product(int chunk, std::int64_t which, Steps block, const Arguments& a);
  void multiply(Gemm<T> g, int chunk);
  void add_input_weight(int chunk, Steps block, const Arguments& a);
  void add_recurrent_weight(int chunk, bool last_gate, Steps block);
  void add_projection(int chunk, Steps block);
  void multiply_x(int chunk, Steps block, const Arguments& a);
  void scatter_x(int chunk, Steps block, const Arguments& a);
  bool copies_x() const;

  /// Packed row of step s's first in its block, and in the reserve.
  std::int64_t row(std::int64_t s) const { return order_.base[s] - order_.base[s / block_ * block_]; }
  std::int64_t rows(Steps block) const { return order_.base[block.last] - order_.base[block.first]; }
  std::int64_t kept_row(std::int64_t s) const { return order_.base[s] - order_.base[s / segment_ * segment_]; }
  bool padded_gates() const { return z_.H != z_.valid_H; }

  op::RecurrentDesc desc_;
  Sizes<T> z_;
  Order order_;
  BackwardWeights<T> weights_;
  std::int64_t block_, segment_;  // steps of one
  T *x_, *d_x_;
  T* d_state_[op::kMaxStates] = {};  // of the states after the current step, in sorted order
  T* kept_[op::kMaxStates] = {};     // the part that zoneout hands straight to the step before
  T *direct_, *d_cell_h_, *d_second_, *d_entering_;
  // Packed rows of the block, gates not padded: the products take no time for padding. A step's own are padded, and lie
  // apart where that is not the same.
  T *d_wx_, *d_rh_, *d_projected_;
  T *step_d_wx_, *step_d_rh_;
  T *mask_, *keep_;
  Sums sums_, own_;  // own_: memory for those that do not go to the caller
  std::byte* gemm_scratch_;
  bool first_;
  const T* kept_states_ = nullptr;  // before each segment
  std::optional<Forward<T>> forward_;
  Reserve<T> reserve_;
  int chunks_ = 1;
  std::array<Range, kMostChunks> units_, outputs_;  // by chunk
  std::uint64_t draw_ = 0;
};

extern template struct BackwardWeights<float>;
extern template struct BackwardWeights<double>;
extern template class Backward<float>;
extern template class Backward<double>;

}  // namespace seqgpu::device::cpu
