#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "tests/reference/recurrent.hpp"
#include "tests/support/expected_layer.hpp"

// The table of recurrent layers that every strategy of every device is held to: all cells, directions and variants, at
// sizes around the edges, run through the seam with poisoned outputs and workspace.
namespace seqgpu::recurrent_cases {

using reference::Vector;
using support::expected;

inline constexpr CellKind kCells[] = {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before};

struct Layer {
  std::string name;
  op::RecurrentForwardDesc desc;
  Vector in[op::kForwardInputs];  // by slot; empty: absent
  std::vector<std::int32_t> lengths, resets;
  std::int64_t step = 3;
};

/// What a variant asks for beside a plain layer; the description is changed at once.
struct Wants {
  bool lengths = false, resets = false, initial = false, bias = true;
};

struct Variant {
  const char* name;
  std::function<void(op::RecurrentDesc&, Wants&)> set;
  enum class For { all, lstm, projectable } fits = For::all;
};

inline const std::vector<Variant>& variants() {
  using For = Variant::For;
  using Desc = op::RecurrentDesc;
  static const std::vector<Variant> all = {
      {"plain", [](Desc&, Wants&) {}},
      {"ragged", [](Desc&, Wants& w) { w.lengths = true; }},
      {"initial", [](Desc&, Wants& w) { w.initial = true; }},
      {"resets", [](Desc&, Wants& w) { w.resets = w.initial = w.lengths = true; }},
      {"no_bias", [](Desc&, Wants& w) { w.bias = false; }},
      {"dropout", [](Desc& d, Wants& w) { d.recurrent_dropout = 0.4f, w.lengths = true; }},
      {"zoneout", [](Desc& d, Wants& w) { d.zoneout_hidden = 0.3f, d.zoneout_cell = 0.5f, w.initial = true; }},
      {"dropout_zoneout_resets",
       [](Desc& d, Wants& w) {
         d.recurrent_dropout = 0.3f, d.zoneout_hidden = 0.2f, w.lengths = w.resets = w.initial = true;
       }},
      {"linear", [](Desc& d, Wants&) { d.activation = d.output_activation = Activation::linear; }},
      {"relu", [](Desc& d, Wants& w) { d.activation = d.output_activation = Activation::relu, w.lengths = true; }},
      {"sigmoid", [](Desc& d, Wants&) { d.activation = d.output_activation = Activation::sigmoid; }},
      {"peephole", [](Desc& d, Wants& w) { d.peephole = true, w.lengths = true; }, For::lstm},
      {"coupled", [](Desc& d, Wants& w) { d.coupled_gates = true, w.initial = true; }, For::lstm},
      {"clip", [](Desc& d, Wants&) { d.cell_clip = 0.25f, d.peephole = true; }, For::lstm},
      {"projection", [](Desc& d, Wants& w) { d.projection = true, w.lengths = true; }, For::projectable},
      {"jordan", [](Desc& d, Wants&) { d.projection = true, d.projection_activation = Activation::sigmoid; },
       For::projectable},
      {"projection_with_all",
       [](Desc& d, Wants& w) {
         d.projection = true, d.zoneout_hidden = 0.3f, d.zoneout_cell = 0.2f, d.recurrent_dropout = 0.3f;
         d.peephole = d.cell == CellKind::lstm, w.lengths = w.resets = w.initial = true;
       },
       For::projectable},
  };
  return all;
}

inline bool fits(const Variant& v, CellKind cell) {
  if (v.fits == Variant::For::lstm) return cell == CellKind::lstm;
  return v.fits == Variant::For::all || cell == CellKind::lstm || cell == CellKind::elman;
}

struct Sizes {
  int T, N, I, H;
};

/// Around every edge: one warp and its neighbours, several blocks, no step, no sequence, no input.
inline const std::vector<Sizes>& sizes() {
  static const std::vector<Sizes> all = {{20, 8, 5, 32}, {1, 1, 3, 1},  {2, 33, 4, 31}, {20, 1, 1, 33},
                                         {2, 9, 3, 100}, {0, 7, 2, 32}, {20, 7, 3, 31}, {1, 33, 2, 33},
                                         {2, 8, 0, 1},   {20, 9, 2, 1}, {1, 8, 7, 100}, {2, 0, 3, 31}};
  return all;
}

/// Random tensors for what the variant wants; x is NaN past each length.
inline Layer make_layer(CellKind cell, Direction direction, const Variant& variant, const Sizes& z) {
  Layer l;
  auto& d = l.desc;
  Wants wants;
  d.cell = cell, d.direction = direction;
  d.T = z.T, d.N = z.N, d.I = z.I, d.H = z.H;
  d.seed = 7, d.stream = 5;
  variant.set(d, wants);
  d.R = d.projection ? std::max(1, z.H - 1) : z.H;
  l.name = std::string(to_string(cell)) + " " + to_string(direction) + " " + variant.name + " T" + std::to_string(z.T) +
           " N" + std::to_string(z.N) + " I" + std::to_string(z.I) + " H" + std::to_string(z.H);
  std::mt19937 random(static_cast<unsigned>(z.T * 1000 + z.N * 100 + z.H));
  std::uniform_real_distribution<double> uniform(-1, 1);
  const auto fill = [&](int slot, std::int64_t count, double scale) {
    l.in[slot].resize(static_cast<std::size_t>(count));
    // Rounded to float, so that f32 and f64 runs see the same numbers.
    for (double& v : l.in[slot]) v = static_cast<float>(uniform(random) * scale);
  };
  const std::int64_t G = gate_count(cell);
  const double scale = 1.5 / std::sqrt(static_cast<double>(z.H));
  fill(op::kInX, d.T * d.N * d.I, 1);
  fill(op::kInWih, G * d.H * d.I, 0.8);
  fill(op::kInWhh, G * d.H * d.R, scale);
  if (wants.bias) fill(op::kInBih, G * d.H, 0.5);
  if (wants.bias) fill(op::kInBhh, G * d.H, 0.5);
  if (d.peephole) fill(op::kInUnit, unit_parameter_count(cell) * d.H, 0.7);
  if (d.projection) fill(op::kInProj, d.R * d.H, scale);
  if (d.projection && wants.bias) fill(op::kInProjB, d.R, 0.5);
  if (wants.initial) {
    fill(op::kInState0, d.N * d.R, 1);
    for (int s = 1; s < state_count(cell); ++s) fill(op::kInState0 + s, d.N * d.H, 1);
  }
  for (int n = 0; wants.lengths && n < z.N; ++n)  // 0 and T among them
    l.lengths.push_back(n == 0 ? z.T / 2 : n == 1 ? 0 : n == 2 ? z.T : (n * 7) % (z.T + 1));
  for (int n = 0; wants.lengths && n < z.N; ++n)
    for (int t = l.lengths[static_cast<std::size_t>(n)]; t < z.T; ++t)
      for (int i = 0; i < z.I; ++i)
        l.in[op::kInX][static_cast<std::size_t>((t * z.N + n) * z.I + i)] = std::numeric_limits<double>::quiet_NaN();
  for (int i = 0; wants.resets && i < z.T * z.N; ++i) l.resets.push_back(i % 4 == 2 || i % 7 == 5 ? 2 : 0);
  return l;
}

/// Every variant that fits, each at sizes of its own, so that together they cover the edges.
inline std::vector<Layer> layers_of(CellKind cell, Direction direction) {
  std::vector<Layer> layers;
  std::size_t next = static_cast<std::size_t>(cell) * 5 + static_cast<std::size_t>(direction) * 7;
  for (const Variant& v : variants()) {
    if (!fits(v, cell)) continue;
    for (int i = 0; i < 3; ++i) layers.push_back(make_layer(cell, direction, v, sizes()[next++ % sizes().size()]));
  }
  return layers;
}

/// Outputs and gradients, those that are absent empty.
struct Result {
  Vector y, states[op::kMaxStates], final[op::kMaxStates];  // states from 1
  Vector gradient[op::kBackwardOutputs];
};

/// The loss's gradient by output i of kind `kind`: any fixed numbers.
inline double loss_weight(int kind, std::size_t i) { return std::sin(1.3 * static_cast<double>(i) + kind); }

/// Runs a layer through one implementation of a device.
template <class Real>
class LayerRun {
 public:
  /// @param row  of the device's table, by name; empty: the one that the device chooses
  LayerRun(std::shared_ptr<device::Backend> backend, const std::string& row, const Layer& layer, bool training)
      : backend_(std::move(backend)), row_(row), layer_(layer), forward_(layer.desc) {
    forward_.dtype = dtype_of<Real>;
    forward_.training = training;
    S_ = state_count(forward_.cell);
  }

