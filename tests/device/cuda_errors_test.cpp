// What the CUDA backend makes of the runtime's errors, and of illegal input that kernels find.
#if defined(SEQGPU_TEST_EMULATED)

#include <stdexcept>

#include "tests/device/cuda_launches.hpp"

namespace seqgpu::device {
namespace {

using namespace testing_support;
using testing::AllOf;
using testing::HasSubstr;

class CudaErrors : public CudaBackendTest {};

TEST_F(CudaErrors, OutOfMemoryLeavesAllUsable) {
  const std::size_t total = emulator::live().device_bytes + (std::size_t{64} << 20);
  emulator::device_model().memory_bytes = total;
  start();
  Ints memory(backend, {5, 0});
  const auto too_much = [&] { backend->allocate(std::int64_t{100} << 20); };
  expect_error(ErrorCode::out_of_memory, too_much,
               AllOf(HasSubstr("allocate: 104857600 bytes on cuda:0, 8 in use, "),
                     HasSubstr(" of " + std::to_string(total) + " free")));
  EXPECT_EQ(backend->memory().current, 8);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  Work work;
  work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)})};
  backend->run(work);
  EXPECT_EQ(memory.read(), (std::vector<int>{5, 6}));
  EXPECT_EQ(backend->memory().peak, 8);
}

// Memory may be refused at any of the calls that prepare a program.
TEST_F(CudaErrors, OutOfMemoryWhilePreparing) {
  int refused = 0;
  const auto run_often = [&] {
    Ints memory(backend, {5, 0, 0});
    Work work;
    work.streams = 2;
    int last = 0;
    work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}),
                     make(kAdd, {memory.at(1), nullptr}, {memory.at(2)}, 1, {0})};
    work.fetches = {{&last, memory.at(2), sizeof last}};
    for (int run = 0; run < 5; ++run) {
      last = 0;
      try {
        backend->run(work);
        EXPECT_EQ(last, 7);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
        ++refused;
      }
      EXPECT_EQ(emulator::live().pending, 0u);
    }
  };
  for (const char* function : {"cudaMalloc", "cudaMallocHost", "cudaEventCreateWithFlags", "cudaGraphInstantiate"}) {
    for (std::size_t skip = 0; skip < 3; ++skip) {
      in_own_process([&] {  // a refusal that is not met would stay
        start();
        const std::size_t first = function == std::string("cudaMalloc") ? 1 : 0;  // after the test's own memory
        emulator::fail_next(function, cudaErrorMemoryAllocation, first + skip);
        run_often();
        EXPECT_LE(refused, 1) << function << " " << skip;
        if (skip == 0) {
          EXPECT_EQ(refused, 1) << function;
        }
      });
    }
  }
}

TEST_F(CudaErrors, WhatALaunchThrowsIsRethrown) {
  start();
  Ints memory(backend, {5, 0});
  Work work;
  work.streams = 2;
  work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}), make(kThrowing, {}, {}, 1, {0})};
  for (const bool failing : {true, false, true, true, false}) {  // the third and fourth while it is captured
    throws = failing;
    if (failing) {
      EXPECT_THROW(backend->run(work), std::runtime_error);
      EXPECT_EQ(emulator::live().pending, 0u);
    } else {
      backend->run(work);
    }
    EXPECT_EQ(memory.read(), (std::vector<int>{5, 6}));
  }
  throws = false;
}

TEST_F(CudaErrors, RefusedLaunchIsNamed) {
  start();
  Ints memory(backend, {5, 0});
  Work work;
  work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}), make(kTooLarge, {}, {}, 0, {}, kBinary)};
  for (int run = 0; run < 2; ++run) {
    expect_error(
        ErrorCode::internal, [&] { backend->run(work); },
        AllOf(HasSubstr("binary (test too large), launch 2 of 2"), HasSubstr("cudaErrorInvalidConfiguration")));
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);  // the application's own calls do not find it
  }
  work.launches.pop_back();
  work.replay.reset();
  for (int run = 0; run < 3; ++run) backend->run(work);
  EXPECT_EQ(memory.read(), (std::vector<int>{5, 6}));
}

TEST_F(CudaErrors, LostDeviceSaysWhyForEver) {
  in_own_process([&] {
    start();
    Ints memory(backend, {5, 0, 0});
    Work work;
    work.streams = 2;
    work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}), make(kBroken, {nullptr}, {}, 1, {0}, kBinary),
                     make(kAdd, {memory.at(1), nullptr}, {memory.at(2)}, 0, {1})};
    const testing::Matcher<std::string> cause = AllOf(
        HasSubstr("planted in a test"), HasSubstr("oldest unfinished launch: binary (test broken), launch 2 of 3"));
    expect_error(
        ErrorCode::device_lost, [&] { backend->run(work); }, AllOf(HasSubstr("run: the GPU is lost"), cause));
    int value = 0;
    const testing::Matcher<std::string> again = AllOf(HasSubstr("the GPU was lost before"), cause);
    expect_error(
        ErrorCode::device_lost, [&] { backend->run(work); }, again);
    expect_error(
        ErrorCode::device_lost, [&] { backend->upload(memory.at(0), &value, 4); }, again);
    expect_error(
        ErrorCode::device_lost, [&] { backend->download(&value, memory.at(0), 4); }, again);
    expect_error(
        ErrorCode::device_lost, [&] { backend->zero(memory.at(0), 4); }, again);
    expect_error(
        ErrorCode::device_lost, [&] { backend->allocate(4); }, again);
  });
}

