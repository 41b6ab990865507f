#include "device/cpu/recurrent_weights.hpp"

#include "device/cpu/recurrent.hpp"

namespace seqgpu::device::cpu {

template <class T>
Weights<T> Weights<T>::take(Carver& carver, const Sizes<T>& z, const op::RecurrentDesc& d) {
  const std::int64_t GH = z.G * z.H;
  Weights w;
  w.b_ih = carver.take<T>(GH);
  w.b_hh = carver.take<T>(GH);
  w.unit = carver.take<T>(z.cell.unit_parameters * z.H);
  w.b_projection = carver.take<T>(d.projection ? z.R : 0);
  w.panels = carver.take<T>(GH * z.valid_R);
  w.projection_panels = carver.take<T>(d.projection ? z.R * z.valid_H : 0);
  w.w_ih = carver.take<std::byte>(static_cast<std::int64_t>(gemm_workspace<T>(0, GH, d.I)));
  return w;
}

template <class T>
std::size_t Weights<T>::bytes(const op::RecurrentDesc& desc) {
  Carver carver;
  take(carver, Sizes<T>(desc), desc);
  return carver.used;
}

template <class T>
std::size_t Weights<T>::scratch_bytes(const op::RecurrentDesc& desc) {
  const Sizes<T> z(desc);
  Carver carver;
  carver.take<T>(z.H == z.valid_H ? 0 : z.G * z.H * desc.I);
  return carver.used;
}

template <class T>
void Weights<T>::fill(const Sizes<T>& z, const op::RecurrentDesc& d, const Arguments& a, void* scratch) {
  const auto input = [&](int slot) { return static_cast<const T*>(a.inputs[slot]); };
  const auto& kernels = simd().recurrent<T>(d.precision);
  const std::int64_t H = z.valid_H, R = z.valid_R;
  pad_units(input(op::kInBih), z.G, H, 1, b_ih);
  pad_units(input(op::kInBhh), z.G, H, 1, b_hh);
  pad_units(input(op::kInUnit), z.cell.unit_parameters, H, 1, unit);
  const T* r = input(op::kInWhh);
  const std::int64_t first = z.cell.two_phase ? z.G - 1 : z.G;
  pack_all(kernels, {r, first, H * R, H, R, R, 1}, z.H, panels, *a.parallel);
  if (z.cell.two_phase) {
    const PanelSource<T> last{r + first * H * R, 1, 0, H, R, R, 1};
    pack_all(kernels, last, z.H, panels + first * z.H * R, *a.parallel);
  }
  if (d.projection) {
    pad_units(input(op::kInProjB), 1, R, 1, b_projection);
    pack_all(kernels, {input(op::kInProj), 1, 0, R, H, H, 1}, z.R, projection_panels, *a.parallel);
  }
  const T* w = input(op::kInWih);
  if (z.H != H) {
    pad_units(w, z.G, H, d.I, static_cast<T*>(scratch));
    w = static_cast<const T*>(scratch);
  }
  gemm_pack<T>(inputs_product<T>(z, d, nullptr, 0, w, nullptr, nullptr), w_ih, *a.parallel);
}

template <class T>
Gemm<T> inputs_product(const Sizes<T>& z, const op::RecurrentDesc& d, const T* x, std::int64_t rows, const T* w_ih,
                       const T* b_ih, T* wx) {
  Gemm<T> g;
  g.precision = d.precision;
  g.m = rows;
  g.n = z.G * z.H;
  g.k = d.I;
  g.a = x;
  g.a_row = d.I;
  g.b = w_ih;
  g.b_row = 1;
  g.b_col = d.I;
  g.c = wx;
  g.c_row = g.n;
  g.bias = b_ih;
  return g;
}

template struct Weights<float>;
template struct Weights<double>;
template Gemm<float> inputs_product<float>(const Sizes<float>&, const op::RecurrentDesc&, const float*, std::int64_t,
                                           const float*, const float*, float*);
template Gemm<double> inputs_product<double>(const Sizes<double>&, const op::RecurrentDesc&, const double*,
                                             std::int64_t, const double*, const double*, double*);

namespace {
template <class T>
void prepare(const op::RecurrentDesc& desc, const Arguments& a) {
  const Sizes<T> z(desc);
  Carver carver{static_cast<std::byte*>(a.prepared)};
  Weights<T>::take(carver, z, desc).fill(z, desc, a, a.workspace);
}
}  // namespace

std::size_t recurrent_prepared_bytes(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? Weights<double>::bytes(desc) : Weights<float>::bytes(desc);
}

void recurrent_prepare(const op::RecurrentDesc& desc, const Arguments& a) {
  desc.dtype == DType::f64 ? prepare<double>(desc, a) : prepare<float>(desc, a);
}

bool recurrent_prepared_alike(const op::RecurrentDesc& a, const op::RecurrentDesc& b) {
  return a.cell == b.cell && a.dtype == b.dtype && a.precision == b.precision && a.I == b.I && a.H == b.H &&
         a.R == b.R && a.projection == b.projection;
}

}  // namespace seqgpu::device::cpu
