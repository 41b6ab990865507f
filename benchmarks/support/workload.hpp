#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "random_data.hpp"

// benchmarks/workloads.json is the one list of what is measured; benchmarks/workloads.py reads it for Python.
namespace seqgpu::benchmark {

using Json = nlohmann::ordered_json;

/// One recurrent network: x [T, N, I], H units a direction, `layers` of them.
struct Workload {
  std::string cell;  // lstm, gru, elman
  int T = 0, N = 0, I = 0, H = 0, directions = 1, layers = 1;
  bool ragged = false;  // lengths uniform in [T/10, T], or all T
  std::string variant;  // "", or what is added: peephole, projection, dropout, feedback; bf16: products
  bool training = false;

  /// "lstm_T256_N8_H512", "lstm_T150_N16_I40_H128_L2_bi", "lstm_T100_N32_H256_ragged"
  std::string name() const {
    std::string text = cell + "_T" + std::to_string(T) + "_N" + std::to_string(N);
    if (I != H) text += "_I" + std::to_string(I);
    text += "_H" + std::to_string(H);
    if (layers != 1) text += "_L" + std::to_string(layers);
    if (directions == 2) text += "_bi";
    if (ragged) text += "_ragged";
    if (!variant.empty()) text += "_" + variant;
    return text;
  }
  int gates() const { return cell == "lstm" ? 4 : cell == "gru" ? 3 : 1; }
  /// Of layer l, counted from 0.
  int inputs(int layer) const { return layer == 0 ? I : directions * H; }
  /// Steps of each sequence.
  std::vector<std::int32_t> lengths() const {
    std::vector<std::int32_t> all(static_cast<std::size_t>(N), T);
    const auto least = static_cast<std::uint64_t>(std::max(1, T / 10)),
               span = static_cast<std::uint64_t>(T) - least + 1;
    for (std::size_t n = 0; ragged && n < all.size(); ++n) {
      all[n] = static_cast<std::int32_t>(least + random_bits("lengths", n) * span / kRandomSpan);
    }
    return all;
  }
};

inline Workload read_workload(const Json& row) {
  Workload w;
  w.cell = row.at("cell");
  w.T = row.at("T"), w.N = row.at("N"), w.I = row.at("I"), w.H = row.at("H");
  w.directions = row.at("directions");
  w.layers = row.value("layers", 1);
  w.ragged = row.value("ragged", false);
  w.variant = row.value("variant", "");
  w.training = row.value("pass", "") == "train";
  return w;
}

/// The layers of a list that are meant for `device`; a row that names none is meant for all.
inline std::vector<Workload> read_workloads(const std::string& path, const std::string& device) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<Workload> workloads;
  for (const Json& row : Json::parse(file)) {
    if (row.value("kind", "layer") == "layer" && row.value("on", device) == device) {
      workloads.push_back(read_workload(row));
    }
  }
  return workloads;
}

}  // namespace seqgpu::benchmark
