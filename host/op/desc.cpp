#include "op/desc.hpp"

#include <array>
#include <numeric>

namespace seqgpu::op {

namespace {

constexpr std::array<const char*, std::variant_size_v<AnyDesc>> kNames = {"fill",
                                                                          "copy",
                                                                          "gather",
                                                                          "gather_backward",
                                                                          "matmul",
                                                                          "binary",
                                                                          "affine",
                                                                          "activation",
                                                                          "activation_backward",
                                                                          "concat",
                                                                          "slice",
                                                                          "slice_backward",
                                                                          "window",
                                                                          "window_backward",
                                                                          "dropout",
                                                                          "softmax",
                                                                          "softmax_backward",
                                                                          "reduce",
                                                                          "reduce_backward",
                                                                          "cross_entropy",
                                                                          "cross_entropy_backward",
                                                                          "squared_error",
                                                                          "squared_error_backward",
                                                                          "recurrent",
                                                                          "recurrent_backward",
                                                                          "gradient_norm",
                                                                          "optimizer",
                                                                          "ctc",
                                                                          "ctc_backward"};

double recurrent_cost(const RecurrentDesc& d) {
  constexpr double kStep = 5e3;  // each step waits for the one before, however small
  return kStep * static_cast<double>(d.T) + 2.0 * static_cast<double>(d.T) * static_cast<double>(d.N) *
                                                static_cast<double>(d.H) * static_cast<double>(gate_count(d.cell)) *
                                                static_cast<double>(d.I + d.R);
}

struct Cost {
  double operator()(const MatmulDesc& d) const {
    return 2.0 * static_cast<double>(d.m) * static_cast<double>(d.n) * static_cast<double>(d.k);
  }
  double operator()(const RecurrentForwardDesc& d) const { return recurrent_cost(d); }
  double operator()(const RecurrentBackwardDesc& d) const { return 2 * recurrent_cost(d); }
  double operator()(const SoftmaxDesc& d) const { return 20.0 * static_cast<double>(d.rows * d.cols); }
  double operator()(const CrossEntropyDesc& d) const { return 20.0 * static_cast<double>(d.rows * d.K); }
  double operator()(const CrossEntropyBackwardDesc& d) const { return 20.0 * static_cast<double>(d.rows * d.K); }
  double operator()(const CtcForwardDesc& d) const { return 20.0 * static_cast<double>(d.T * d.N * d.C); }
  double operator()(const CtcBackwardDesc& d) const { return 20.0 * static_cast<double>(d.T * d.N * d.C); }
  template <class D>
  double operator()(const D& d) const {
    return 1e3 + 4.0 * static_cast<double>(elements(d));
  }

  static std::int64_t elements(const WindowDesc& d) { return d.T * d.N * d.E * (2 * d.radius + 1); }
  static std::int64_t elements(const WindowBackwardDesc& d) { return d.T * d.N * d.E * (2 * d.radius + 1); }
  static std::int64_t elements(const ConcatDesc& d) {
    return d.outer * d.inner * std::accumulate(d.extents.begin(), d.extents.end(), std::int64_t{0});
  }
  static std::int64_t elements(const SoftmaxBackwardDesc& d) { return d.rows * d.cols; }
  template <class D>
  static std::int64_t elements(const D& d) {
    if constexpr (requires { d.extent; }) {
      return d.outer * d.extent * d.inner;
    } else if constexpr (requires { d.rows; }) {
      return d.rows * d.width;
    } else if constexpr (requires { d.width; }) {
      return d.count * d.width;
    } else {
      return d.count;
    }
  }
};

}  // namespace

const char* name_of(const AnyDesc& desc) { return kNames[desc.index()]; }

double cost_of(const AnyDesc& desc) { return std::visit(Cost{}, desc); }

bool in_place(const AnyDesc& desc) {
  return std::holds_alternative<BinaryDesc>(desc) || std::holds_alternative<AffineDesc>(desc) ||
         std::holds_alternative<ActivationDesc>(desc) || std::holds_alternative<ActivationBackwardDesc>(desc) ||
         std::holds_alternative<DropoutDesc>(desc) || std::holds_alternative<SoftmaxDesc>(desc) ||
         std::holds_alternative<CrossEntropyBackwardDesc>(desc) || std::holds_alternative<CtcBackwardDesc>(desc);
}

const char* in_place_option(const AnyDesc& desc) {
  const auto* ctc = std::get_if<CtcBackwardDesc>(&desc);
  return ctc && ctc->in_place ? "gradient_in_place" : nullptr;
}

}  // namespace seqgpu::op
