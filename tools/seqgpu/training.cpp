#include "training.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "progress.hpp"
#include "seqgpu/checkpoint.hpp"
#include "seqgpu/data/conlleval.hpp"

namespace seqgpu::tool {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

Schedule schedule_of(const Config& config) {
  if (config.schedule == "step") {
    return Schedule::step(config.schedule_steps, static_cast<float>(config.schedule_factor));
  }
  if (config.schedule == "plateau") return Schedule::halve_on_plateau(static_cast<int>(config.schedule_patience));
  return config.schedule == "warmup" ? Schedule::warm_up(config.schedule_steps) : Schedule::constant();
}

json to_json(const EpochRecord& record) {
  return {{"epoch", record.epoch}, {"step", record.step},       {"loss", record.loss},      {"dev_f1", record.dev_f1},
          {"rate", record.rate},   {"skipped", record.skipped}, {"seconds", record.seconds}};
}

EpochRecord record_from(const json& j) {
  return {j.at("epoch"), j.at("step"), j.at("loss"), j.at("dev_f1"), j.at("rate"), j.at("skipped"), j.at("seconds")};
}

// One training run: where it is, and how it goes on.
class Run {
 public:
  Run(Tagger& tagger, const Corpus& corpus, const TrainingPlace& place)
      : tagger_(tagger),
        config_(tagger.config()),
        corpus_(corpus),
        place_(place),
        gold_(tag_lists(corpus.dev)),
        trainer_(tagger.device(), tagger.parameters(), optimizer_of(config_),
                 [&tagger](Graph& graph) { return tagger.loss(graph); }),
        schedule_(schedule_of(config_)) {}

  TrainingResult finish() {
    if (place_.checkpoints) resume();
    const std::int64_t per_epoch = static_cast<std::int64_t>(tagger_.batches(corpus_.train, 0).size());
    Progress progress(place_.progress, step_, per_epoch * config_.epochs);
    while (epoch_ < config_.epochs && !out_of_patience()) {
      run_epoch(progress);
      end_epoch(progress);
    }
    if (!best_.empty()) tagger_.parameters().set_all(best_);
    return std::move(result_);
  }

 private:
  void run_epoch(Progress& progress) {
    const auto batches = tagger_.batches(corpus_.train, epoch_);
    const auto count = static_cast<std::int64_t>(batches.size());
    epoch_start_ = Clock::now();
    while (batch_ < count) {
      const data::SequenceBatch& batch = batches[static_cast<std::size_t>(batch_)];
      trainer_.set_rate_factor(schedule_.factor(step_));
      const float loss = trainer_.step(tagger_.feed(batch));
      ++step_;
      ++batch_;
      if (trainer_.report().skipped) {
        ++skipped_;
        result_.non_finite_parameter = trainer_.report().non_finite_parameter;
      } else {
        loss_sum_ += static_cast<double>(loss);
        ++loss_count_;
      }
      for (const int index : batch.sentence_index) sequences_ += index >= 0 ? 1 : 0;
      progress.step(line());
      if (config_.checkpoint_every > 0 && step_ % config_.checkpoint_every == 0 && batch_ < count) save();
    }
  }

  void end_epoch(Progress& progress) {
    const double f1 = corpus_.dev.empty() ? 0 : data::conlleval(gold_, tagger_.label(corpus_.dev)).overall.f1;
    const double rate = config_.rate * static_cast<double>(schedule_.factor(step_));
    if (!corpus_.dev.empty()) schedule_.observe(static_cast<float>(f1));
    ++epoch_;
    batch_ = 0;
    seconds_ += std::chrono::duration<double>(Clock::now() - epoch_start_).count();
    result_.history.push_back({epoch_, step_, mean_loss(), f1, rate, skipped_, seconds_});
    if (result_.best_epoch == 0 || f1 > result_.best_f1 || corpus_.dev.empty()) {
      result_.best_epoch = epoch_;
      result_.best_f1 = f1;
      best_ = tagger_.parameters().all();
      // Before the checkpoint: a run killed between the two repeats this epoch and writes the same bytes again.
      if (place_.folder != nullptr) save_model(place_.folder->model(), tagger_, best_);
    }
    progress.epoch(line());
    loss_sum_ = 0;
    loss_count_ = 0;
    seconds_ = 0;
    if (place_.folder != nullptr) write_text(place_.folder->metrics(), metrics_text(result_.history));
    save();
  }

  bool out_of_patience() const { return config_.patience > 0 && epoch_ - result_.best_epoch >= config_.patience; }

  double mean_loss() const { return loss_count_ > 0 ? loss_sum_ / static_cast<double>(loss_count_) : 0; }

  Progress::Line line() const {
    const bool within = batch_ > 0;
    return {within ? epoch_ + 1 : epoch_,
            config_.epochs,
            step_,
            mean_loss(),
            result_.history.empty() || corpus_.dev.empty() ? -1 : result_.history.back().dev_f1,
            sequences_,
            skipped_};
  }

