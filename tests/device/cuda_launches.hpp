#pragma once

#if defined(SEQGPU_TEST_EMULATED)

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "device/cuda/queue.hpp"
#include "device/device.hpp"
#include "emulator/control.hpp"
#include "emulator/execution.hpp"
#include "kernels/block/cuda.cuh"
#include "kernels/block/fault.cuh"
#include "seqgpu/error.hpp"

// For tests of the CUDA backend on the emulator: launches as small as can be, over one int each.
namespace seqgpu::device::testing_support {

inline __global__ void add_kernel(const int* a, const int* b, int* y) {
  if (threadIdx.x == 0) *y = *a + (b ? *b : 0) + 1;
}
/// Breaks the device unless `when` is there and 0.
inline __global__ void broken_kernel(const int* when) {
  if (threadIdx.x == 0 && (!when || *when != 0)) emulator::fail("planted in a test");
}
inline __global__ void fault_kernel(kernels::FaultSink sink, const int* values) {
  if (values[threadIdx.x] != 0) {
    report_fault(sink, kernels::FaultyArgument::values, threadIdx.x, values[threadIdx.x]);
  }
}
inline __global__ void guarded_kernel(kernels::FaultSink sink, int* y) {
  if (threadIdx.x == 0 && !has_faulted(sink)) *y += 1;
}

inline kernels::LaunchShape one_warp(const Arguments& a) {
  return {.grid = 1, .block = 32, .stream = cuda::queue_of(a).stream};
}
inline void launch_add(const op::AnyDesc&, const Arguments& a) {
  kernels::launch(add_kernel, one_warp(a), static_cast<const int*>(a.inputs[0]), static_cast<const int*>(a.inputs[1]),
                  static_cast<int*>(a.outputs[0]));
}
inline void launch_broken(const op::AnyDesc&, const Arguments& a) {
  kernels::launch(broken_kernel, one_warp(a), static_cast<const int*>(a.inputs[0]));
}
inline void launch_fault(const op::AnyDesc&, const Arguments& a) {
  kernels::launch(fault_kernel, one_warp(a), cuda::queue_of(a).faults, static_cast<const int*>(a.inputs[0]));
}
inline void launch_guarded(const op::AnyDesc&, const Arguments& a) {
  kernels::launch(guarded_kernel, one_warp(a), cuda::queue_of(a).faults, static_cast<int*>(a.outputs[0]));
}
inline void launch_too_large(const op::AnyDesc&, const Arguments& a) {
  kernels::launch(broken_kernel, {.grid = 1, .block = 2048, .stream = cuda::queue_of(a).stream},
                  static_cast<const int*>(nullptr));
}
inline bool throws = false;
inline void launch_throwing(const op::AnyDesc&, const Arguments&) {
  if (throws) throw std::runtime_error("not today");
}

inline const Implementation kAdd{"test add", nullptr, nullptr, nullptr, launch_add};
inline const Implementation kBroken{"test broken", nullptr, nullptr, nullptr, launch_broken};
inline const Implementation kFault{"test fault", nullptr, nullptr, nullptr, launch_fault};
inline const Implementation kGuarded{"test guarded", nullptr, nullptr, nullptr, launch_guarded};
inline const Implementation kTooLarge{"test too large", nullptr, nullptr, nullptr, launch_too_large};
inline const Implementation kThrowing{"test throwing", nullptr, nullptr, nullptr, launch_throwing};
inline const op::AnyDesc kCopy = op::CopyDesc{DType::f32, 1};
inline const op::AnyDesc kBinary = op::BinaryDesc{op::BinaryDesc::Kind::add, DType::f32, 1, 1};
inline const op::AnyDesc kGather = op::GatherDesc{DType::f32, 7, 1, 32};

inline Launch make(const Implementation& implementation, std::vector<const void*> inputs, std::vector<void*> outputs,
                   int stream = 0, std::vector<int> waits = {}, const op::AnyDesc& desc = kCopy) {
  return {.implementation = &implementation,
          .desc = &desc,
          .inputs = std::move(inputs),
          .outputs = std::move(outputs),
          .stream = stream,
          .waits = std::move(waits)};
}

struct Ints {
  Ints(const std::shared_ptr<Backend>& backend, std::vector<int> start)
      : backend(backend), count(start.size()), buffer(backend, bytes()) {
    write(start);
  }
  std::int64_t bytes() const { return static_cast<std::int64_t>(count * sizeof(int)); }
  int* at(std::size_t i) const { return reinterpret_cast<int*>(buffer.data()) + i; }
  void write(const std::vector<int>& values) { backend->upload(buffer.data(), values.data(), bytes()); }
  std::vector<int> read() const {
    std::vector<int> values(count);
    backend->download(values.data(), buffer.data(), bytes());
    return values;
  }

  std::shared_ptr<Backend> backend;
  std::size_t count;
  Buffer buffer;
};

class CudaBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    emulator::options().quiet = true;
    before_ = emulator::live();
  }
  void TearDown() override {
    backend.reset();
    EXPECT_EQ(emulator::live(), before_) << emulator::live().text();
    emulator::device_model() = {};
    emulator::reset_calls();
    emulator::set_stream_order(order_);
  }
  void start(CudaOptions options = {}) {
    std::string why;
    backend = make_cuda_backend(options, why);
    ASSERT_TRUE(backend) << why;
  }
  template <class F>
  void expect_error(ErrorCode code, F&& f, const testing::Matcher<std::string>& text) {
    try {
      f();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), text);
    }
  }

  /// In a child process: what is lost there is not lost here.
  template <class F>
  static void in_own_process(F&& f) {
    const pid_t child = fork();
    if (child == 0) {
      f();
      std::fflush(nullptr);
      _exit(HasFailure() ? 1 : 0);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }

  std::shared_ptr<Backend> backend;

 private:
  emulator::Live before_;
  emulator::StreamOrder order_ = emulator::stream_order();
};

}  // namespace seqgpu::device::testing_support

#endif
