// What the CUDA backend asks of the runtime.
#if defined(SEQGPU_TEST_EMULATED)

#include <random>
#include <set>
#include <thread>

#include "tests/device/cuda_launches.hpp"

namespace seqgpu::device {
namespace {

using namespace testing_support;

class CudaBackend : public CudaBackendTest {};

TEST_F(CudaBackend, SaysWhatItIs) {
  emulator::device_model().multiprocessors = 6;
  start();
  EXPECT_EQ(backend->name(), "cuda:0, Emulated GPU, 6 SMs");
  EXPECT_EQ(backend->kind(), DeviceKind::cuda);
  const Limits& limits = backend->table().limits;
  EXPECT_EQ(limits.compute_capability, 90);
  EXPECT_EQ(limits.multiprocessors, 6);
  EXPECT_EQ(limits.shared_bytes_per_block, 227 * 1024);
  EXPECT_EQ(limits.registers_per_multiprocessor, 65536);
  EXPECT_EQ(limits.cluster_blocks, 16);
}

/// A program that adds along a random graph, over streams.
struct Sum {
  std::vector<std::vector<int>> reads;  // per value: one or two before it; none: it is given
  Work work;

  std::vector<int> expected(std::vector<int> values) const {
    for (std::size_t i = 0; i < reads.size(); ++i) {
      if (reads[i].empty()) continue;
      values[i] = 1;
      for (const int r : reads[i]) values[i] += values[static_cast<std::size_t>(r)];
    }
    return values;
  }
};

Sum random_sum(const Ints& memory, unsigned seed, int streams) {
  std::mt19937 random(seed);
  Sum sum;
  sum.work.streams = streams;
  std::vector<int> launch_of(memory.count, -1);
  for (std::size_t i = 0; i < memory.count; ++i) {
    sum.reads.emplace_back();
    if (i < 3) continue;
    for (int r = 0; r < 1 + static_cast<int>(random() % 2); ++r) sum.reads[i].push_back(static_cast<int>(random() % i));
    const int stream = static_cast<int>(random() % static_cast<unsigned>(streams));
    std::vector<int> waits;
    for (const int r : sum.reads[i]) {
      const int from = launch_of[static_cast<std::size_t>(r)];
      if (from >= 0 && sum.work.launches[static_cast<std::size_t>(from)].stream != stream) waits.push_back(from);
    }
    launch_of[i] = static_cast<int>(sum.work.launches.size());
    const auto value = [&](std::size_t r) {
      return r < sum.reads[i].size() ? memory.at(static_cast<std::size_t>(sum.reads[i][r])) : nullptr;
    };
    sum.work.launches.push_back(make(kAdd, {value(0), value(1)}, {memory.at(i)}, stream, waits));
  }
  return sum;
}

TEST_F(CudaBackend, StreamsWaitForEachOther) {
  using emulator::StreamOrder;
  for (const StreamOrder order : {StreamOrder::enqueued, StreamOrder::reverse, StreamOrder::random}) {
    emulator::set_stream_order(order, 7);
    for (const int streams : {1, 3, 4, 9}) {  // 9: more than the backend has
      start();
      Ints memory(backend, std::vector<int>(40, 0));
      Sum sum = random_sum(memory, static_cast<unsigned>(streams), streams);
      for (int run = 0; run < 5; ++run) {  // launched, captured, replayed
        std::vector<int> given(memory.count, -100 * run);
        given[1] = 7 * run;
        memory.write(given);
        backend->run(sum.work);
        EXPECT_EQ(memory.read(), sum.expected(given)) << "run " << run << " streams " << streams;
      }
    }
  }
}

TEST_F(CudaBackend, StreamsRunBesideEachOther) {
  emulator::set_stream_order(emulator::StreamOrder::reverse);
  start({.graphs = false});
  static std::vector<int> seen;
  seen.clear();
  const auto launch = [](const op::AnyDesc&, const Arguments& a) {
    EXPECT_EQ(cudaLaunchHostFunc(
                  cuda::queue_of(a).stream, [](void* i) { seen.push_back(*static_cast<int*>(i)); }, a.outputs[0]),
              cudaSuccess);
  };
  const Implementation note{"note", nullptr, nullptr, nullptr, launch};
  int numbers[] = {0, 1, 2};
  Work work;
  work.streams = 2;
  work.launches = {make(note, {}, {&numbers[0]}, 0), make(note, {}, {&numbers[1]}, 1),
                   make(note, {}, {&numbers[2]}, 1, {0})};
  backend->run(work);
  EXPECT_EQ(seen, (std::vector<int>{1, 0, 2}));  // 1 waits for nobody
}

const std::set<std::string> kAllocate{"cudaMalloc",      "cudaMallocHost",
                                      "cudaHostAlloc",   "cudaFree",
                                      "cudaFreeHost",    "cudaStreamCreateWithFlags",
                                      "cudaEventCreate", "cudaEventCreateWithFlags",
                                      "cublasCreate",    "cudaGraphInstantiate",
                                      "cublasCreate_v2", "cudaStreamBeginCapture"};
const std::set<std::string> kWait{"cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy", "cudaMemset",
                                  "cudaStreamQuery",       "cudaEventQuery"};

void expect_no_calls(const std::set<std::string>& functions) {
  for (const std::string& function : functions) EXPECT_EQ(emulator::calls(function), 0u) << function;
}

TEST_F(CudaBackend, SteadyStateIsOneGraphAndOneWait) {
  start();
  Ints memory(backend, std::vector<int>(30, 0));
  Sum sum = random_sum(memory, 1, 3);
  int last = 0;
  sum.work.fetches = {{&last, memory.at(29), sizeof last}};
  for (int run = 0; run < 2; ++run) backend->run(sum.work);
  const emulator::Live before = emulator::live();
  for (int run = 0; run < 3; ++run) {
    std::vector<int> given(memory.count, run);
    emulator::reset_calls();
    memory.write(given);
    backend->run(sum.work);
    expect_no_calls(kAllocate);
    expect_no_calls(kWait);
    EXPECT_EQ(emulator::calls("cudaGraphLaunch"), 1u);
    EXPECT_EQ(emulator::calls("cudaStreamSynchronize"), 1u);
    EXPECT_EQ(emulator::calls("cudaMemcpyAsync"), 1u);  // the upload
    EXPECT_EQ(emulator::calls("cudaLaunchKernelEx"), 0u);
    EXPECT_EQ(emulator::calls("cudaEventRecord"), 0u);
    EXPECT_EQ(emulator::calls("cudaStreamWaitEvent"), 0u);
    EXPECT_EQ(last, sum.expected(given)[29]);
  }
  EXPECT_EQ(emulator::live(), before) << emulator::live().text();
}

TEST_F(CudaBackend, WithoutGraphsTheSteadyStateAllocatesNothing) {
  start({.graphs = false});
  Ints memory(backend, std::vector<int>(30, 0));
  Sum sum = random_sum(memory, 1, 3);
  backend->run(sum.work);
  emulator::reset_calls();
  backend->run(sum.work);
  expect_no_calls(kAllocate);
  expect_no_calls(kWait);
  EXPECT_EQ(emulator::calls("cudaStreamSynchronize"), 1u);
  EXPECT_EQ(emulator::calls("cudaGraphLaunch"), 0u);
}

TEST_F(CudaBackend, NewPointersAreCapturedAnew) {
  start();
  Ints memory(backend, {1, 0, 0});
  Work work;
  work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)})};
  for (int run = 0; run < 3; ++run) backend->run(work);
  work.launches[0].outputs[0] = memory.at(2);
  work.replay.reset();
  for (int run = 0; run < 3; ++run) {
    memory.write({10 + run, 0, 0});
    backend->run(work);
    EXPECT_EQ(memory.read(), (std::vector<int>{10 + run, 0, 11 + run}));
  }
}

