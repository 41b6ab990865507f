#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// What a contestant computes, by name, in a file: a line of JSON [[name, elements], ...], then the values, f32.
namespace seqgpu::benchmark {

using Results = std::vector<std::pair<std::string, std::vector<float>>>;

inline void write_results(const std::string& path, const Results& results) {
  std::ofstream file(path, std::ios::binary);
  nlohmann::ordered_json head = nlohmann::ordered_json::array();
  for (const auto& [name, values] : results) head.push_back({name, values.size()});
  file << head.dump() << '\n';
  for (const auto& [name, values] : results) {
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
  }
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

inline Results read_results(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!std::getline(file, line)) throw std::runtime_error("cannot read " + path);
  Results results;
  for (const auto& entry : nlohmann::ordered_json::parse(line)) {
    std::vector<float> values(entry.at(1).get<std::size_t>());
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
    results.emplace_back(entry.at(0).get<std::string>(), std::move(values));
  }
  if (!file) throw std::runtime_error(path + " is too short");
  return results;
}

struct Disagreement {
  double error = 0;   // the largest |got - want| / |want| of all tensors, in Frobenius norms
  std::string worst;  // which tensor that is, or what is missing
};

/// Every tensor of `want` must be in `got`; infinite where one is not, or is of another size.
inline Disagreement compare(const Results& got, const Results& want) {
  Disagreement all;
  for (const auto& [name, reference] : want) {
    const auto same = [&name = name](const auto& entry) { return entry.first == name; };
    const auto found = std::find_if(got.begin(), got.end(), same);
    if (found == got.end() || found->second.size() != reference.size()) return {INFINITY, name + " is missing"};
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const double b = static_cast<double>(reference[i]), d = static_cast<double>(found->second[i]) - b;
      difference += d * d;
      norm += b * b;
    }
    const double error = std::sqrt(difference / std::max(norm, 1e-300));
    if (std::isnan(error)) return {INFINITY, name + " holds NaN"};
    if (error > all.error) all = {error, name};
  }
  return all;
}

}  // namespace seqgpu::benchmark
