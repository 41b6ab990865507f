// CTC loss and gradient by logits, forward and backward in one run on the CPU, on the shapes of PyTorch's side in
// ctc_torch.py. Prints per shape: T N C U, median and least milliseconds, the summed loss. scripts/bench_ctc runs both.
// Usage: ctc THREADS [T N C U]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "device/device.hpp"

namespace {

using namespace seqgpu;

struct CtcShape {
  std::int64_t T, N, C, U;
};

/// Any numbers that both sides can make: the fractions of multiples of the golden ratio, in [-2, 2).
float logit(std::uint64_t i) {
  return static_cast<float>(static_cast<double>(i * 2654435761u % 4294967296u) / 1073741824.0 - 2);
}

void time_shape(const std::shared_ptr<device::Backend>& backend, const CtcShape& s) {
  op::CtcForwardDesc forward;
  forward.T = s.T, forward.N = s.N, forward.C = s.C, forward.L = s.U;
  forward.training = true;
  forward.reduction = op::CtcDesc::Reduction::sum;
  op::CtcBackwardDesc backward;
  static_cast<op::CtcDesc&>(backward) = forward;
  const op::AnyDesc descs[] = {forward, backward};
  const device::OpTable& table = backend->table();

  std::vector<device::Buffer> buffers;
  const auto buffer = [&](std::size_t bytes) {
    buffers.emplace_back(backend, static_cast<std::int64_t>(std::max<std::size_t>(bytes, 64)));
    return buffers.back().data();
  };
  std::vector<float> logits(static_cast<std::size_t>(s.T * s.N * s.C));
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = logit(i);
  std::vector<std::int32_t> targets(static_cast<std::size_t>(s.N * s.U));
  for (std::size_t i = 0; i < targets.size(); ++i) {
    targets[i] = static_cast<std::int32_t>(1 + i * 7919 % static_cast<std::size_t>(s.C - 1));
  }
  const std::size_t bytes = logits.size() * sizeof(float);
  void* x = buffer(bytes);
  backend->upload(x, logits.data(), static_cast<std::int64_t>(bytes));
  void* labels = buffer(targets.size() * 4);
  backend->upload(labels, targets.data(), static_cast<std::int64_t>(targets.size() * 4));
  const float one = 1;
  void* d_loss = buffer(sizeof one);
  backend->upload(d_loss, &one, sizeof one);
  void *loss = buffer(sizeof(float)), *gradient = buffer(bytes);
  void *each = buffer(static_cast<std::size_t>(s.N) * 4), *status = buffer(static_cast<std::size_t>(s.N) * 4);

  device::Work work;
  for (const op::AnyDesc& desc : descs) {
    device::Launch launch;
    launch.desc = &desc;
    launch.implementation = device::choose(table, desc).implementation;
    launch.workspace = buffer(launch.implementation->workspace_bytes(desc, table.limits));
    work.launches.push_back(launch);
  }
  void* kept = buffer(work.launches[0].implementation->opaque_bytes(descs[0], table.limits));
  work.launches[0].inputs = {x, labels, nullptr, nullptr, nullptr};
  work.launches[0].outputs = {loss, each, status, nullptr, nullptr, kept};
  work.launches[1].inputs = {x, labels, nullptr, nullptr, nullptr, kept, d_loss};
  work.launches[1].outputs = {gradient};

  std::vector<double> times;
  for (double total = 0; times.size() < 5 || (total < 1000 && times.size() < 100);) {
    const auto start = std::chrono::steady_clock::now();
    backend->run(work);
    const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
    times.push_back(ms.count());
    total += ms.count();
  }
  std::sort(times.begin(), times.end());
  float value = 0;
  backend->download(&value, loss, sizeof value);
  std::printf("%lld %lld %lld %lld %.3f %.3f %.2f\n", static_cast<long long>(s.T), static_cast<long long>(s.N),
              static_cast<long long>(s.C), static_cast<long long>(s.U), times[times.size() / 2], times.front(),
              static_cast<double>(value));
}

}  // namespace

int main(int argc, char** argv) {
  const auto backend = device::make_cpu_backend(argc > 1 ? std::atoi(argv[1]) : 2);
  if (argc == 6) {
    time_shape(backend, {std::atoll(argv[2]), std::atoll(argv[3]), std::atoll(argv[4]), std::atoll(argv[5])});
    return 0;
  }
  for (const CtcShape& shape :
       {CtcShape{150, 16, 30, 20}, {500, 32, 50, 80}, {1000, 16, 5000, 100}, {200, 64, 30, 30}}) {
    time_shape(backend, shape);
  }
}
