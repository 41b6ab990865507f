#pragma once

#include <algorithm>
#include <cmath>

#include "benchmarks/cpu/seqgpu_parts.hpp"
#include "benchmarks/support/median.hpp"
#include "expected.hpp"
#include "support.hpp"

// What seqgpu_steps.cpp and expected.cpp share: the rows that are whole training steps ("model") or streaming
// ("stream"), and their records.
namespace seqgpu::benchmark {

/// "model_tagger", "stream_lstm_H128", as in workloads.py.
inline std::string step_name(const Json& row) {
  if (row.at("kind") == "model") return "model_" + row.at("model").get<std::string>();
  return "stream_" + row.at("cell").get<std::string>() + "_H" + std::to_string(row.at("H").get<int>());
}

inline std::vector<Json> read_steps(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<Json> rows;
  for (const Json& row : Json::parse(file)) {
    const std::string kind = row.value("kind", "layer");
    if ((kind == "model" || kind == "stream") && row.value("on", "gpu") == "gpu") rows.push_back(row);
  }
  return rows;
}

inline std::unique_ptr<Prepared> prepare_step(const Bench& bench, const Json& row) {
  return row.at("kind") == "model" ? prepare_model(bench, row) : prepare_stream(bench, row);
}

inline std::string expected_path(const std::string& folder, const std::string& name) { return folder + "/" + name; }

/// @param variant  how it is called
inline Json step_record(const char* contestant, const Json& row, const std::string& variant) {
  const bool model = row.at("kind") == "model";
  return Json{{"kind", model ? "step time" : "stream time"},
              {"contestant", contestant},
              {"workload", step_name(row)},
              {"pass", model ? "train" : "forward"},
              {"precision", row.value("precision", "f32")},
              {"variant", variant}};
}

/// Seconds of single runs, warmed up. @param streamed  how many of a streaming step
template <class Run>
std::vector<double> times_of(const Json& row, int streamed, Run&& run) {
  for (int i = 0; i < 5; ++i) run();
  const bool model = row.at("kind") == "model";
  std::vector<double> seconds;
  for (int left = model ? std::max(20, repeats_for(run())) : streamed; left > 0; --left) seconds.push_back(run());
  return seconds;
}

inline void note_times(Json& record, std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  record["us_median"] = 1e6 * median(seconds);
  record["us_min"] = 1e6 * seconds.front();
  if (record.at("kind") == "stream time") {
    const auto at = static_cast<std::size_t>(std::ceil(0.999 * static_cast<double>(seconds.size()))) - 1;
    record["us_p999"] = 1e6 * seconds[std::min(at, seconds.size() - 1)];
  }
  record["repeats"] = seconds.size();
}

}  // namespace seqgpu::benchmark
