// A whole training step of a long LSTM whose loss sees the last state alone: what a memory budget is for. Plain, or
// with `budget_share` within so much of the memory that the plain plan takes; then loss and gradients must be the same
// bits.
#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {
namespace {

class Last final : public Prepared {
 public:
  Last(const Bench& bench, const Json& row)
      : bench_(bench),
        T_(row.at("T")),
        N_(row.at("N")),
        parameters_(bench.device, 1),
        lstm_(parameters_, "lstm", {.cell = CellKind::lstm, .input = row.at("I"), .hidden = row.at("H")}) {
    batch_["x"] = random_tensor("x", Shape{T_, N_, row.at("I").get<std::int64_t>()});
    fill_parameters(parameters_, [](const std::string&) { return kModelScale; });
    if (row.contains("budget_share")) {
      const auto plain = static_cast<double>(trainer(kRate, 0)->predicted_peak_bytes(batch_));
      budget_ = static_cast<std::int64_t>(row.at("budget_share").get<double>() * plain);
    }
    trainer_ = trainer(kRate, budget_);
  }

  double run() override {
    return timed(bench_.clock, [this] { trainer_->step(batch_); });
  }
  /// Of the first step, before clipping.
  Results results() override {
    Results plain;
    if (budget_ > 0) plain = step(*trainer(0, 0));  // rate 0: the parameters stay
    const Results results = step(*trainer_);
    if (budget_ > 0 && results != plain) throw std::runtime_error("not the bits of the plan without a budget");
    same_bits_ = budget_ > 0;
    return results;
  }
  Json about() const override {
    Json about{{"tokens", T_ * N_}, {"planned_bytes", trainer_->predicted_peak_bytes(batch_)}};
    if (budget_ > 0) about["budget_bytes"] = budget_;
    if (same_bits_) about["same_bits"] = true;
    return about;
  }

 private:
  static constexpr float kRate = 1e-3f;

  std::unique_ptr<Trainer> trainer(float rate, std::int64_t memory_bytes) {
    return std::make_unique<Trainer>(
        bench_.device, parameters_, Adam{.rate = rate, .clip_norm = 5.f},
        [this](Graph& g) {
          const Value h = lstm_.run(g.input("x", DType::f32, {"T", "N", "I"}), {}, {}, {}).final[0];
          return reduce_all(mul(h, h), Reduction::mean);
        },
        TrainerOptions{.memory_bytes = memory_bytes});
  }
  Results step(Trainer& trainer) {
    const float loss = trainer.step(batch_);
    Results results = gradients_of(trainer, parameters_);
    results.emplace_back("loss", std::vector<float>{loss});
    return results;
  }

  Bench bench_;
  std::int64_t T_, N_;
  Parameters parameters_;
  nn::Recurrent lstm_;
  Batch batch_;
  std::int64_t budget_ = 0;
  bool same_bits_ = false;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace

std::unique_ptr<Prepared> prepare_last(const Bench& bench, const Json& row) {
  return std::make_unique<Last>(bench, row);
}

}  // namespace seqgpu::benchmark
