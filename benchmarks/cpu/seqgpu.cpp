// Our own contestant on the CPU. Usage: seqgpu --threads N [--clock wall|cpu], then requests on stdin
// (support/contestant.hpp).
#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {

namespace {

std::unique_ptr<Prepared> prepare(const Bench& bench, const Json& row) {
  const std::string kind = row.value("kind", "layer");
  if (kind == "layer") return prepare_layer(bench, row);
  if (kind == "ctc") return prepare_ctc(bench, row);
  if (kind == "model") return prepare_model(bench, row);
  if (kind == "stream") return prepare_stream(bench, row);
  throw Unsupported("no such kind of workload: " + kind);
}

}  // namespace
}  // namespace seqgpu::benchmark

int main(int argc, char** argv) {
  using namespace seqgpu::benchmark;
  return run_contestant(argc, argv, [](const Setting& setting) {
    const auto backend = std::make_shared<SteeredBackend>(seqgpu::cpu_device(setting.threads).share(), setting.clock);
    const Bench bench{backend, seqgpu::Device(backend), setting.clock};
    return serve("seqgpu", backend->name(), [bench](const Json& row) { return prepare(bench, row); });
  });
}
