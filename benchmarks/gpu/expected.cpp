// Writes what every contestant must compute before it is timed: results of our CPU device in f32, on a few steps of
// each layer of the list, one file a pass (expected.hpp), and of whole training steps and streaming. Files that are
// there already stay. Usage: expected --workloads FILE --into FOLDER
#include <filesystem>

#include "seqgpu_layer.hpp"
#include "step_support.hpp"
#include "support.hpp"

namespace {

using namespace seqgpu;
using namespace seqgpu::benchmark;

/// Writes a file unless it is there.
template <class Compute>
void provide(const std::string& path, Compute&& compute) {
  if (std::filesystem::exists(path)) return;
  write_results(path + ".part", thinned(compute()));  // one that was cut off must not look like a whole one
  std::filesystem::rename(path + ".part", path);
}

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--workloads", ""}, {"--into", ""}});
  const std::string folder = arguments["--into"], list = arguments["--workloads"];
  std::filesystem::create_directories(folder);
  const auto backend = std::make_shared<SteeredBackend>(cpu_device().share());
  const Bench bench{backend, Device(backend), Clock::wall};
  for (const Json& row : read_steps(list)) {
    provide(expected_path(folder, step_name(row)), [&] { return prepare_step(bench, row)->results(); });
  }
  for (const Workload& whole : read_workloads(list, "gpu")) {
    const Workload w = shortened(whole);
    std::unique_ptr<LayerParameters> parameters;
    for (const Pass pass : {Pass::forward, Pass::train}) {
      provide(expected_path(folder, w, name_of(pass)), [&] {
        if (!parameters) parameters = std::make_unique<LayerParameters>(bench.device, w);
        return LayerPass(bench.device, *parameters, Precision::f32, pass, /*whole=*/true).results();
      });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("expected", [&] { run(argc, argv); });
}