TEST_F(CudaErrors, MarksNameTheBrokenLaunchOfAGraph) {
  in_own_process([&] {
    for (const bool marks : {true, false}) {
      emulator::set_stream_order(emulator::StreamOrder::enqueued);  // later tests ask what late marks say
      start({.marks = marks});
      {
        Ints memory(backend, {5, 0}), when(backend, {0});
        Work work;
        work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}),
                         make(kBroken, {when.at(0)}, {}, 0, {}, kBinary),
                         make(kAdd, {memory.at(0), nullptr}, {memory.at(1)})};
        for (int run = 0; run < 3; ++run) backend->run(work);
        when.write({1});
        expect_error(
            ErrorCode::device_lost, [&] { backend->run(work); },
            AllOf(HasSubstr("planted in a test"),
                  HasSubstr(marks ? "oldest unfinished launch: binary (test broken), launch 2 of 3"
                                  : "oldest unfinished launch: one of the 3 of a graph that notes none")));
      }
      backend.reset();
      emulator::reset();
    }
  });
}

TEST_F(CudaErrors, StickyErrorOfAnyCall) {
  in_own_process([&] {
    for (const char* function : {"cudaMemcpyAsync", "cudaStreamSynchronize", "cudaMalloc", "cudaMemsetAsync"}) {
      start();
      {
        Ints memory(backend, {1});
        emulator::fail_next(function, cudaErrorIllegalAddress);
        const auto use = [&] {
          int value = 0;
          backend->zero(memory.at(0), 4);
          backend->download(&value, memory.at(0), 4);
          backend->release(backend->allocate(4), 4);
        };
        expect_error(ErrorCode::device_lost, use, HasSubstr("cudaErrorIllegalAddress"));
        expect_error(ErrorCode::device_lost, use, HasSubstr("the GPU was lost before (cudaErrorIllegalAddress"));
      }
      backend.reset();
      emulator::reset();
    }
  });
}

TEST_F(CudaErrors, IllegalInputIsTheCpusError) {
  start();
  Ints ids(backend, std::vector<int>(32, 0)), counter(backend, {0});
  Work work;
  work.streams = 2;
  work.launches = {make(kFault, {ids.at(0)}, {}, 1, {}, kGather), make(kFault, {ids.at(0)}, {}, 0, {}, kBinary),
                   make(kGuarded, {}, {counter.at(0)}, 0, {0})};
  int good = 0;
  for (int run = 0; run < 6; ++run) {
    std::vector<int> values(32, 0);
    if (run % 2 == 1) values[9] = -3, values[30] = 8;
    ids.write(values);
    if (run % 2 == 1) {
      expect_error(
          ErrorCode::invalid_argument, [&] { backend->run(work); },
          testing::StrEq("embedding: ids must be in [0, 7), got -3 at element 9; map unknown words to a row of "
                         "the table first"));
    } else {
      backend->run(work);
      ++good;
    }
    EXPECT_EQ(counter.read(), std::vector<int>{good}) << "a faulty run must not change what outlives it";
  }
}

TEST_F(CudaErrors, SaysWhyThereIsNoGpu) {
  std::string why;
  const auto expect_none = [&](const CudaOptions& options, const std::string& want) {
    EXPECT_FALSE(make_cuda_backend(options, why));
    EXPECT_EQ(why, want);
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  };
  expect_none({.device = 1}, "there is no cuda:1: cuda:0 is visible");
  emulator::device_model().count = 3;
  expect_none({.device = 5}, "there is no cuda:5: cuda:0 to cuda:2 are visible");
  emulator::set_compute_capability(7, 5);
  expect_none({}, "cuda:0, Emulated GPU, has compute capability 7.5, and 8.0 or newer is needed");
  emulator::device_model().count = 0;
  expect_none({}, "no NVIDIA GPU is visible");
  emulator::device_model().driver = false;
  expect_none({}, "no NVIDIA driver is installed");
  emulator::device_model() = {};
  emulator::fail_next("cudaStreamCreateWithFlags", cudaErrorDevicesUnavailable);
  EXPECT_FALSE(make_cuda_backend({}, why));
  EXPECT_THAT(why,
              AllOf(HasSubstr("cuda:0 does not start: cudaErrorDevicesUnavailable"), HasSubstr("making a stream")));
}

}  // namespace
}  // namespace seqgpu::device

#endif