  void save() {
    if (!place_.checkpoints) return;
    if (batch_ > 0) {
      const auto now = Clock::now();
      seconds_ += std::chrono::duration<double>(now - epoch_start_).count();
      epoch_start_ = now;
    }
    json history = json::array();
    for (const EpochRecord& record : result_.history) history.push_back(to_json(record));
    const Schedule::State schedule = schedule_.state();
    const json state{{"epoch", epoch_},
                     {"batch", batch_},
                     {"loss_sum", loss_sum_},
                     {"loss_count", loss_count_},
                     {"seconds", seconds_},
                     {"skipped", skipped_},
                     {"best_epoch", result_.best_epoch},
                     {"best_f1", result_.best_f1},
                     {"schedule", {schedule.best, schedule.scale, schedule.waited, schedule.observed}},
                     {"history", history}};
    Checkpoint checkpoint;
    checkpoint.parameters = tagger_.parameters().all();
    checkpoint.trainer = trainer_.state();
    checkpoint.metadata = {{"config", to_toml(config_)}, {"data", fingerprint(corpus_)}, {"state", state.dump()}};
    save_checkpoint(place_.folder->checkpoints(), step_, checkpoint);
  }

  void check_same_run(const Checkpoint& checkpoint) const {
    const std::string& folder = place_.folder->path;
    std::vector<std::string> changes =
        differences(config_, resolve(parse_config(checkpoint.metadata.at("config"), folder)));
    if (checkpoint.metadata.at("data") != fingerprint(corpus_)) {
      changes.emplace_back("the training or dev sentences are others");
    }
    if (changes.empty()) return;
    throw Error(ErrorCode::invalid_argument, "train", folder,
                fmt::format("holds checkpoints of another configuration ({}); take another folder, or --restart",
                            fmt::join(changes, "; ")));
  }

  void resume() {
    const std::optional<Checkpoint> found = load_latest_checkpoint(place_.folder->checkpoints());
    if (!found) return;
    for (const std::string& skipped : found->skipped) fmt::print(stderr, "passed over: {}\n", skipped);
    try {
      check_same_run(*found);
      const json state = json::parse(found->metadata.at("state"));
      epoch_ = state.at("epoch");
      batch_ = state.at("batch");
      loss_sum_ = state.at("loss_sum");
      loss_count_ = state.at("loss_count");
      seconds_ = state.at("seconds");
      skipped_ = state.at("skipped");
      result_.best_epoch = state.at("best_epoch");
      result_.best_f1 = state.at("best_f1");
      const json& schedule = state.at("schedule");
      schedule_.restore({schedule.at(0), schedule.at(1), schedule.at(2), schedule.at(3)});
      for (const json& record : state.at("history")) result_.history.push_back(record_from(record));
    } catch (const json::exception& error) {
      throw Error(ErrorCode::invalid_file, "train", place_.folder->checkpoints(), error.what());
    } catch (const std::out_of_range&) {
      throw Error(ErrorCode::invalid_file, "train", place_.folder->checkpoints(), "is not from `seqgpu train`");
    }
    step_ = found->step;
    tagger_.parameters().set_all(found->parameters);
    trainer_.restore(found->trainer);
    if (result_.best_epoch > 0) best_ = read_safetensors(place_.folder->model()).tensors;
    result_.resumed_at = step_;
    if (place_.progress != nullptr) {
      fmt::print(place_.progress, "resuming {} at step {} (epoch {})\n", place_.folder->path, step_, epoch_ + 1);
    }
  }

  Tagger& tagger_;
  const Config& config_;
  const Corpus& corpus_;
  const TrainingPlace place_;
  const TagLists gold_;
  Trainer trainer_;
  Schedule schedule_;
  TrainingResult result_;
  TensorMap best_;
  std::int64_t epoch_ = 0, batch_ = 0, step_ = 0;  // done: epochs, steps of the next one, steps in all
  double loss_sum_ = 0, seconds_ = 0;              // of this epoch
  std::int64_t loss_count_ = 0, sequences_ = 0, skipped_ = 0;
  Clock::time_point epoch_start_;
};

}  // namespace

Optimizer optimizer_of(const Config& config) {
  Adam adam;
  adam.rate = static_cast<float>(config.rate);
  adam.clip_norm = static_cast<float>(config.clip_norm);
  adam.weight_decay = static_cast<float>(config.weight_decay);
  return adam;
}

std::string metrics_text(const std::vector<EpochRecord>& history) {
  std::string text;
  for (const EpochRecord& record : history) text += to_json(record).dump() + "\n";
  return text;
}

TrainingResult train_tagger(Tagger& tagger, const Corpus& corpus, const TrainingPlace& place) {
  return Run(tagger, corpus, place).finish();
}

}  // namespace seqgpu::tool
