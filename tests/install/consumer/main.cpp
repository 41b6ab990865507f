// A stranger's program: trains one weight to double its input, and prints how that went.
#include <cstdio>
#include <vector>

#include "seqgpu/dtype.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/nn.hpp"
#include "seqgpu/trainer.hpp"

int main() {
  using namespace seqgpu;
  const Device device = cpu_device(1);
  Parameters parameters(device, /*seed=*/1);
  nn::Linear linear(parameters, "linear", {.input = 1, .output = 1});
  Trainer trainer(device, parameters, Adam{.rate = 0.05f}, [&](Graph& graph) {
    return mean_squared_error(linear(graph.input("x", DType::f32, {"N", "1"})),
                              graph.input("y", DType::f32, {"N", "1"}));
  });
  const Batch batch{{"x", HostTensor::of(Shape{2, 1}, std::vector<float>{1.f, 2.f})},
                    {"y", HostTensor::of(Shape{2, 1}, std::vector<float>{2.f, 4.f})}};
  const float first = trainer.step(batch);
  float last = first;
  for (int i = 0; i < 200; ++i) last = trainer.step(batch);

  bool caught = false;  // exceptions cross the library's border with their type
  try {
    trainer.step({});
  } catch (const Error&) {
    caught = true;
  }
  std::printf("%s %s %s\n", to_string(DType::f32), last < 0.1f * first ? "learned" : "did not learn",
              caught ? "and refused" : "but did not refuse");
}
