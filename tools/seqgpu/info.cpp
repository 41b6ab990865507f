#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "seqgpu/checkpoint.hpp"
#include "seqgpu/device.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kMetadataShown = 60;  // bytes

std::string first_line(const std::string& text) {
  const std::string line = text.substr(0, std::min(text.find('\n'), kMetadataShown));
  return line.size() == text.size() ? line : fmt::format("{}... ({} bytes)", line, text.size());
}

void run_info(const std::string& path, bool full, bool as_json) {
  const TensorFile file = read_safetensors(path);
  if (as_json) {
    nlohmann::json result{{"metadata", file.metadata}, {"tensors", nlohmann::json::object()}};
    for (const auto& [name, tensor] : file.tensors) {
      nlohmann::json shape = nlohmann::json::array();
      for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
      result["tensors"][name] = {{"dtype", to_string(tensor.dtype)}, {"shape", shape}};
    }
    fmt::print("{}\n", result.dump());
    return;
  }
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : file.tensors) {
    fmt::print("{:<36} {:<4} {}\n", name, to_string(tensor.dtype), to_string(tensor.shape));
    elements += tensor.shape.elements();
  }
  fmt::print("{} tensors, {} elements\n", file.tensors.size(), elements);
  for (const auto& [key, value] : file.metadata) fmt::print("{}: {}\n", key, full ? value : first_line(value));
}

void run_doctor() {
  const CudaInfo cuda = cuda_info();
  const double gib =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE)) / (1 << 30);
  fmt::print("version\t{}\ncpu\t{}\nmemory\t{:.1f} GiB\n", SEQGPU_VERSION, cpu_device().name(), gib);
  if (cuda.toolkit.empty()) {
    fmt::print("cuda\tnot in this build\n");
  } else {
    fmt::print("cuda\tbuilt with {}, {}\n", cuda.toolkit,
               cuda.driver.empty() ? "no driver" : "the driver serves " + cuda.driver);
  }
  for (std::size_t i = 0; i < cuda.devices.size(); ++i) fmt::print("gpu\tcuda:{}, {}\n", i, cuda.devices[i]);
  if (!cuda.problem.empty()) fmt::print("gpu\tnone: {}\n", cuda.problem);
  std::string chosen;
  try {
    chosen = to_line(choose_device());
  } catch (const Error& error) {  // SEQGPU_DEVICE asks for what is not there
    chosen = error.what();
  }
  fmt::print("default\t{}\n", chosen);
}

}  // namespace

void add_info(CLI::App& app) {
  CLI::App* command = app.add_subcommand("info", "List the tensors and metadata of a safetensors file");
  struct Options {
    std::string file;
    bool full = false, json = false;
  };
  auto options = std::make_shared<Options>();
  command->add_option("file", options->file, "model or checkpoint")->required();
  command->add_flag("--full", options->full, "metadata in full");
  command->add_flag("--json", options->json, "one line of JSON");
  command->callback([options] { run_info(options->file, options->full, options->json); });
}

void add_doctor(CLI::App& app) {
  app.add_subcommand("doctor", "Show what this machine offers: SIMD, threads, memory, GPU")->callback(run_doctor);
}

}  // namespace seqgpu::tool