  /// Empty: the row takes this layer, forward and backward; else why not, or that the device has no such row.
  std::string refusal() const {
    const std::string forward = refusal_of(forward_);
    return forward.empty() && forward_.training ? refusal_of(backward_desc()) : forward;
  }

  /// @param runs  of the same program: a device may capture the second and replay it from then on
  Result forward(int runs = 1) {
    const auto& d = forward_;
    std::vector<const void*> inputs(op::kForwardInputs);
    for (int i = 0; i < op::kForwardInputs; ++i)
      if (!layer_.in[i].empty() || i == op::kInX) inputs[at(i)] = upload_reals(layer_.in[i]);
    if (!layer_.lengths.empty()) inputs[op::kInLengths] = upload(layer_.lengths);
    if (!layer_.resets.empty()) inputs[op::kInResets] = upload(layer_.resets);
    inputs[op::kInStep] = upload(std::vector<std::int64_t>{layer_.step});
    std::vector<void*> outputs(op::kForwardOutputs);
    outputs[op::kOutY] = poisoned(d.T * d.N * d.R);
    for (int s = 0; s < S_; ++s) outputs[at(op::kOutFinal0 + s)] = poisoned(d.N * width(s));
    for (int s = 1; s < S_; ++s) outputs[at(op::kOutStates0 + s - 1)] = poisoned(d.T * d.N * d.H);
    if (d.training) {
      const auto* implementation = find(d);
      reserve_ = poisoned_bytes(implementation->opaque_bytes(op::AnyDesc(d), backend_->table().limits));
      outputs[op::kOutReserve] = reserve_;
    }
    launch(d, inputs, outputs, runs);
    Result r;
    r.y = download(outputs[op::kOutY], d.T * d.N * d.R);
    for (int s = 0; s < S_; ++s) r.final[s] = download(outputs[at(op::kOutFinal0 + s)], d.N * width(s));
    for (int s = 1; s < S_; ++s) r.states[s] = download(outputs[at(op::kOutStates0 + s - 1)], d.T * d.N * d.H);
    inputs_ = inputs, y_ = outputs[op::kOutY];
    return r;
  }

