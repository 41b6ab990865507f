#include "onednn_layer.hpp"

#include <cmath>
#include <cstring>

namespace seqgpu::benchmark {
namespace {

using dnnl::memory;
using dnnl::prop_kind;
using dnnl::rnn_direction;
using Tag = memory::format_tag;

memory::desc described(const memory::dims& dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }

/// What every kind of primitive is made from. Initial states are zero; in training they are given all the same, as
/// oneDNN 2.6 computes a wrong gradient of the recurrent weights without. No final states.
struct Shapes {
  rnn_direction direction;
  memory::desc x, y, w_layer, w_iter, bias, initial;
};
const memory::desc kNone;

struct ElmanKind {
  using Forward = dnnl::vanilla_rnn_forward;
  using Backward = dnnl::vanilla_rnn_backward;
  static Forward::desc forward(prop_kind prop, const Shapes& s) {
    return {prop, dnnl::algorithm::eltwise_tanh, s.direction, s.x, s.initial, s.w_layer, s.w_iter, s.bias, s.y, kNone};
  }
  static Backward::desc backward(const Shapes& s) {
    return {prop_kind::backward,
            dnnl::algorithm::eltwise_tanh,
            s.direction,
            s.x,
            s.initial,
            s.w_layer,
            s.w_iter,
            s.bias,
            s.y,
            kNone,
            s.x,
            s.initial,
            s.w_layer,
            s.w_iter,
            s.bias,
            s.y,
            kNone};
  }
};

struct GruKind {  // "linear before reset": the reset after the product, as PyTorch has it
  using Forward = dnnl::lbr_gru_forward;
  using Backward = dnnl::lbr_gru_backward;
  static Forward::desc forward(prop_kind prop, const Shapes& s) {
    return {prop, s.direction, s.x, s.initial, s.w_layer, s.w_iter, s.bias, s.y, kNone};
  }
  static Backward::desc backward(const Shapes& s) {
    return {prop_kind::backward, s.direction, s.x,      s.initial, s.w_layer, s.w_iter, s.bias, s.y, kNone, s.x,
            s.initial,           s.w_layer,   s.w_iter, s.bias,    s.y,       kNone};
  }
};

struct LstmKind {
  using Forward = dnnl::lstm_forward;
  using Backward = dnnl::lstm_backward;
  static Forward::desc forward(prop_kind prop, const Shapes& s) {
    return {prop, s.direction, s.x, s.initial, s.initial, s.w_layer, s.w_iter, s.bias, s.y, kNone, kNone};
  }
  static Backward::desc backward(const Shapes& s) {
    return {prop_kind::backward,
            s.direction,
            s.x,
            s.initial,
            s.initial,
            s.w_layer,
            s.w_iter,
            s.bias,
            s.y,
            kNone,
            kNone,
            s.x,
            s.initial,
            s.initial,
            s.w_layer,
            s.w_iter,
            s.bias,
            s.y,
            kNone,
            kNone};
  }
};

float* data(const memory& m) { return static_cast<float*>(m.get_data_handle()); }
void clear(const memory& m) { std::memset(m.get_data_handle(), 0, m.get_desc().get_size()); }

}  // namespace

OnednnLayer::OnednnLayer(const dnnl::engine& engine, const dnnl::stream& stream, const Workload& w, int layer, float* x,
                         float* y, float* dx, float* dy)
    : engine_(engine),
      stream_(stream),
      w_(w),
      I_(w.inputs(layer)),
      H_(w.H),
      G_(w.gates()),
      D_(w.directions),
      layer_(layer) {
  const memory::desc x_desc = described({w.T, w.N, I_}, Tag::tnc), y_desc = described({w.T, w.N, D_ * H_}, Tag::tnc);
  forward_arguments_ = {{DNNL_ARG_SRC_LAYER, memory(x_desc, engine_, x)},
                        {DNNL_ARG_DST_LAYER, memory(y_desc, engine_, y)}};
  if (w.training) {
    backward_arguments_ = forward_arguments_;
    backward_arguments_.insert({DNNL_ARG_DIFF_SRC_LAYER, memory(x_desc, engine_, dx)});
    backward_arguments_.insert({DNNL_ARG_DIFF_DST_LAYER, memory(y_desc, engine_, dy)});
  }
  w_layer_ = make_weight("rnn.weight_ih", I_);
  w_iter_ = make_weight("rnn.weight_hh", H_);
  make_bias();
  if (w.cell == "lstm") {
    make_primitives<LstmKind>();
  } else if (w.cell == "gru") {
    make_primitives<GruKind>();
  } else if (w.cell == "elman") {
    make_primitives<ElmanKind>();
  } else {
    throw std::runtime_error("no such cell: " + w.cell);
  }
}

std::string OnednnLayer::suffix(std::int64_t direction) const {
  return "_l" + std::to_string(layer_) + (direction == 1 ? "_reverse" : "");
}

/// Ours are r z n, oneDNN's are z r n; LSTM's are the same.
std::size_t OnednnLayer::block(std::size_t ours) const { return w_.cell == "gru" && ours < 2 ? 1 - ours : ours; }

OnednnLayer::Weight OnednnLayer::make_weight(const std::string& name, std::int64_t width) const {
  Weight weight;
  weight.plain = memory(described({1, D_, width, G_, H_}, Tag::ldgoi), engine_);
  const auto gate = static_cast<std::size_t>(H_ * width), gates = static_cast<std::size_t>(G_);
  for (std::int64_t d = 0; d < D_; ++d) {
    const auto values = random_values(name + suffix(d), gates * gate, 1.f / std::sqrt(static_cast<float>(H_)));
    for (std::size_t g = 0; g < gates; ++g) {
      float* to = data(weight.plain) + (static_cast<std::size_t>(d) * gates + block(g)) * gate;
      std::copy_n(values.data() + g * gate, gate, to);
    }
  }
  return weight;
}

/// One bias a gate; the GRU's n has one for each product.
void OnednnLayer::make_bias() {
  const auto H = static_cast<std::size_t>(H_), gates = static_cast<std::size_t>(G_);
  const std::size_t rows = w_.cell == "gru" ? 4 : gates;
  const memory::desc desc = described({1, D_, static_cast<std::int64_t>(rows), H_}, Tag::ldgo);
  bias_ = memory(desc, engine_), d_bias_ = memory(desc, engine_);
  const float scale = 1.f / std::sqrt(static_cast<float>(H_));
  for (std::int64_t d = 0; d < D_; ++d) {
    const auto b_ih = random_values("rnn.bias_ih" + suffix(d), gates * H, scale);
    const auto b_hh = random_values("rnn.bias_hh" + suffix(d), gates * H, scale);
    float* to = data(bias_) + static_cast<std::size_t>(d) * rows * H;
    for (std::size_t i = 0; i < gates * H; ++i) {
      const bool apart = rows > gates && i >= 2 * H;
      to[block(i / H) * H + i % H] = b_ih[i] + (apart ? 0.f : b_hh[i]);
      if (apart) to[H + i] = b_hh[i];
    }
  }
}

template <class Kind>
void OnednnLayer::make_primitives() {
  Shapes s;
  s.direction = D_ == 2 ? rnn_direction::bidirectional_concat : rnn_direction::unidirectional_left2right;
  s.x = forward_arguments_.at(DNNL_ARG_SRC_LAYER).get_desc();
  s.y = forward_arguments_.at(DNNL_ARG_DST_LAYER).get_desc();
  s.w_layer = described({1, D_, I_, G_, H_}, Tag::any);
  s.w_iter = described({1, D_, H_, G_, H_}, Tag::any);
  s.bias = bias_.get_desc();
  if (w_.training) s.initial = described({1, D_, w_.N, H_}, Tag::ldnc);
  const typename Kind::Forward::primitive_desc forward(
      Kind::forward(w_.training ? prop_kind::forward_training : prop_kind::forward_inference, s), engine_);
  forward_ = typename Kind::Forward(forward);
  w_layer_.forward = memory(forward.weights_layer_desc(), engine_);
  w_iter_.forward = memory(forward.weights_iter_desc(), engine_);
  forward_arguments_.insert({DNNL_ARG_WEIGHTS_LAYER, w_layer_.forward});
  forward_arguments_.insert({DNNL_ARG_WEIGHTS_ITER, w_iter_.forward});
  forward_arguments_.insert({DNNL_ARG_BIAS, bias_});
  if (!w_.training) {
    dnnl::reorder(w_layer_.plain, w_layer_.forward).execute(stream_, w_layer_.plain, w_layer_.forward);
    dnnl::reorder(w_iter_.plain, w_iter_.forward).execute(stream_, w_iter_.plain, w_iter_.forward);
    stream_.wait();
    return;
  }
  const typename Kind::Backward::primitive_desc backward(Kind::backward(s), engine_, forward);
  backward_ = typename Kind::Backward(backward);
  const memory workspace(forward.workspace_desc(), engine_);
  for (const auto& [state, gradient] : {std::pair(DNNL_ARG_SRC_ITER, DNNL_ARG_DIFF_SRC_ITER),
                                        std::pair(DNNL_ARG_SRC_ITER_C, DNNL_ARG_DIFF_SRC_ITER_C)}) {
    const memory zero(s.initial, engine_);
    clear(zero);
    forward_arguments_.insert({state, zero});
    backward_arguments_.insert({state, zero});
    backward_arguments_.insert({gradient, memory(s.initial, engine_)});
    if (w_.cell != "lstm") break;
  }
  w_layer_.backward = memory(backward.weights_layer_desc(), engine_);
  w_iter_.backward = memory(backward.weights_iter_desc(), engine_);
  w_layer_.gradient = memory(backward.diff_weights_layer_desc(), engine_);
  w_iter_.gradient = memory(backward.diff_weights_iter_desc(), engine_);
  forward_arguments_.insert({DNNL_ARG_WORKSPACE, workspace});
  backward_arguments_.insert({DNNL_ARG_WORKSPACE, workspace});
  backward_arguments_.insert({DNNL_ARG_WEIGHTS_LAYER, w_layer_.backward});
  backward_arguments_.insert({DNNL_ARG_WEIGHTS_ITER, w_iter_.backward});
  backward_arguments_.insert({DNNL_ARG_BIAS, bias_});
  backward_arguments_.insert({DNNL_ARG_DIFF_WEIGHTS_LAYER, w_layer_.gradient});
  backward_arguments_.insert({DNNL_ARG_DIFF_WEIGHTS_ITER, w_iter_.gradient});
  backward_arguments_.insert({DNNL_ARG_DIFF_BIAS, d_bias_});
}

void OnednnLayer::forward() {
  if (w_.training) {
    dnnl::reorder(w_layer_.plain, w_layer_.forward).execute(stream_, w_layer_.plain, w_layer_.forward);
    dnnl::reorder(w_iter_.plain, w_iter_.forward).execute(stream_, w_iter_.plain, w_iter_.forward);
  }
  forward_.execute(stream_, forward_arguments_);
}

void OnednnLayer::backward() {
  dnnl::reorder(w_layer_.plain, w_layer_.backward).execute(stream_, w_layer_.plain, w_layer_.backward);
  dnnl::reorder(w_iter_.plain, w_iter_.backward).execute(stream_, w_iter_.plain, w_iter_.backward);
  clear(w_layer_.gradient), clear(w_iter_.gradient), clear(d_bias_);
  backward_.execute(stream_, backward_arguments_);
}

void OnednnLayer::append(Results& results, const std::string& name, Weight& weight, std::int64_t width) {
  memory plain(weight.plain.get_desc(), engine_);
  dnnl::reorder(weight.gradient, plain).execute(stream_, weight.gradient, plain);
  stream_.wait();
  const auto gate = static_cast<std::size_t>(H_ * width), gates = static_cast<std::size_t>(G_);
  for (std::int64_t d = 0; d < D_; ++d) {
    std::vector<float> ours(gates * gate);
    for (std::size_t g = 0; g < gates; ++g) {
      const float* from = data(plain) + (static_cast<std::size_t>(d) * gates + block(g)) * gate;
      std::copy_n(from, gate, ours.data() + g * gate);
    }
    results.emplace_back("gradient of " + name + suffix(d), std::move(ours));
  }
}

void OnednnLayer::append_gradients(Results& results) {
  append(results, "rnn.weight_ih", w_layer_, I_);
  append(results, "rnn.weight_hh", w_iter_, H_);
  const auto H = static_cast<std::size_t>(H_), gates = static_cast<std::size_t>(G_);
  const std::size_t rows = w_.cell == "gru" ? 4 : gates;
  for (std::int64_t d = 0; d < D_; ++d) {
    const float* from = data(d_bias_) + static_cast<std::size_t>(d) * rows * H;
    std::vector<float> b_ih(gates * H), b_hh(gates * H);
    for (std::size_t i = 0; i < gates * H; ++i) {
      const bool apart = rows > gates && i >= 2 * H;
      b_ih[i] = from[block(i / H) * H + i % H];
      b_hh[i] = apart ? from[H + i] : b_ih[i];
    }
    results.emplace_back("gradient of rnn.bias_ih" + suffix(d), std::move(b_ih));
    results.emplace_back("gradient of rnn.bias_hh" + suffix(d), std::move(b_hh));
  }
}

}  // namespace seqgpu::benchmark
