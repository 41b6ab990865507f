#include "training.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "progress.hpp"
#include "random.hpp"
#include "seqgpu/checkpoint.hpp"

namespace seqgpu::tool {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

Schedule schedule_of(const Config& config, std::int64_t steps) {
  if (config.schedule == "step") {
    return Schedule::step(config.schedule_steps, static_cast<float>(config.schedule_factor));
  }
  if (config.schedule == "plateau") return Schedule::halve_on_plateau(static_cast<int>(config.schedule_patience));
  if (config.schedule == "cosine") return Schedule::cosine(std::min(config.schedule_steps, steps - 1), steps);
  return config.schedule == "warmup" ? Schedule::warm_up(config.schedule_steps) : Schedule::constant();
}

json to_json(const EpochRecord& record) {
  json object{{"epoch", record.epoch}, {"step", record.step},       {"loss", record.loss},
              {"rate", record.rate},   {"skipped", record.skipped}, {"seconds", record.seconds}};
  for (const auto& [key, value] : record.dev) object[key] = value;
  return object;
}

// JSON has no infinity and no NaN: either is written, and comes back, as null.
double number_from(const json& j) { return j.is_null() ? std::nan("") : j.get<double>(); }

Scores scores_from(const json& j) {
  Scores scores;
  for (const auto& [key, value] : j.items()) {
    if (key.starts_with("dev_")) scores[key] = number_from(value);
  }
  return scores;
}

EpochRecord record_from(const json& j) {
  return {j.at("epoch"),   j.at("step"),   number_from(j.at("loss")), scores_from(j), j.at("rate"),
          j.at("skipped"), j.at("seconds")};
}

// One training run: where it is, and how it goes on.
class Run {
 public:
  Run(Task& task, const TrainingPlace& place)
      : task_(task),
        config_(task.config()),
        place_(place),
        trainer_(task.device(), task.parameters(), optimizer_of(config_),
                 [&task](Graph& graph) { return task.loss(graph); }, {.memory_bytes = memory_bytes(config_)}),
        total_steps_(task.plan_epoch(0) * config_.epochs),
        schedule_(schedule_of(config_, total_steps_)) {}

  TrainingResult finish() {
    if (place_.checkpoints) resume();
    Progress progress(place_.progress, step_, total_steps_);
    while (epoch_ < config_.epochs && !out_of_patience()) {
      run_epoch(progress);
      end_epoch(progress);
    }
    if (!best_.empty()) task_.parameters().set_all(best_);
    return std::move(result_);
  }

 private:
  void run_epoch(Progress& progress) {
    const std::int64_t count = task_.plan_epoch(epoch_);
    epoch_start_ = Clock::now();
    while (batch_ < count) {
      const Task::Step now = task_.step(batch_);
      trainer_.set_rate_factor(schedule_.factor(step_));
      const float loss = config_.weight_noise > 0 ? noisy_step(now.inputs) : trainer_.step(now.inputs);
      ++step_;
      ++batch_;
      if (trainer_.report().skipped) {
        ++skipped_;
        result_.non_finite_parameter = trainer_.report().non_finite_parameter;
      } else {
        loss_sum_ += static_cast<double>(loss);
        ++loss_count_;
      }
      sequences_ += now.sequences;
      progress.step(line());
      if (config_.checkpoint_every > 0 && step_ % config_.checkpoint_every == 0 && batch_ < count) save();
    }
  }

  // The gradient is that at parameters with noise (Graves, Mohamed, Hinton 2013); what it changes is the ones without.
  float noisy_step(const Batch& inputs) {
    TensorMap parameters = task_.parameters().all(), noisy = parameters;
    const std::uint64_t stream = mix(static_cast<std::uint64_t>(config_.seed)) ^ static_cast<std::uint64_t>(step_);
    std::uint64_t index = 0;
    for (auto& [name, tensor] : noisy) add_noise(tensor.view<float>(), config_.weight_noise, mix(stream) + index++);
    task_.parameters().set_all(noisy);
    const float loss = trainer_.step(inputs);
    const TensorMap after = task_.parameters().all();
    for (auto& [name, tensor] : parameters) {
      const auto values = tensor.view<float>(), from = noisy.at(name).view<float>();
      const auto to = after.at(name).view<float>();
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += to[i] - from[i];
    }
    task_.parameters().set_all(parameters);
    return loss;
  }

  // Scores the dev set. @param kept  gets the parameters it was scored by: those trained, or their moving average
  Scores score(TensorMap& kept) {
    if (!(config_.ema_decay > 0)) {
      kept = task_.parameters().all();
      return task_.score_dev();
    }
    const TensorMap trained = task_.parameters().all();
    kept = trainer_.averaged();
    task_.parameters().set_all(kept);
    Scores scores = task_.score_dev();
    task_.parameters().set_all(trained);
    return scores;
  }

