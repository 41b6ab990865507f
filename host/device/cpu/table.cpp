#include "device/cpu/table.hpp"

#include <string>
#include <type_traits>

#include "device/cpu/ctc_plan.hpp"
#include "device/cpu/dispatch.hpp"
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

template <class T>
Gemm<T> product(const op::MatmulDesc& d, const Arguments& a) {
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
  return g;
}

/// B packed.
constexpr Preparation kMatmulPreparation{
    1u << 1,
    [](const op::AnyDesc& any, const Limits&) {
      const auto& d = std::get<op::MatmulDesc>(any);
      return d.dtype == DType::f64 ? gemm_workspace<double>(d.m, d.n, d.k) : gemm_workspace<float>(d.m, d.n, d.k);
    },
    [](const op::AnyDesc& any, const Arguments& a) {
      const auto& d = std::get<op::MatmulDesc>(any);
      if (d.dtype == DType::f64) {
        gemm_pack<double>(product<double>(d, a), a.prepared, *a.parallel);
      } else {
        gemm_pack<float>(product<float>(d, a), a.prepared, *a.parallel);
      }
    },
    [](const op::AnyDesc& one, const op::AnyDesc& other) {
      const auto &a = std::get<op::MatmulDesc>(one), &b = std::get<op::MatmulDesc>(other);
      return a.dtype == b.dtype && a.n == b.n && a.k == b.k && a.transpose_b == b.transpose_b;
    }};

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

template <class D>
std::string accepts_bf16(const op::AnyDesc& any, const Limits&) {
  const D& d = std::get<D>(any);
  if (d.precision == Precision::tf32) return "tf32 is wanted, products are f32";
  if (d.precision != Precision::bf16) return std::string(to_string(d.precision)) + " is wanted";
  if (d.dtype != DType::f32) return std::string(to_string(d.dtype)) + " stays " + to_string(d.dtype);
  return simd().has_bf16() ? "" : "this processor has no AVX-512 BF16, products are f32";
}

/// @tparam precision  of the row's products
template <class D, Precision precision>
Implementation recurrent_row(const char* name) {
  constexpr bool forward = std::is_same_v<D, op::RecurrentForwardDesc>;
  Implementation row{name, precision == Precision::bf16 ? accepts_bf16<D> : nullptr,
                     [](const op::AnyDesc& any, const Limits&) {
                       const D& d = std::get<D>(any);
                       return forward ? recurrent_forward_workspace(d) : recurrent_backward_workspace(d);
                     },
                     nullptr,
                     [](const op::AnyDesc& any, const Arguments& a) {
                       D d = std::get<D>(any);
                       d.precision = precision;
                       forward ? recurrent_forward(d, a) : recurrent_backward(d, a);
                     }};
  if (!forward) {
    row.unread = 1u << op::kInOutput;
    return row;
  }
  row.opaque_bytes = [](const op::AnyDesc& any, const Limits&) { return recurrent_reserve_bytes(std::get<D>(any)); };
  row.preparation = {kRecurrentPrepared,
                     [](const op::AnyDesc& any, const Limits&) { return recurrent_prepared_bytes(std::get<D>(any)); },
                     [](const op::AnyDesc& any, const Arguments& a) {
                       D d = std::get<D>(any);
                       d.precision = precision;
                       recurrent_prepare(d, a);
                     },
                     [](const op::AnyDesc& a, const op::AnyDesc& b) {
                       return recurrent_prepared_alike(std::get<D>(a), std::get<D>(b));
                     }};
  return row;
}

template <class D>
void add_recurrent(OpTable& table) {
  table.of<D>().push_back(recurrent_row<D, Precision::bf16>("packed scan in bf16"));
  table.of<D>().push_back(recurrent_row<D, Precision::f32>("packed scan"));
}

OpTable make_table() {
  OpTable t;
  add<op::FillDesc>(t, "fill");
  add<op::CopyDesc>(t, "copy");
  add<op::GatherDesc>(t, "rows");
  add<op::GatherBackwardDesc>(t, "rows in order");
  add<op::MatmulDesc>(t, "packed gemm");
  t.of<op::MatmulDesc>().back().preparation = kMatmulPreparation;
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
  add_recurrent<op::RecurrentForwardDesc>(t);
  add_recurrent<op::RecurrentBackwardDesc>(t);
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
  gemm_packed<T>(product<T>(d, a), a.prepared, *a.parallel);
}

}  // namespace seqgpu::device::cpu
