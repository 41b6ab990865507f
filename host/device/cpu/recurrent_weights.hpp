#pragma once

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent_plan.hpp"

namespace seqgpu::device::cpu {

/// What the forward scan reads of a layer's weights: packed for the micro-kernel, units padded. A function of the
/// weights alone, whatever T, N and lengths: in inference made once, and kept.
template <class T>
struct Weights {
  T *b_ih = nullptr, *b_hh = nullptr, *unit = nullptr, *b_projection = nullptr;
  T *panels = nullptr, *projection_panels = nullptr;
  std::byte* w_ih = nullptr;

  static Weights take(Carver& carver, const Sizes<T>& z, const op::RecurrentDesc& desc);
  static std::size_t bytes(const op::RecurrentDesc& desc);
  /// What fill() needs beside.
  static std::size_t scratch_bytes(const op::RecurrentDesc& desc);
  void fill(const Sizes<T>& z, const op::RecurrentDesc& desc, const Arguments& a, void* scratch);
};

/// wx = x W^T + b over `rows` rows; W is w_ih, its units padded.
template <class T>
Gemm<T> inputs_product(const Sizes<T>& z, const op::RecurrentDesc& desc, const T* x, std::int64_t rows, const T* w_ih,
                       const T* b_ih, T* wx);

extern template struct Weights<float>;
extern template struct Weights<double>;

}  // namespace seqgpu::device::cpu