  void end_epoch(Progress& progress) {
    TensorMap kept;
    const Scores scores = score(kept);
    const Measure measure = task_.measure();
    const double rate = config_.rate * static_cast<double>(schedule_.factor(step_));
    if (!scores.empty()) {
      const double score = scores.at(measure.key);
      schedule_.observe(static_cast<float>(measure.higher_is_better ? score : -score));
    }
    ++epoch_;
    batch_ = 0;
    seconds_ += std::chrono::duration<double>(Clock::now() - epoch_start_).count();
    result_.history.push_back({epoch_, step_, mean_loss(), scores, rate, skipped_, seconds_});
    if (result_.best_epoch == 0 || scores.empty() || better(measure, scores, result_.best)) {
      result_.best_epoch = epoch_;
      result_.best = scores;
      best_ = std::move(kept);
      // Before the checkpoint: a run killed between the two repeats this epoch and writes the same bytes again.
      if (place_.folder != nullptr) task_.save(place_.folder->model(), best_);
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
    const Measure measure = task_.measure();
    std::string dev = fmt::format("dev {}", measure.title);
    if (!result_.history.empty() && !result_.history.back().dev.empty()) {
      dev += fmt::format(" {:5.2f}", 100 * result_.history.back().dev.at(measure.key));
    } else {
      dev += "     -";
    }
    return {within ? epoch_ + 1 : epoch_, config_.epochs, step_, mean_loss(), dev, sequences_, skipped_};
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
                     {"best", result_.best},
                     {"schedule", {schedule.best, schedule.scale, schedule.waited, schedule.observed}},
                     {"history", history}};
    Checkpoint checkpoint;
    checkpoint.parameters = task_.parameters().all();
    checkpoint.trainer = trainer_.state();
    checkpoint.metadata = {{"config", to_toml(config_)}, {"data", task_.fingerprint()}, {"state", state.dump()}};
    save_checkpoint(place_.folder->checkpoints(), step_, checkpoint);
  }

  void check_same_run(const Checkpoint& checkpoint) const {
    const std::string& folder = place_.folder->path;
    std::vector<std::string> changes =
        differences(config_, resolve(parse_config(checkpoint.metadata.at("config"), folder)));
    if (checkpoint.metadata.at("data") != task_.fingerprint()) {
      changes.emplace_back("the training or dev set is another");
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
      loss_sum_ = number_from(state.at("loss_sum"));
      loss_count_ = state.at("loss_count");
      seconds_ = state.at("seconds");
      skipped_ = state.at("skipped");
      result_.best_epoch = state.at("best_epoch");
      result_.best = scores_from(state.at("best"));
      const json& schedule = state.at("schedule");
      schedule_.restore({schedule.at(0), schedule.at(1), schedule.at(2), schedule.at(3)});
      for (const json& record : state.at("history")) result_.history.push_back(record_from(record));
    } catch (const json::exception& error) {
      throw Error(ErrorCode::invalid_file, "train", place_.folder->checkpoints(), error.what());
    } catch (const std::out_of_range&) {
      throw Error(ErrorCode::invalid_file, "train", place_.folder->checkpoints(), "is not from `seqgpu train`");
    }
    step_ = found->step;
    task_.parameters().set_all(found->parameters);
    trainer_.restore(found->trainer);
    if (result_.best_epoch > 0) best_ = saved_parameters();
    result_.resumed_at = step_;
    if (place_.progress != nullptr) {
      fmt::print(place_.progress, "resuming {} at step {} (epoch {})\n", place_.folder->path, step_, epoch_ + 1);
    }
  }

  // Of the best epoch so far; the model file may hold more than parameters.
  TensorMap saved_parameters() const {
    TensorMap tensors = read_safetensors(place_.folder->model()).tensors;
    TensorMap parameters;
    for (const std::string& name : task_.parameters().names()) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) {
        throw Error(ErrorCode::invalid_file, "train", place_.folder->model(),
                    fmt::format("has no tensor \"{}\"; add --restart to begin again", name));
      }
      parameters.insert(tensors.extract(found));
    }
    return parameters;
  }

  Task& task_;
  const Config& config_;
  const TrainingPlace place_;
  Trainer trainer_;
  std::int64_t total_steps_;
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
  adam.ema_decay = static_cast<float>(config.ema_decay);
  return adam;
}

std::string metrics_text(const std::vector<EpochRecord>& history) {
  std::string text;
  for (const EpochRecord& record : history) text += to_json(record).dump() + "\n";
  return text;
}

bool better(const Measure& measure, const Scores& now, const Scores& before) {
  const double a = now.at(measure.key), b = before.at(measure.key);
  if (a != b) return measure.higher_is_better ? a > b : a < b;
  const auto loss = now.find("dev_loss");
  return loss != now.end() && !std::isnan(loss->second) && !(before.at("dev_loss") <= loss->second);
}

TrainingResult train(Task& task, const TrainingPlace& place) { return Run(task, place).finish(); }

}  // namespace seqgpu::tool