TEST_F(CudaBackend, UploadsLargerThanTheStaging) {
  emulator::set_stream_order(emulator::StreamOrder::reverse);
  start();
  Ints large(backend, std::vector<int>(3 << 20, 0)), small(backend, {0, 0});
  for (int i = 1; i < 4; ++i) {
    std::vector<int> values(large.count, i);
    values.back() = -i;
    large.write(values);
    small.write({i, -i});
    EXPECT_EQ(small.read(), (std::vector<int>{i, -i}));
    EXPECT_EQ(large.read(), values);
  }
}

TEST_F(CudaBackend, TimelineOfEachLaunch) {
  start();
  Ints memory(backend, std::vector<int>(12, 0));
  Sum sum = random_sum(memory, 3, 3);
  for (const bool record : {false, true, false, true, false}) {
    sum.work.record = record;
    sum.work.timeline.clear();
    backend->run(sum.work);
    ASSERT_EQ(sum.work.timeline.size(), record ? sum.work.launches.size() : 0);
    for (std::size_t i = 0; i < sum.work.timeline.size(); ++i) {
      const Work::Interval& interval = sum.work.timeline[i];
      EXPECT_GE(interval.begin_us, 0);
      EXPECT_GE(interval.end_us, interval.begin_us);
      EXPECT_EQ(interval.thread, sum.work.launches[i].stream);
      for (const int wait : sum.work.launches[i].waits) {
        EXPECT_GE(interval.end_us, sum.work.timeline[static_cast<std::size_t>(wait)].end_us);
      }
    }
    EXPECT_EQ(memory.read(), sum.expected(std::vector<int>(12, 0)));
  }
}

TEST_F(CudaBackend, LeavesTheCurrentDeviceAlone) {
  emulator::device_model().count = 2;
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  start();
  {
    Ints memory(backend, {5, 0});
    Work work;
    work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)})};
    for (int run = 0; run < 3; ++run) backend->run(work);
  }
  int current = -1;
  EXPECT_EQ(cudaGetDevice(&current), cudaSuccess);
  EXPECT_EQ(current, 1);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
}

TEST_F(CudaBackend, ThreadsTakeTurns) {
  start();
  const auto run_often = [&](int first) {
    Ints memory(backend, std::vector<int>(20, 0));
    Sum sum = random_sum(memory, static_cast<unsigned>(first), 3);
    for (int run = 0; run < 20; ++run) {
      const std::vector<int> given(memory.count, first + run);
      memory.write(given);
      backend->run(sum.work);
      EXPECT_EQ(memory.read(), sum.expected(given));
    }
  };
  std::thread one(run_often, 100), two(run_often, 200);
  run_often(300);
  one.join();
  two.join();
}

TEST_F(CudaBackend, WorkMayOutliveTheBackend) {
  Work work;
  start();
  {
    Ints memory(backend, {5, 0});
    work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)})};
    for (int run = 0; run < 3; ++run) backend->run(work);
  }
  backend.reset();
}

}  // namespace
}  // namespace seqgpu::device

#endif
