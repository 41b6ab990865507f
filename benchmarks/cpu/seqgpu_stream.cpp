// Streaming: one step of one sequence a call, the state carried by the caller. Timed is the call.
#include <cmath>

#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {
namespace {

constexpr std::int64_t kSteps = 20;  // different inputs

class Stream final : public Prepared {
 public:
  Stream(const Bench& bench, const Json& row)
      : clock_(bench.clock),
        H_(row.at("H")),
        cell_(cell_of(row.at("cell"))),
        parameters_(bench.device, 1),
        rnn_(parameters_, "rnn", {.cell = cell_, .input = row.at("I"), .hidden = H_}) {
    fill_parameters(parameters_, [this](const std::string&) { return 1.f / std::sqrt(static_cast<float>(H_)); });
    const std::int64_t I = row.at("I");
    const auto x = random_values("x", static_cast<std::size_t>(kSteps * I));
    for (std::int64_t t = 0; t < kSteps; ++t) {
      inputs_.push_back(HostTensor::of(
          Shape{1, 1, I},
          std::span<const float>(x).subspan(static_cast<std::size_t>(t * I), static_cast<std::size_t>(I))));
    }
    session_ = std::make_unique<Session>(bench.device, parameters_, [this](Graph& g) {
      const Value in = g.input("x", DType::f32, {"1", "1", "I"});
      std::vector<Value> state;
      for (int s = 0; s < state_count(cell_); ++s) state.push_back(g.input(name(s), DType::f32, {"1", "H"}));
      const auto result = rnn_.run(in, {}, {}, state);
      g.output("y", result.output);
      for (int s = 0; s < state_count(cell_); ++s) g.output(name(s), result.final[static_cast<std::size_t>(s)]);
    });
    restart();
  }

  double run() override {
    batch_["x"] = inputs_[static_cast<std::size_t>(step_++ % kSteps)];
    return timed(clock_, [this] {
      TensorMap out = session_->run(batch_);
      for (int s = 0; s < state_count(cell_); ++s) batch_[name(s)] = std::move(out.at(name(s)));
      y_ = std::move(out.at("y"));
    });
  }
  /// y after all inputs.
  Results results() override {
    restart();
    for (std::int64_t t = 0; t < kSteps; ++t) run();
    const auto y = y_.view<float>();
    return {{"y", {y.begin(), y.end()}}};
  }

 private:
  static CellKind cell_of(const std::string& cell) {
    return cell == "lstm" ? CellKind::lstm : cell == "gru" ? CellKind::gru : CellKind::elman;
  }
  static std::string name(int state) { return "state" + std::to_string(state); }
  void restart() {
    step_ = 0;
    for (int s = 0; s < state_count(cell_); ++s) batch_[name(s)] = HostTensor(DType::f32, {1, H_});
  }

  Clock clock_;
  std::int64_t H_;
  CellKind cell_;
  Parameters parameters_;
  nn::Recurrent rnn_;
  std::vector<HostTensor> inputs_;
  std::unique_ptr<Session> session_;
  Batch batch_;
  HostTensor y_;
  std::int64_t step_ = 0;
};

}  // namespace

std::unique_ptr<Prepared> prepare_stream(const Bench& bench, const Json& row) {
  return std::make_unique<Stream>(bench, row);
}

}  // namespace seqgpu::benchmark
