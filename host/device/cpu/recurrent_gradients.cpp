#include <algorithm>

#include "device/cpu/recurrent_backward.hpp"
#include "device/cpu/table.hpp"

// What follows the scan of a block of steps: the products of the gradients of its gates with what the gates had read.
// A product is shared out by groups of columns; each member of the team packs its own.
namespace seqgpu::device::cpu {

namespace {

/// C (+)= A^T B over the rows of a block, A [rows, a_col], B [rows, n].
template <class T>
Gemm<T> rows_product(std::int64_t rows, std::int64_t m, std::int64_t n, const T* a, std::int64_t a_col, const T* b,
                     Rows b_row, T* c, bool add) {
  Gemm<T> g;
  g.m = m;
  g.n = n;
  g.k = rows;
  g.a = a;
  g.a_row = 1;
  g.a_col = a_col;
  g.b = b;
  g.b_row = b_row;
  g.c = c;
  g.c_row = n;
  g.accumulate = add;
  return g;
}
}  // namespace

template <class T>
Gemm<T> d_inputs_product(const Sizes<T>& z, const op::RecurrentDesc& desc, std::int64_t rows, const T* d_wx,
                         const T* w_ih) {
  Gemm<T> g;
  g.precision = desc.precision;
  g.m = rows;
  g.n = desc.I;
  g.k = z.G * z.valid_H;
  g.a = d_wx;
  g.a_row = g.k;
  g.b = w_ih;
  g.b_row = desc.I;
  return g;
}

template <class T>
void Backward<T>::multiply(Gemm<T> g, int chunk) {
  g.precision = desc_.precision;
  const std::int64_t columns = gemm_group_columns<T>(g.precision), groups = (g.n + columns - 1) / columns;
  const std::int64_t first = groups * chunk / chunks_, last = groups * (chunk + 1) / chunks_;
  for (std::int64_t group = first; g.k > 0 && group < last; ++group) gemm_pack_group(g, group, gemm_scratch_);
  gemm_packed_groups(g, gemm_scratch_, first, last);
}

/// Whether the product for W_ih needs a copy of x: B in groups of rows is not for bf16.
template <class T>
bool Backward<T>::copies_x() const {
  return !order_.in_place() || (desc_.precision == Precision::bf16 && order_.outside_rows(1).group > 0);
}

template <class T>
void Backward<T>::add_input_weight(int chunk, Steps block, const Arguments& a) {
  if (!sums_.w_ih) return;
  const std::int64_t GH = z_.G * z_.valid_H, I = desc_.I;
  auto g = rows_product<T>(rows(block), GH, I, d_wx_, GH, x_, I, sums_.w_ih, block.last < order_.steps);
  if (!copies_x() && g.k > 0) {
    g.b = in<T>(a, op::kInX) + order_.outside(0, block.first) * I;
    g.b_row = order_.outside_rows(I);
  }
  multiply(g, chunk);
}

/// d R = d rh^T h; the last gate of a two-phase cell multiplied r*h instead.
template <class T>
void Backward<T>::add_recurrent_weight(int chunk, bool last_gate, Steps block) {
  if (!sums_.w_hh || (last_gate && !z_.cell.two_phase)) return;
  const std::int64_t GH = z_.G * z_.valid_H, R = z_.valid_R, first = z_.cell.two_phase ? GH - z_.valid_H : GH;
  const bool add = block.last < order_.steps;
  const Reserve<T> r = reserve_.from(kept_row(block.first), z_);
  multiply(last_gate ? rows_product<T>(rows(block), z_.valid_H, R, d_rh_ + first, GH, r.second, z_.H,
                                       sums_.w_hh + first * R, add)
                     : rows_product<T>(rows(block), first, R, d_rh_, GH, r.entering, z_.R, sums_.w_hh, add),
           chunk);
}

template <class T>
void Backward<T>::add_projection(int chunk, Steps block) {
  if (!sums_.projection) return;
  const T* m = reserve_.from(kept_row(block.first), z_).unprojected;
  multiply(rows_product<T>(rows(block), z_.valid_R, z_.valid_H, d_projected_, z_.R, m, z_.H, sums_.projection,
                           block.last < order_.steps),
           chunk);
}

/// d x = d wx W
template <class T>
void Backward<T>::multiply_x(int chunk, Steps block, const Arguments& a) {
  T* d_x = out<T>(a, op::kGradX);
  const std::int64_t count = rows(block);
  if (!d_x || count == 0) return;
  auto g = d_inputs_product<T>(z_, desc_, count, d_wx_, nullptr);
  g.c = order_.in_place() ? d_x + order_.outside(0, block.first) * desc_.I : d_x_;
  g.c_row = order_.in_place() ? order_.outside_rows(desc_.I) : Rows(desc_.I);
  const std::int64_t columns = gemm_group_columns<T>(g.precision), groups = (g.n + columns - 1) / columns;
  gemm_packed_groups(g, weights_.w_ih, groups * chunk / chunks_, groups * (chunk + 1) / chunks_);
}

template <class T>
void Backward<T>::scatter_x(int chunk, Steps block, const Arguments& a) {
  T* d_x = out<T>(a, op::kGradX);
  const std::int64_t I = desc_.I;
  for (std::int64_t s = block.first + chunk; d_x && !order_.in_place() && s < block.last; s += chunks_)
    order_.for_each_run(s, [&](std::int64_t j, std::int64_t count) {
      std::copy_n(d_x_ + (row(s) + j) * I, count * I, d_x + order_.outside(j, s) * I);
    });
}

template <class T>
void Backward<T>::run_product(int chunk, std::int64_t which, Steps block, const Arguments& a) {
  switch (which) {
    case 0:
      for (std::int64_t s = block.first + chunk; sums_.w_ih && copies_x() && s < block.last; s += chunks_)
        gather_step(order_, in<T>(a, op::kInX), desc_.I, s, x_ + row(s) * desc_.I);
      return;
    case 1: return add_input_weight(chunk, block, a);
    case 2: return add_recurrent_weight(chunk, false, block);
    case 3: return add_recurrent_weight(chunk, true, block);
    case 4: return add_projection(chunk, block);
    case 5: return multiply_x(chunk, block, a);
    default: return scatter_x(chunk, block, a);
  }
}

#define SEQGPU_INSTANTIATE(T)                                                                                        \
  template Gemm<T> d_inputs_product<T>(const Sizes<T>&, const op::RecurrentDesc&, std::int64_t, const T*, const T*); \
  template void Backward<T>::multiply(Gemm<T>, int);                                                                 \
  template bool Backward<T>::copies_x() const;                                                                       \
  template void Backward<T>::add_input_weight(int, Steps, const Arguments&);                                         \
  template void Backward<T>::add_recurrent_weight(int, bool, Steps);                                                 \
  template void Backward<T>::add_projection(int, Steps);                                                             \
  template void Backward<T>::multiply_x(int, Steps, const Arguments&);                                               \
  template void Backward<T>::scatter_x(int, Steps, const Arguments&);                                                \
  template void Backward<T>::run_product(int, std::int64_t, Steps, const Arguments&);
SEQGPU_INSTANTIATE(float)
SEQGPU_INSTANTIATE(double)
#undef SEQGPU_INSTANTIATE

}  // namespace seqgpu::device::cpu
