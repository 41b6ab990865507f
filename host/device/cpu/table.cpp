#include "device/cpu/table.hpp"

#include "device/cpu/ctc_plan.hpp"
#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent.hpp"

namespace seqgpu::device::cpu {
namespace {

template <class D>
void launch(const op::AnyDesc& any, const Arguments& a) {
  const D& desc = std::get<D>(any);
  if (desc.dtype == DType::f64) {
    compute<double>(desc, a);
  } else {
    compute<float>(desc, a);
  }
}

std::size_t none(const op::AnyDesc&, const Limits&) { return 0; }

template <class D>
void add(OpTable& table, const char* name, std::size_t (*workspace)(const op::AnyDesc&, const Limits&) = none) {
  table.of<D>().push_back({name, nullptr, workspace, nullptr, launch<D>});
}

std::size_t matmul_workspace(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::MatmulDesc>(any);
  return d.dtype == DType::f64 ? gemm_workspace<double>(d.m, d.n, d.k) : gemm_workspace<float>(d.m, d.n, d.k);
}
// One double per tile of 64 rows or kTile elements, and a little more for empty tensors.
std::size_t row_sums(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::CrossEntropyDesc>(any);
  return static_cast<std::size_t>(d.rows / 64 + 1) * sizeof(double);
}
std::size_t norm_sums(const op::AnyDesc& any, const Limits&) {
  return static_cast<std::size_t>(tiles_of(std::get<op::GradientNormDesc>(any).count) + 1) * sizeof(double);
}

std::size_t ctc_workspace(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::CtcForwardDesc>(any);
  return d.dtype == DType::f64 ? ctc_workspace_bytes<double>(d, !d.training)
                               : ctc_workspace_bytes<float>(d, !d.training);
}
std::size_t ctc_reserve(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::CtcForwardDesc>(any);
  return d.dtype == DType::f64 ? ctc_reserve_bytes<double>(d) : ctc_reserve_bytes<float>(d);
}
std::size_t ctc_backward_workspace(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::CtcBackwardDesc>(any);
  return d.dtype == DType::f64 ? ctc_workspace_bytes<double>(d, false) : ctc_workspace_bytes<float>(d, false);
}

OpTable make_table() {
  OpTable t;
  add<op::FillDesc>(t, "fill");
  add<op::CopyDesc>(t, "copy");
  add<op::GatherDesc>(t, "rows");
  add<op::GatherBackwardDesc>(t, "rows in order");
  add<op::MatmulDesc>(t, "packed gemm", matmul_workspace);
  add<op::BinaryDesc>(t, "loop");
  add<op::AffineDesc>(t, "loop");
  add<op::ActivationDesc>(t, "loop");
  add<op::ActivationBackwardDesc>(t, "loop");
  add<op::ConcatDesc>(t, "copy");
  add<op::SliceDesc>(t, "copy");
  add<op::SliceBackwardDesc>(t, "copy");
  add<op::WindowDesc>(t, "copy");
  add<op::WindowBackwardDesc>(t, "sum");
  add<op::DropoutDesc>(t, "philox");
  add<op::SoftmaxDesc>(t, "rows");
  add<op::SoftmaxBackwardDesc>(t, "rows");
  add<op::ReduceDesc>(t, "loop");
  add<op::ReduceBackwardDesc>(t, "loop");
  add<op::CrossEntropyDesc>(t, "rows", row_sums);
  add<op::CrossEntropyBackwardDesc>(t, "rows");
  add<op::SquaredErrorDesc>(t, "rows");
  add<op::SquaredErrorBackwardDesc>(t, "rows");
  add<op::GradientNormDesc>(t, "one pass", norm_sums);
  add<op::OptimizerDesc>(t, "one fused pass");
  t.of<op::RecurrentForwardDesc>().push_back(
      {"packed scan", nullptr,
       [](const op::AnyDesc& d, const Limits&) {
         return recurrent_forward_workspace(std::get<op::RecurrentForwardDesc>(d));
       },
       [](const op::AnyDesc& d, const Limits&) {
         return recurrent_reserve_bytes(std::get<op::RecurrentForwardDesc>(d));
       },
       [](const op::AnyDesc& d, const Arguments& a) { recurrent_forward(std::get<op::RecurrentForwardDesc>(d), a); }});
  t.of<op::RecurrentBackwardDesc>().push_back({"packed scan", nullptr,
                                               [](const op::AnyDesc& d, const Limits&) {
                                                 return recurrent_backward_workspace(
                                                     std::get<op::RecurrentBackwardDesc>(d));
                                               },
                                               nullptr,
                                               [](const op::AnyDesc& d, const Arguments& a) {
                                                 recurrent_backward(std::get<op::RecurrentBackwardDesc>(d), a);
                                               }});
  t.of<op::RecurrentBackwardDesc>().back().unread = 1u << op::kInOutput;
  t.of<op::CtcForwardDesc>().push_back(
      {"mantissa and exponent", nullptr, ctc_workspace, ctc_reserve, launch<op::CtcForwardDesc>});
  add<op::CtcBackwardDesc>(t, "mantissa and exponent", ctc_backward_workspace);
  return t;
}

}  // namespace

const OpTable& table() {
  static const OpTable instance = make_table();
  return instance;
}

template <class T>
void compute(const op::MatmulDesc& d, const Arguments& a) {
  Gemm<T> g;
  g.m = d.m;
  g.n = d.n;
  g.k = d.k;
  g.a = in<T>(a, 0);
  g.a_row = d.transpose_a ? 1 : d.k;
  g.a_col = d.transpose_a ? d.m : 1;
  g.b = in<T>(a, 1);
  g.b_row = d.transpose_b ? 1 : d.n;
  g.b_col = d.transpose_b ? d.k : 1;
  g.c = out<T>(a, 0);
  g.c_row = d.n;
  g.bias = in<T>(a, 2);
  gemm<T>(g, a.workspace, *a.parallel);
}

}  // namespace seqgpu::device::cpu
