#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/recurrent.hpp"
#include "kernels/cells/all_cells.hpp"
#include "kernels/math/philox.hpp"
#include "seqgpu/error.hpp"
#include "tests/reference/recurrent.hpp"
#include "tests/support/expected_layer.hpp"
#include "tests/support/serial_parallel.hpp"

// Layers of every cell and option, run on the CPU implementation: what the tests of it share.
namespace seqgpu::test {

using support::expected;

using device::cpu::recurrent_backward;
using device::cpu::recurrent_forward;
using reference::Vector;

inline const CellKind kCells[] = {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before};

struct Layer {
  op::RecurrentForwardDesc desc;
  Vector in[op::kForwardInputs];  // by slot; empty: absent
  std::vector<std::int32_t> lengths, resets;
  std::int64_t step = 3;
};

struct Result {
  Vector y, states, final[2];
  Vector gradient[op::kBackwardOutputs];
};

/// The tensor that a gradient is of.
inline constexpr int kGradientOf[op::kBackwardOutputs] = {
    op::kInX,    op::kInWih,   op::kInWhh,    op::kInBih,        op::kInBhh,       op::kInUnit,
    op::kInProj, op::kInProjB, op::kInState0, op::kInState0 + 1, op::kInState0 + 2};

struct Variant {
  const char* name;
  std::function<void(Layer&)> set;
  bool lstm_only = false, no_gru = false;
};

inline const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"plain", [](Layer&) {}},
      {"ragged", [](Layer& l) { l.lengths.resize(1); }},
      {"initial", [](Layer& l) { l.in[op::kInState0].resize(1); }},
      {"resets", [](Layer& l) { l.resets.resize(1), l.in[op::kInState0].resize(1), l.lengths.resize(1); }},
      {"no_bias", [](Layer& l) { l.desc.seed = 99; }},
      {"peephole", [](Layer& l) { l.desc.peephole = true; }, true},
      {"coupled_peephole", [](Layer& l) { l.desc.peephole = l.desc.coupled_gates = true; }, true},
      {"clip", [](Layer& l) { l.desc.cell_clip = 0.25f, l.desc.peephole = true; }, true},
      {"projection", [](Layer& l) { l.desc.projection = true, l.lengths.resize(1); }, false, true},
      {"jordan", [](Layer& l) { l.desc.projection = true, l.desc.projection_activation = Activation::sigmoid; }, false,
       true},
      {"dropout", [](Layer& l) { l.desc.recurrent_dropout = 0.4f, l.lengths.resize(1); }},
      {"zoneout",
       [](Layer& l) { l.desc.zoneout_hidden = 0.3f, l.desc.zoneout_cell = 0.5f, l.in[op::kInState0].resize(1); }},
      {"projected_zoneout_dropout",
       [](Layer& l) {
         l.desc.projection = true, l.desc.zoneout_hidden = 0.3f, l.desc.recurrent_dropout = 0.3f;
         l.lengths.resize(1), l.resets.resize(1), l.in[op::kInState0].resize(1);
       },
       false, true},
      {"linear", [](Layer& l) { l.desc.activation = l.desc.output_activation = Activation::linear; }},
      {"relu", [](Layer& l) { l.desc.activation = l.desc.output_activation = Activation::relu; }},
      {"sigmoid", [](Layer& l) { l.desc.activation = l.desc.output_activation = Activation::sigmoid; }},
  };
  return all;
}

inline bool fits(const Variant& v, CellKind cell) {
  if (v.lstm_only) return cell == CellKind::lstm;
  return !v.no_gru || cell == CellKind::lstm || cell == CellKind::elman;
}

