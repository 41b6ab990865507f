// The measurements that decide between strategies, in cycles of the multiprocessor unless said otherwise; A0 gives its
// clock. What each decides is told in docs/gpu_check.md. A measurement that fails says so, and the next one runs.
//   A0 clock   A1 clusters that fit   A2 pushes through distributed shared memory   A3 cluster barriers
//   A4 exchanges through L2   A5 rate of mma.sync   A6 latencies of the gate chain
// Usage: micro --records FILE [--only A2]
#include "micro_cluster.cuh"
#include "micro_grid.cuh"
#include "micro_latency.cuh"

namespace {

using namespace seqgpu::benchmark;

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--records", ""}, {"--only", ""}});
  Records records(arguments["--records"]);
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  Report report(records, 10 * device.major + device.minor);
  const std::string only = arguments["--only"];
  const auto wanted = [&](const char* id) { return only.empty() || only == id; };
  if (wanted("A0")) {
    records.write(Json{{"kind", "device"},
                       {"name", device.name},
                       {"compute_capability", report.capability()},
                       {"multiprocessors", device.multiProcessorCount},
                       {"l2_bytes", device.l2CacheSize},
                       {"shared_bytes_per_block", device.sharedMemPerBlockOptin}});
    measure_clock(report);
  }
  const bool clusters = report.capability() >= 90;
  for (const char* id : {"A1", "A2", "A3"}) {
    if (!clusters && wanted(id)) {
      records.write(Json{{"kind", "micro"}, {"id", id}, {"name", "clusters"}, {"failed", "needs capability 9.0"}});
    }
  }
  if (clusters && wanted("A1")) measure_occupancy(report);
  if (clusters && wanted("A2")) measure_pushes(report);
  if (clusters && wanted("A3")) measure_cluster_barriers(report);
  if (wanted("A4")) measure_grid(report);
  if (wanted("A5")) measure_mma(report, device.multiProcessorCount);
  if (wanted("A6")) measure_latencies(report);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("micro", [&] { run(argc, argv); });
}