  /// After forward(). @param wanted  of the gradients, by slot; null: all
  void backward(Result& r, int runs = 1, const std::function<bool(int)>& wanted = nullptr) {
    const auto d = backward_desc();
    const std::int64_t G = gate_count(d.cell);
    std::vector<const void*> inputs = inputs_;
    inputs.resize(op::kBackwardInputs);
    inputs[op::kInOutput] = y_;
    inputs[op::kInReserve] = reserve_;
    inputs[op::kInDOutput] = loss_weights(0, d.T * d.N * d.R, d.R);
    for (int s = 0; s < S_; ++s) inputs[at(op::kInDFinal0 + s)] = loss_weights(1 + s, d.N * width(s), 0);
    for (int s = 1; s < S_; ++s) inputs[at(op::kInDStates0 + s - 1)] = loss_weights(5 + s, d.T * d.N * d.H, d.H);
    std::int64_t counts[op::kBackwardOutputs] = {};
    counts[op::kGradX] = d.T * d.N * d.I;
    counts[op::kGradWih] = G * d.H * d.I;
    counts[op::kGradWhh] = G * d.H * d.R;
    counts[op::kGradBih] = counts[op::kGradBhh] = G * d.H;
    counts[op::kGradUnit] = d.peephole ? unit_parameter_count(d.cell) * d.H : 0;
    counts[op::kGradProj] = d.projection ? d.R * d.H : 0;
    counts[op::kGradProjB] = d.projection ? d.R : 0;
    for (int s = 0; s < S_; ++s) counts[op::kGradState0 + s] = d.N * width(s);
    std::vector<void*> outputs(op::kBackwardOutputs);
    for (int i = 0; i < op::kBackwardOutputs; ++i)
      if (counts[i] > 0 && (!wanted || wanted(i))) outputs[at(i)] = poisoned(counts[i]);
    launch(d, inputs, outputs, runs);
    for (int i = 0; i < op::kBackwardOutputs; ++i)
      if (outputs[at(i)]) r.gradient[i] = download(outputs[at(i)], counts[i]);
  }

 private:
  static std::size_t at(int slot) { return static_cast<std::size_t>(slot); }
  std::int64_t width(int state) const { return state == 0 ? forward_.R : forward_.H; }

  op::RecurrentBackwardDesc backward_desc() const {
    op::RecurrentBackwardDesc d;
    static_cast<op::RecurrentDesc&>(d) = forward_;
    return d;
  }

  const device::Implementation* find(const op::AnyDesc& desc) const {
    if (row_.empty()) return device::choose(backend_->table(), desc).implementation;
    for (const device::Implementation& row : backend_->table().rows[desc.index()])
      if (row.name == row_) return &row;
    return nullptr;
  }

  std::string refusal_of(const op::AnyDesc& desc) const {
    const device::Implementation* row = find(desc);
    if (!row) return backend_->name() + " has no row " + row_;
    return row->accepts ? row->accepts(desc, backend_->table().limits) : std::string();
  }

