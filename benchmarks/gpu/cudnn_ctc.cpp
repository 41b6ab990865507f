// cuDNN's CTC loss and gradient as a contestant: both algorithms, labels and lengths on the device, softmax inside.
// Held against our CPU device before it is timed. Its limit is 256 labels, and its blank is class 0.
// Usage: cudnn_ctc --workloads FILE --records FILE [--budget SECONDS]
#include <cudnn.h>

#include "ctc_support.hpp"
#include "cuda_timer.hpp"
#include "cudnn_layer.hpp"

namespace {

using namespace seqgpu::benchmark;

const char* const kContestant = "cudnn";
constexpr double kTolerance = 2e-2;  // gross faults; its log-space sums lose digits over many frames

struct CtcAlgorithm {
  const char* name;
  cudnnCTCLossAlgo_t algorithm;
};
constexpr CtcAlgorithm kAlgorithms[] = {{"DETERMINISTIC", CUDNN_CTC_LOSS_ALGO_DETERMINISTIC},
                                        {"NON_DETERMINISTIC", CUDNN_CTC_LOSS_ALGO_NON_DETERMINISTIC}};

/// Device memory with a copy of `values`.
template <class T>
DeviceMemory on_device(const std::vector<T>& values) {
  DeviceMemory memory(values.size() * sizeof(T));
  check(cudaMemcpy(memory.data(), values.data(), memory.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  return memory;
}
std::vector<float> on_host(const DeviceMemory& memory) {
  std::vector<float> values(memory.bytes() / sizeof(float));
  check(cudaMemcpy(values.data(), memory.data(), memory.bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  return values;
}

class CudnnCtc {
 public:
  CudnnCtc(cudnnHandle_t handle, const CtcWorkload& w, const CtcInputs& inputs, const CtcAlgorithm& algorithm)
      : handle_(handle),
        algorithm_(algorithm.algorithm),
        x_(on_device(inputs.x)),
        labels_(on_device(inputs.targets)),
        label_lengths_(on_device(std::vector<int>(static_cast<std::size_t>(w.N), static_cast<int>(w.U)))),
        input_lengths_(on_device(std::vector<int>(static_cast<std::size_t>(w.N), static_cast<int>(w.T)))),
        losses_(static_cast<std::size_t>(w.N) * sizeof(float)),
        gradient_(w.logits() * sizeof(float)) {
    const int sizes[] = {static_cast<int>(w.T), static_cast<int>(w.N), static_cast<int>(w.C)};
    const int strides[] = {sizes[1] * sizes[2], sizes[2], 1};
    check(cudnnSetTensorNdDescriptor(tensor_, CUDNN_DATA_FLOAT, 3, sizes, strides), "cudnnSetTensorNdDescriptor");
#if CUDNN_VERSION >= 90000
    check(cudnnSetCTCLossDescriptor_v9(ctc_, CUDNN_DATA_FLOAT, CUDNN_LOSS_NORMALIZATION_SOFTMAX,
                                       CUDNN_CTC_ZERO_OOB_GRADIENTS, static_cast<int>(w.U)),
          "cudnnSetCTCLossDescriptor_v9");
#else
    check(cudnnSetCTCLossDescriptor_v8(ctc_, CUDNN_DATA_FLOAT, CUDNN_LOSS_NORMALIZATION_SOFTMAX,
                                       CUDNN_NOT_PROPAGATE_NAN, static_cast<int>(w.U)),
          "cudnnSetCTCLossDescriptor_v8");
#endif
    std::size_t bytes = 0;
    check(cudnnGetCTCLossWorkspaceSize_v8(handle_, algorithm_, ctc_, tensor_, tensor_, &bytes),
          "cudnnGetCTCLossWorkspaceSize_v8");
    workspace_ = DeviceMemory(bytes);
  }

  void run() {
    check(cudnnCTCLoss_v8(handle_, algorithm_, ctc_, tensor_, x_.data(), labels_.data<int>(),
                          label_lengths_.data<int>(), input_lengths_.data<int>(), losses_.data(), tensor_,
                          gradient_.data(), workspace_.bytes(), workspace_.data()),
          "cudnnCTCLoss_v8");
  }
  CtcResults results() const { return {on_host(losses_), on_host(gradient_)}; }
  std::size_t workspace_bytes() const { return workspace_.bytes(); }

 private:
  cudnnHandle_t handle_;
  cudnnCTCLossAlgo_t algorithm_;
  Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> tensor_;
  Owned<cudnnCTCLossDescriptor_t, cudnnCreateCTCLossDescriptor, cudnnDestroyCTCLossDescriptor> ctc_;
  DeviceMemory x_, labels_, label_lengths_, input_lengths_, losses_, gradient_, workspace_;
};

void contend(cudnnHandle_t handle, cudaStream_t stream, const CtcWorkload& w, const CtcInputs& inputs,
             const CtcResults& reference, const CtcAlgorithm& algorithm, Records& records) {
  CudnnCtc ctc(handle, w, inputs, algorithm);
  ctc.run();
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  const double error = ctc_error(ctc.results(), reference);
  if (!(error <= kTolerance)) {
    const std::string why = "loss or gradient is off by " + std::to_string(error) + " from our CPU's";
    return records.write(ctc_left_out(kContestant, w, algorithm.name, "disagrees", why));
  }
  const Times times = time_on(stream, [&] { ctc.run(); });
  Json record = ctc_record(kContestant, w, algorithm.name);
  record["us_median"] = times.us_median;
  record["us_min"] = times.us_min;
  record["wall_us_median"] = times.wall_us_median;
  record["repeats"] = times.repeats;
  record["error"] = error;
  record["workspace_bytes"] = ctc.workspace_bytes();
  records.write(record);
}

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--workloads", ""}, {"--records", ""}, {"--budget", "1e9"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  const CudnnHandle handle;
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  check(cudnnSetStream(handle, stream), "cudnnSetStream");
  for (const CtcWorkload& w : read_ctc_workloads(arguments["--workloads"])) {
    const CtcInputs inputs(w);
    const CtcResults reference = ctc_reference(w, inputs);
    for (const CtcAlgorithm& algorithm : kAlgorithms) {
      try {
        if (budget.spent()) {
          records.write(ctc_left_out(kContestant, w, algorithm.name, "no time", "the time budget is spent"));
          continue;
        }
        contend(handle, stream, w, inputs, reference, algorithm, records);
      } catch (const CudnnError& error) {
        const char* status = error.unsupported ? "unsupported" : "failed";
        records.write(ctc_left_out(kContestant, w, algorithm.name, status, error.what()));
      } catch (const std::exception& error) {
        records.write(ctc_left_out(kContestant, w, algorithm.name, "failed", error.what()));
      }
      check(cudaDeviceSynchronize(), "the GPU is lost");  // nothing after it could be measured
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("cudnn_ctc", [&] { run(argc, argv); });
}
