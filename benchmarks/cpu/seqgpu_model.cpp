// Whole training steps as a user makes them, the call timed from outside: batch in, forward, loss, backward, clipping,
// Adam, loss out.
//   tagger   embedding, BiLSTM, linear, cross-entropy     one token: a step of a sequence
//   ctc      BiLSTM layers, linear, CTC                   one token: a frame
//   last     in seqgpu_last.cpp
#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {
namespace {

/// Of the recurrent layers' products; a row that names none means f32.
Precision precision_of(const Json& row) {
  const std::string name = row.value("precision", to_string(Precision::f32));
  for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16}) {
    if (name == to_string(precision)) return precision;
  }
  throw Unsupported("no such precision: " + name);
}

class Model final : public Prepared {
 public:
  Model(const Bench& bench, const Json& row)
      : clock_(bench.clock),
        T_(row.at("T")),
        N_(row.at("N")),
        parameters_(bench.device, 1),
        lstm_(parameters_, "lstm",
              {.cell = CellKind::lstm,
               .input = row.at("I"),
               .hidden = row.at("H"),
               .layers = row.value("layers", 1),
               .bidirectional = true,
               .options = {.precision = precision_of(row)}}),
        out_(parameters_, "out", {.input = 2 * row.at("H").get<int>(), .output = row.at("classes")}) {
    const Shape steps{T_, N_};
    const auto tokens = static_cast<std::size_t>(T_ * N_);
    std::function<Value(Graph&)> build;
    if (row.at("model") == "tagger") {
      const int words = row.at("words");
      embed_ = std::make_unique<nn::Embedding>(parameters_, "embed",
                                               nn::EmbeddingOptions{.vocabulary = words, .width = row.at("I")});
      batch_["words"] = HostTensor::of(steps, random_integers("words", tokens, 0, words));
      batch_["tags"] = HostTensor::of(steps, random_integers("tags", tokens, 0, row.at("classes")));
      build = [this](Graph& g) {
        const Value words = g.input("words", DType::i32, {"T", "N"});
        return cross_entropy(out_(lstm_((*embed_)(words))), g.input("tags", DType::i32, {"T", "N"}));
      };
    } else if (row.at("model") == "ctc") {
      const std::int64_t labels = row.at("labels");
      batch_["x"] = random_tensor("x", Shape{T_, N_, row.at("I").get<std::int64_t>()});
      batch_["targets"] = HostTensor::of(
          Shape{N_, labels},
          random_integers("targets", static_cast<std::size_t>(N_ * labels), 1, row.at("classes").get<std::int32_t>()));
      build = [this](Graph& g) {
        const Value logits = out_(lstm_(g.input("x", DType::f32, {"T", "N", "I"})));
        CtcInputs inputs;
        inputs.targets = g.input("targets", DType::i32, {"N", "L"});
        return ctc_loss(logits, inputs).loss;
      };
    } else {
      throw Unsupported("no such model: " + row.at("model").get<std::string>());
    }
    fill_parameters(parameters_, [](const std::string&) { return kModelScale; });
    trainer_ = std::make_unique<Trainer>(bench.device, parameters_, Adam{.rate = 1e-3f, .clip_norm = 5.f}, build);
  }

  double run() override {
    return timed(clock_, [this] { trainer_->step(batch_); });
  }
  /// Of the first step, before clipping.
  Results results() override {
    const float loss = trainer_->step(batch_);
    Results results = gradients_of(*trainer_, parameters_);
    results.emplace_back("loss", std::vector<float>{loss});
    return results;
  }
  Json about() const override {
    return {{"tokens", T_ * N_}, {"planned_bytes", trainer_->predicted_peak_bytes(batch_)}};
  }

 private:
  Clock clock_;
  std::int64_t T_, N_;
  Parameters parameters_;
  nn::Recurrent lstm_;
  nn::Linear out_;
  std::unique_ptr<nn::Embedding> embed_;
  Batch batch_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace

std::unique_ptr<Prepared> prepare_model(const Bench& bench, const Json& row) {
  if (row.at("model") == "last") return prepare_last(bench, row);
  return std::make_unique<Model>(bench, row);
}

}  // namespace seqgpu::benchmark