/// Random tensors for the slots that the variant wants.
inline Layer make_layer(CellKind cell, Direction direction, const Variant& variant, int T, int N, int I, int H) {
  Layer l;
  auto& d = l.desc;
  d.cell = cell;
  d.direction = direction;
  d.T = T, d.N = N, d.I = I, d.H = H;
  d.seed = 7, d.stream = 5;
  variant.set(l);
  d.R = d.projection ? std::max(1, H - 1) : H;
  std::mt19937 random(static_cast<unsigned>(T * 1000 + N * 100 + H));
  std::uniform_real_distribution<double> uniform(-1, 1);
  const auto fill = [&](int slot, std::int64_t count, double scale) {
    l.in[slot].resize(static_cast<std::size_t>(count));
    // Rounded to float, so that f32 and f64 runs see the same numbers.
    for (double& v : l.in[slot]) v = static_cast<float>(uniform(random) * scale);
  };
  const std::int64_t G = gate_count(cell);
  const double scale = 1.5 / std::sqrt(static_cast<double>(H));
  fill(op::kInX, d.T * d.N * d.I, 1);
  fill(op::kInWih, G * H * I, 0.8);
  fill(op::kInWhh, G * H * d.R, scale);
  if (d.seed != 99) {
    fill(op::kInBih, G * H, 0.5);
    fill(op::kInBhh, G * H, 0.5);
  }
  if (d.peephole) fill(op::kInUnit, 3 * H, 0.7);
  if (d.projection) fill(op::kInProj, d.R * H, scale);
  if (d.projection) fill(op::kInProjB, d.R, 0.5);
  if (!l.in[op::kInState0].empty()) {
    fill(op::kInState0, N * d.R, 1);
    if (state_count(cell) > 1) fill(op::kInState0 + 1, N * H, 1);
  }
  if (!l.lengths.empty()) {
    l.lengths.assign(static_cast<std::size_t>(N), 0);
    for (int n = 0; n < N; ++n) l.lengths[n] = n == 0 ? T / 2 : n == 1 ? 0 : n == 2 ? T : (n * 7) % (T + 1);
  }
  if (!l.resets.empty()) {
    l.resets.resize(static_cast<std::size_t>(T * N));
    for (std::size_t i = 0; i < l.resets.size(); ++i) l.resets[i] = i % 4 == 2 || i % 7 == 5 ? 2 : 0;
  }
  return l;
}

template <class T>
Vector widen(const std::vector<T>& v) {
  return Vector(v.begin(), v.end());
}

/// Gradient of the loss by output i of kind `kind`: any fixed numbers.
inline double loss_weight(int kind, std::size_t i) { return std::sin(1.3 * static_cast<double>(i) + kind); }

inline double loss(const Result& r) {
  double sum = 0;
  const auto add = [&](int kind, const Vector& v) {
    for (std::size_t i = 0; i < v.size(); ++i) sum += loss_weight(kind, i) * v[i];
  };
  add(0, r.y), add(1, r.final[0]), add(2, r.final[1]), add(3, r.states);
  return sum;
}

template <class T>
struct Session {
  Session(const Layer& layer, bool training) : desc(layer.desc) {
    desc.dtype = dtype_of<T>;
    desc.training = training;
    S = state_count(desc.cell);
    for (int i = 0; i < op::kForwardInputs; ++i) {
      in[i].assign(layer.in[i].begin(), layer.in[i].end());
      inputs[i] = in[i].empty() ? nullptr : in[i].data();
    }
    inputs[op::kInX] = in[op::kInX].data();
    lengths = layer.lengths, resets = layer.resets, step = layer.step;
    if (!lengths.empty()) inputs[op::kInLengths] = lengths.data();
    if (!resets.empty()) inputs[op::kInResets] = resets.data();
    inputs[op::kInStep] = &step;
  }

  Result forward(device::Parallel& parallel) {
    const auto count = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const T junk = std::numeric_limits<T>::quiet_NaN();
    y.assign(count(desc.T * desc.N * desc.R), junk);
    states.assign(count(S > 1 ? desc.T * desc.N * desc.H : 0), junk);
    final_h.assign(count(desc.N * desc.R), junk);
    final_c.assign(count(S > 1 ? desc.N * desc.H : 0), junk);
    reserve.assign(device::cpu::recurrent_reserve_bytes(desc) + 64, std::byte{0xFF});
    std::vector<std::byte> scratch(device::cpu::recurrent_forward_workspace(desc) + 64, std::byte{0xFF});
    void* outputs[op::kForwardOutputs] = {};
    outputs[op::kOutY] = y.data();
    outputs[op::kOutFinal0] = final_h.data();
    if (S > 1) outputs[op::kOutFinal0 + 1] = final_c.data();
    if (S > 1) outputs[op::kOutStates0] = states.data();
    if (desc.training) outputs[op::kOutReserve] = aligned(reserve);
    std::vector<std::byte> prepared(device::cpu::recurrent_prepared_bytes(desc) + 64, std::byte{0xFF});
    const device::Arguments arguments{inputs, outputs, aligned(scratch), &parallel, nullptr, aligned(prepared)};
    device::cpu::recurrent_prepare(desc, arguments);
    device::cpu::recurrent_forward(desc, arguments);
    Result r;
    r.y = widen(y), r.states = widen(states), r.final[0] = widen(final_h), r.final[1] = widen(final_c);
    return r;
  }