  void launch(const op::AnyDesc& desc, const std::vector<const void*>& inputs, const std::vector<void*>& outputs,
              int runs) {
    const device::Implementation* row = find(desc);
    device::Work work;
    device::Launch one;
    one.implementation = row, one.desc = &desc, one.inputs = inputs, one.outputs = outputs;
    one.workspace = poisoned_bytes(row->workspace_bytes ? row->workspace_bytes(desc, backend_->table().limits) : 0);
    one.prepare = row->preparation.bytes != nullptr;
    if (one.prepare) one.prepared = poisoned_bytes(row->preparation.bytes(desc, backend_->table().limits));
    work.launches.push_back(one);
    for (int run = 0; run < runs; ++run) {
      if (run > 0) poison_again(one);
      backend_->run(work);
    }
  }

  void poison_again(const device::Launch& launch) {
    for (device::Buffer& buffer : buffers_) {
      const bool is_output = std::count(launch.outputs.begin(), launch.outputs.end(), buffer.data()) > 0;
      if (!is_output && buffer.data() != launch.workspace) continue;
      const std::vector<unsigned char> poison(static_cast<std::size_t>(buffer.bytes()), 0xFF);
      backend_->upload(buffer.data(), poison.data(), buffer.bytes());
    }
  }

  void* bytes(std::size_t count, const void* from) {
    buffers_.emplace_back(backend_, static_cast<std::int64_t>(count));
    if (count > 0) backend_->upload(buffers_.back().data(), from, static_cast<std::int64_t>(count));
    return buffers_.back().data();
  }
  /// All bits set: NaN as a number, -1 as an index.
  void* poisoned_bytes(std::size_t count) { return bytes(count, std::vector<unsigned char>(count, 0xFF).data()); }
  void* poisoned(std::int64_t count) { return poisoned_bytes(static_cast<std::size_t>(count) * sizeof(Real)); }

  template <class T>
  void* upload(const std::vector<T>& values) {
    return bytes(values.size() * sizeof(T), values.data());
  }
  void* upload_reals(const Vector& values) { return upload(std::vector<Real>(values.begin(), values.end())); }

  /// NaN past the lengths, where nobody may look. @param row  elements of a (t, n); 0: not over steps
  void* loss_weights(int kind, std::int64_t count, std::int64_t row) {
    Vector v(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < v.size(); ++i) {
      const std::size_t tn = row > 0 ? i / static_cast<std::size_t>(row) : 0, N = static_cast<std::size_t>(forward_.N);
      const bool past = row > 0 && !layer_.lengths.empty() && static_cast<int>(tn / N) >= layer_.lengths[tn % N];
      v[i] = past ? std::numeric_limits<double>::quiet_NaN() : static_cast<float>(loss_weight(kind, i));
    }
    return upload_reals(v);
  }

  Vector download(const void* from, std::int64_t count) {
    std::vector<Real> v(static_cast<std::size_t>(count));
    if (count > 0) backend_->download(v.data(), from, count * static_cast<std::int64_t>(sizeof(Real)));
    return Vector(v.begin(), v.end());
  }

  std::shared_ptr<device::Backend> backend_;
  std::string row_;
  const Layer& layer_;
  op::RecurrentForwardDesc forward_;
  int S_ = 1;
  std::vector<device::Buffer> buffers_;
  std::vector<const void*> inputs_;
  void *y_ = nullptr, *reserve_ = nullptr;
};

/// max |got - want| over max(1, max |want|); infinite for a NaN or another size. By tensor, as an element that is a
/// small difference of large terms is no better than those.
inline double distance(const Vector& got, const Vector& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double worst = 0, scale = 1;
  for (const double w : want) scale = std::max(scale, std::abs(w));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - want[i]);
    if (std::isnan(error)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, error);
  }
  return worst / scale;
}

/// f32: the rule of oneDNN's own tests: rounding grows with the logarithm of the length of the sums, accumulated over
/// the steps; twice that backward, which computes with forward's rounded values.
/// Less: rounding the operands to u (2^-9 in bf16, 2^-11 in tf32) moves a product of random terms by about u of its
/// size, whatever its length, as errors and terms add up alike; 8 u for what later steps make of it, twice that
/// backward.
inline double tolerance(const op::RecurrentDesc& d, bool backward) {
  const std::int64_t G = gate_count(d.cell), longest = std::max({d.I + d.R, d.H, backward ? G * d.H : 0, d.N});
  const double length = static_cast<double>(longest) * static_cast<double>(std::max<std::int64_t>(d.T, 1));
  const double passes = backward ? 2 : 1;
  if (d.precision == Precision::bf16) return passes * 8 * 0x1p-9;
  if (d.precision == Precision::tf32) return passes * 8 * 0x1p-11;
  return 4 * passes * std::ceil(std::log2(length + 1)) * 1.2e-7;
}

}  // namespace seqgpu::recurrent_cases
