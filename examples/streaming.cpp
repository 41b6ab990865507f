// One step at a time, with the state carried by the caller: bit for bit what the whole sequence gives at once.
#include <algorithm>
#include <cstdio>
#include <random>

#include "seqgpu/seqgpu.hpp"

using namespace seqgpu;

int main() {
  constexpr std::int64_t kSteps = 50, kBatch = 3, kInput = 8, kHidden = 20;
  Device device = cpu_device();
  Parameters parameters(device, /*seed=*/1);
  nn::Recurrent lstm(parameters, "lstm", {.cell = CellKind::lstm, .input = kInput, .hidden = kHidden});

  std::mt19937 random(1);
  HostTensor x(DType::f32, {kSteps, kBatch, kInput});
  for (float& v : x.view<float>()) v = static_cast<float>(random() % 2001) / 1000.f - 1.f;

  Session whole(device, parameters, [&](Graph& g) { g.output("y", lstm(g.input("x", DType::f32, {"T", "N", "I"}))); });
  const HostTensor expected = whole.run({{"x", x}}).at("y");

  Session step(device, parameters, [&](Graph& g) {
    const Value in = g.input("x", DType::f32, {"1", "N", "I"});
    const Value h = g.input("h", DType::f32, {"N", "H"}), c = g.input("c", DType::f32, {"N", "H"});
    const auto result = lstm.run(in, {}, {}, {h, c});
    g.output("y", result.output);
    g.output("h", result.final[0]);
    g.output("c", result.final[1]);
  });
  TensorMap state = {{"h", HostTensor(DType::f32, {kBatch, kHidden})},
                     {"c", HostTensor(DType::f32, {kBatch, kHidden})}};
  std::int64_t equal = 0;
  for (std::int64_t t = 0; t < kSteps; ++t) {
    const auto now = x.view<float>().subspan(static_cast<std::size_t>(t * kBatch * kInput), kBatch * kInput);
    state = step.run({{"x", HostTensor::of<float>({1, kBatch, kInput}, std::span<const float>(now))},
                      {"h", state.at("h")},
                      {"c", state.at("c")}});
    const auto y = state.at("y").view<float>();
    const auto want = expected.view<float>().subspan(static_cast<std::size_t>(t * kBatch * kHidden), kBatch * kHidden);
    equal += std::equal(y.begin(), y.end(), want.begin()) ? 1 : 0;
  }
  std::printf("%lld of %lld steps equal the whole-sequence run, bit for bit\n", static_cast<long long>(equal),
              static_cast<long long>(kSteps));
  return equal == kSteps ? 0 : 1;
}