  void backward(device::Parallel& parallel, Result& r) {
    const auto weights = [](int kind, std::size_t n) {
      std::vector<T> v(n);
      for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<T>(loss_weight(kind, i));
      return v;
    };
    const auto dy = weights(0, y.size()), dh = weights(1, final_h.size()), dc = weights(2, final_c.size()),
               ds = weights(3, states.size());
    inputs[op::kInOutput] = y.data();
    inputs[op::kInReserve] = aligned(reserve);
    inputs[op::kInDOutput] = dy.data();
    inputs[op::kInDFinal0] = dh.data();
    if (S > 1) inputs[op::kInDFinal0 + 1] = dc.data();
    if (S > 1) inputs[op::kInDStates0] = ds.data();
    const std::int64_t G = gate_count(desc.cell);
    const std::int64_t sizes[op::kBackwardOutputs] = {desc.T * desc.N * desc.I,
                                                      G * desc.H * desc.I,
                                                      G * desc.H * desc.R,
                                                      G * desc.H,
                                                      G * desc.H,
                                                      desc.peephole ? 3 * desc.H : 0,
                                                      desc.projection ? desc.R * desc.H : 0,
                                                      desc.projection ? desc.R : 0,
                                                      desc.N * desc.R,
                                                      S > 1 ? desc.N * desc.H : 0};
    std::vector<T> gradient[op::kBackwardOutputs];
    void* outputs[op::kBackwardOutputs] = {};
    for (int i = 0; i < op::kBackwardOutputs; ++i) {
      gradient[i].assign(static_cast<std::size_t>(sizes[i]), std::numeric_limits<T>::quiet_NaN());
      outputs[i] = gradient[i].empty() ? nullptr : gradient[i].data();
    }
    std::vector<std::byte> scratch(device::cpu::recurrent_backward_workspace(desc) + 64, std::byte{0xFF});
    recurrent_backward(desc, {inputs, outputs, aligned(scratch), &parallel});
    for (int i = 0; i < op::kBackwardOutputs; ++i) r.gradient[i] = widen(gradient[i]);
  }

  static void* aligned(std::vector<std::byte>& v) {
    return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(v.data()) + 63) / 64 * 64);
  }

  op::RecurrentDesc desc;
  int S = 1;
  std::vector<T> in[op::kForwardInputs];
  std::vector<std::int32_t> lengths, resets;
  std::int64_t step = 0;
  const void* inputs[op::kBackwardInputs] = {};
  std::vector<T> y, states, final_h, final_c;
  std::vector<std::byte> reserve;
};

template <class T>
Result forward_only(const Layer& l, bool training) {
  support::SerialParallel serial;
  return Session<T>(l, training).forward(serial);
}

inline void expect_near(const Vector& got, const Vector& want, double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - want[i]) / std::max(1.0, std::abs(want[i]));
    worst = error <= worst ? worst : error;  // a NaN stays
    if (std::isnan(error)) worst = std::numeric_limits<double>::infinity();
  }
  EXPECT_LE(worst, tolerance) << what;
}

inline void expect_matches(const Result& got, const reference::RecurrentResult& want, double tolerance,
                           const std::string& what) {
  expect_near(got.y, want.y, tolerance, what + " y");
  expect_near(got.final[0], want.final[0], tolerance, what + " final h");
  if (!got.final[1].empty()) expect_near(got.final[1], want.final[1], tolerance, what + " final c");
  if (!got.states.empty()) expect_near(got.states, want.states, tolerance, what + " states");
}

inline std::string name_of(const Variant& v, const Layer& l) {
  const auto& d = l.desc;
  return std::string(to_string(d.cell)) + " " + to_string(d.direction) + " " + v.name + " T" + std::to_string(d.T) +
         " N" + std::to_string(d.N) + " H" + std::to_string(d.H) + " " + device::cpu::simd_name();
}

inline void for_each_layer(int T, int N, int I, int H, const std::function<void(const Variant&, const Layer&)>& visit) {
  for (const CellKind cell : kCells)
    for (const Direction direction : {Direction::forward, Direction::reverse})
      for (const Variant& v : variants())
        if (fits(v, cell)) visit(v, make_layer(cell, direction, v, T, N, I, H));
}

}  // namespace seqgpu::test
