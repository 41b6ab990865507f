// CTC loss and gradient by logits, forward and backward in one run on the CPU; ctc_torch.py is PyTorch's side, and
// scripts/bench_ctc runs both.
//   ctc wall|cpu THREADS [T N C U]  times shapes: T N C U, median and least milliseconds, the summed loss, and the
//   bytes
//                                   that live beside logits and gradient at the peak, forward's output for backward
//                                   among them. cpu: the process's time, for one thread on a machine with other work
//   ctc accuracy FILE               writes logits, targets and gradients of six long cases for ctc_torch.py to compare
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
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

/// One loss and its gradient, ready to run again and again.
struct Problem {
  Problem(const std::shared_ptr<device::Backend>& on, const CtcShape& s, const std::vector<float>& logits,
          const std::vector<std::int32_t>& targets);
  void run() { backend->run(work); }
  void* buffer(std::size_t bytes) {
    buffers.emplace_back(backend, static_cast<std::int64_t>(std::max<std::size_t>(bytes, 64)));
    return buffers.back().data();
  }

  std::shared_ptr<device::Backend> backend;
  op::AnyDesc descs[2];
  std::vector<device::Buffer> buffers;
  device::Work work;
  void *loss = nullptr, *gradient = nullptr;
  std::size_t peak = 0;
};

Problem::Problem(const std::shared_ptr<device::Backend>& on, const CtcShape& s, const std::vector<float>& logits,
                 const std::vector<std::int32_t>& targets)
    : backend(on) {
  op::CtcForwardDesc forward;
  forward.T = s.T, forward.N = s.N, forward.C = s.C, forward.L = s.U;
  forward.training = true;
  forward.reduction = op::CtcDesc::Reduction::sum;
  op::CtcBackwardDesc backward;
  static_cast<op::CtcDesc&>(backward) = forward;
  descs[0] = forward;
  descs[1] = backward;
  const device::OpTable& table = backend->table();

  const auto upload = [&](const void* from, std::size_t bytes) {
    void* to = buffer(bytes);
    backend->upload(to, from, static_cast<std::int64_t>(bytes));
    return to;
  };
  const float one = 1;
  void *x = upload(logits.data(), logits.size() * sizeof(float)), *d_loss = upload(&one, sizeof one);
  void* labels = upload(targets.data(), targets.size() * sizeof(std::int32_t));
  loss = buffer(sizeof(float));
  gradient = buffer(logits.size() * sizeof(float));
  void *each = buffer(static_cast<std::size_t>(s.N) * 4), *status = buffer(static_cast<std::size_t>(s.N) * 4);
  std::size_t workspace = 0;
  for (const op::AnyDesc& desc : descs) {
    device::Launch launch;
    launch.desc = &desc;
    launch.implementation = device::choose(table, desc).implementation;
    const std::size_t bytes = launch.implementation->workspace_bytes(desc, table.limits);
    launch.workspace = buffer(bytes);
    workspace = std::max(workspace, bytes);
    work.launches.push_back(launch);
  }
  const std::size_t kept_bytes = work.launches[0].implementation->opaque_bytes(descs[0], table.limits);
  void* kept = buffer(kept_bytes);
  peak = workspace + kept_bytes;
  work.launches[0].inputs = {x, labels, nullptr, nullptr, nullptr};
  work.launches[0].outputs = {loss, each, status, nullptr, nullptr, kept};
  work.launches[1].inputs = {x, labels, nullptr, nullptr, nullptr, kept, d_loss};
  work.launches[1].outputs = {gradient};
}

double milliseconds(bool cpu) {
  if (cpu) return static_cast<double>(std::clock()) * 1000 / CLOCKS_PER_SEC;
  const std::chrono::duration<double, std::milli> now = std::chrono::steady_clock::now().time_since_epoch();
  return now.count();
}

void time_shape(const std::shared_ptr<device::Backend>& backend, bool cpu, const CtcShape& s) {
  std::vector<float> logits(static_cast<std::size_t>(s.T * s.N * s.C));
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = logit(i);
  std::vector<std::int32_t> targets(static_cast<std::size_t>(s.N * s.U));
  for (std::size_t i = 0; i < targets.size(); ++i) {
    targets[i] = static_cast<std::int32_t>(1 + i * 7919 % static_cast<std::size_t>(s.C - 1));
  }
  Problem problem(backend, s, logits, targets);
  std::vector<double> times;
  for (double total = 0; times.size() < 5 || (total < 1000 && times.size() < 1000);) {
    const double start = milliseconds(cpu);
    problem.run();
    times.push_back(milliseconds(cpu) - start);
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  float value = 0;
  backend->download(&value, problem.loss, sizeof value);
  std::printf("%lld %lld %lld %lld %.3f %.3f %.2f %zu\n", static_cast<long long>(s.T), static_cast<long long>(s.N),
              static_cast<long long>(s.C), static_cast<long long>(s.U), times[times.size() / 2], times.front(),
              static_cast<double>(value), problem.peak);
}

/// The cases of tests/ctc/values_test.cpp: for each, i64 T U C, then f32 logits [T, C], i32 targets [U], f32 gradient.
void write_gradients(const std::shared_ptr<device::Backend>& backend, const char* path) {
  struct Case {
    std::int64_t T, U, C;
    bool uniform;
  };
  std::ofstream file(path, std::ios::binary);
  for (const Case& c : {Case{1000, 5, 5, true}, Case{20000, 5, 5, true}, Case{150, 40, 28, false},
                        Case{1500, 300, 50, false}, Case{4000, 1200, 3, false}, Case{5000, 600, 64, false}}) {
    std::mt19937 random(11);
    std::normal_distribution<double> normal;
    std::vector<float> logits(static_cast<std::size_t>(c.T * c.C)), gradient(logits.size());
    for (float& x : logits) x = static_cast<float>(normal(random));
    if (c.uniform) std::fill(logits.begin(), logits.end(), 0.f);
    std::vector<std::int32_t> targets(static_cast<std::size_t>(c.U));
    for (auto& label : targets) label = static_cast<std::int32_t>(1 + random() % static_cast<unsigned>(c.C - 1));
    Problem problem(backend, {c.T, 1, c.C, c.U}, logits, targets);
    problem.run();
    const std::size_t bytes = logits.size() * sizeof(float);
    backend->download(gradient.data(), problem.gradient, static_cast<std::int64_t>(bytes));
    const auto write = [&](const void* from, std::size_t count) {
      file.write(static_cast<const char*>(from), static_cast<std::streamsize>(count));
    };
    const std::int64_t sizes[] = {c.T, c.U, c.C};
    write(sizes, sizeof sizes);
    write(logits.data(), bytes);
    write(targets.data(), targets.size() * sizeof(std::int32_t));
    write(gradient.data(), bytes);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && argv[1] == std::string("accuracy")) {
    write_gradients(device::make_cpu_backend(1), argv[2]);
    return 0;
  }
  const bool cpu = argc > 1 && argv[1] == std::string("cpu");
  const auto backend = device::make_cpu_backend(argc > 2 ? std::atoi(argv[2]) : 2);
  if (argc == 7) {
    time_shape(backend, cpu, {std::atoll(argv[3]), std::atoll(argv[4]), std::atoll(argv[5]), std::atoll(argv[6])});
    return 0;
  }
  for (const CtcShape& shape :
       {CtcShape{150, 16, 30, 20}, {500, 32, 50, 80}, {1000, 16, 5000, 100}, {200, 64, 30, 30}}) {
    time_shape(backend, cpu, shape);
  }
}
