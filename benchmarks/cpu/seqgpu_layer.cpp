// Recurrent layers through the public API.
//   forward   a Session
//   train     forward, and backward from a given dy to the gradients of weights, biases and x, as the other contestants
//             do it. x and dy are parameters, so that they lie on the device
// Timed is the program, without what a session copies before and after. call_seconds has the whole call.
#include <cmath>

#include "benchmarks/support/backpropagation.hpp"
#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {
namespace {

CellKind cell_of(const Workload& w) {
  if (w.cell == "lstm") return CellKind::lstm;
  if (w.cell == "gru") return CellKind::gru;
  if (w.cell == "elman") return CellKind::elman;
  throw Unsupported("no such cell: " + w.cell);
}

nn::RecurrentLayerOptions options_of(const Workload& w) {
  nn::RecurrentLayerOptions o{.cell = cell_of(w), .input = w.I, .hidden = w.H, .layers = w.layers};
  o.bidirectional = w.directions == 2;
  if (w.variant == "peephole") {
    o.peephole = true;
  } else if (w.variant == "projection") {
    o.projection = w.H / 2;
  } else if (w.variant == "feedback") {  // Jordan: what recurs is an output, act(P h + b)
    o.projection = w.H;
    o.projection_bias = true;
    o.options.projection_activation = Activation::tanh;
  } else if (w.variant == "dropout") {
    o.options.recurrent_dropout = 0.25f;
  } else if (w.variant == "bf16") {
    o.options.precision = Precision::bf16;
  } else if (!w.variant.empty()) {
    throw Unsupported("no such variant: " + w.variant);
  }
  return o;
}

// No other contestant has bf16, so our own f32 is what it is held against: operands rounded to 2^-9 of themselves left
// 2e-3 to 4e-3 of y and of the gradients over 100 steps.
constexpr double kBf16Error = 2e-2;

class Layer final : public Prepared {
 public:
  Layer(const Bench& bench, const Workload& w)
      : bench_(bench), w_(w), parameters_(bench.device, 1), rnn_(parameters_, "rnn", options_of(w)) {
    const Shape shape{w.T, w.N, w.I};
    if (w.training) {
      parameters_.add("x", shape, {});
      parameters_.add(kGiven, Shape{w.T, w.N, width()}, {});
    } else {
      batch_["x"] = random_tensor("x", shape);
    }
    if (w.ragged) batch_["lengths"] = HostTensor::of(Shape{w.N}, w.lengths());
    const float scale = 1.f / std::sqrt(static_cast<float>(w.H));
    fill_parameters(parameters_,
                    [scale](const std::string& name) { return name == "x" || name == kGiven ? 1.f : scale; });
    if (w.training) {
      train_ = std::make_unique<Backpropagation>(bench.device, parameters_, [this](Graph& g) { return y(g); });
    } else {
      session_ = std::make_unique<Session>(bench.device, parameters_, [this](Graph& g) { g.output("y", y(g)); });
    }
  }

  Results results() override {
    Results found = computed();
    if (w_.variant == "bf16") {
      Workload f32 = w_;
      f32.variant.clear();
      const Disagreement d = compare(found, Layer(bench_, f32).computed());
      if (!(d.error <= kBf16Error)) throw std::runtime_error(d.worst + " is off by " + std::to_string(d.error));
    }
    return found;
  }

  double run() override {
    call_seconds_ = seconds_of(bench_.clock, [&] {
      if (train_) {
        train_->run(batch_);
      } else {
        session_->run(batch_);
      }
    });
    return bench_.backend->last_seconds();
  }

  Json about() const override {
    Json about{{"call_seconds", call_seconds_}, {"strategy", bench_.backend->last_strategy()}};
    if (train_) about["planned_bytes"] = train_->planned_bytes();
    return about;
  }

 private:
  /// y, or all gradients.
  Results computed() {
    if (train_) {
      train_->run(batch_);
      return train_->gradients();
    }
    const HostTensor out = session_->run(batch_).at("y");
    const auto values = out.view<float>();
    return {{"y", {values.begin(), values.end()}}};
  }
  Value y(Graph& g) const {
    const Value lengths = w_.ragged ? g.input("lengths", DType::i32, {"N"}) : Value{};
    return rnn_(w_.training ? parameters_.use(g, "x") : g.input("x", DType::f32, {"T", "N", "I"}), lengths);
  }
  std::int64_t width() const {
    const std::int64_t recurring = w_.variant == "projection" ? w_.H / 2 : w_.H;
    return recurring * w_.directions;
  }

  Bench bench_;
  Workload w_;
  Parameters parameters_;
  nn::Recurrent rnn_;
  Batch batch_;
  std::unique_ptr<Backpropagation> train_;
  std::unique_ptr<Session> session_;
  double call_seconds_ = 0;
};

}  // namespace

std::unique_ptr<Prepared> prepare_layer(const Bench& bench, const Json& row) {
  const Workload w = read_workload(row);
  if (w.variant == "bf16" && bench.backend->name().find("avx512bf16") == std::string::npos)
    throw Unsupported("this processor has no AVX-512 BF16");
  return std::make_unique<Layer>(bench, w);
}

}  // namespace seqgpu::benchmark
