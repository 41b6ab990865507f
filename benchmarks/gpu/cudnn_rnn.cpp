// cuDNN as a contestant, through its own API: every algorithm in every type, enqueued as it comes and replayed from a
// captured graph. Results are held against the expected ones (expected.hpp) on a few steps before anything is timed.
// PERSIST_DYNAMIC compiles a kernel for each shape, which is slow, so it comes last.
//   forward   cudnnRNNForward in inference mode
//   train     cudnnRNNForward in training mode, cudnnRNNBackwardData_v8, cudnnRNNBackwardWeights_v8
// Ragged batches are padded, with their lengths.
// Usage: cudnn_rnn --workloads FILE --records FILE --expected FOLDER [--budget SECONDS]
#include "cudnn_layer.hpp"

namespace {

using namespace seqgpu::benchmark;

const char* const kContestant = "cudnn";

/// A captured graph, ready to replay.
class Replay {
 public:
  template <class Body>
  Replay(cudaStream_t stream, Body&& body) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
    cudaGraph_t graph = nullptr;
    try {
      body();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    const cudaError_t code = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check(code, "cudaGraphInstantiate");
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  ~Replay() { cudaGraphExecDestroy(executable_); }
  void launch(cudaStream_t stream) { check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

/// Elements of x or dy, at most.
std::size_t largest_tensor(const std::vector<Workload>& workloads) {
  std::size_t most = 0;
  for (const Workload& w : workloads) {
    const std::size_t width = static_cast<std::size_t>(std::max(w.I, w.directions * w.H));
    most = std::max(most, static_cast<std::size_t>(w.T) * static_cast<std::size_t>(w.N) * width);
  }
  return most;
}

class Contest {
 public:
  Contest(const std::vector<Workload>& workloads, Records& records, const Budget& budget, std::string expected)
      : x_(random_values("x", largest_tensor(workloads))),
        dy_(random_values("dy", largest_tensor(workloads))),
        records_(records),
        budget_(budget),
        expected_(std::move(expected)) {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    check(cudnnSetStream(handle_, stream_), "cudnnSetStream");
  }
  Contest(const Contest&) = delete;
  Contest& operator=(const Contest&) = delete;
  ~Contest() { cudaStreamDestroy(stream_); }

  void run(const Workload& w, const std::vector<CudnnAlgorithm>& algorithms) {
    std::unique_ptr<NumberPool> weights;
    for (const CudnnAlgorithm& algorithm : algorithms) {
      for (const CudnnPrecision& precision : {kF16, kBf16, kF32, kTf32}) {
        for (const bool training : {false, true}) {
          if (budget_.spent()) {
            leave_out(w, training, algorithm, precision, "no time", "the time budget is spent");
            continue;
          }
          try {
            if (!weights) weights = std::make_unique<NumberPool>(weight_numbers(w));
            contend(w, algorithm, precision, training, {x_, dy_, *weights});
          } catch (const CudnnError& error) {
            leave_out(w, training, algorithm, precision, error.unsupported ? "unsupported" : "failed", error.what());
            stop_if_lost();
          } catch (const std::exception& error) {
            leave_out(w, training, algorithm, precision, "failed", error.what());
            stop_if_lost();
          }
        }
      }
    }
  }

 private:
  void leave_out(const Workload& w, bool training, const CudnnAlgorithm& algorithm, const CudnnPrecision& precision,
                 const char* status, const std::string& why) {
    records_.write(
        left_out(kContestant, w, training ? "train" : "forward", precision.name, algorithm.name, status, why));
  }

  /// An error that stays ends the program: nothing after it could be measured.
  void stop_if_lost() {
    cudaGetLastError();
    const cudaError_t code = cudaDeviceSynchronize();
    if (code != cudaSuccess) throw std::runtime_error(std::string("the GPU is lost: ") + cudaGetErrorName(code));
  }

  /// Of the few steps whose results are known.
  Disagreement check_results(const Workload& w, const CudnnAlgorithm& algorithm, const CudnnPrecision& precision,
                             bool training, const CudnnNumbers& numbers) {
    CudnnLayer layer(handle_, stream_, w, algorithm, precision, training, numbers);
    training ? layer.train() : layer.forward();
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return disagreement(expected_, w, training ? "train" : "forward", layer.results());
  }

  void contend(const Workload& w, const CudnnAlgorithm& algorithm, const CudnnPrecision& precision, bool training,
               const CudnnNumbers& numbers) {
    const Disagreement found = check_results(shortened(w), algorithm, precision, training, numbers);
    const double error = found.error;
    if (!(error <= precision.tolerance)) {
      return leave_out(w, training, algorithm, precision, "disagrees",
                       found.worst + " is off by " + std::to_string(error) + " of its norm from our CPU's");
    }
    CudnnLayer layer(handle_, stream_, w, algorithm, precision, training, numbers);
    const auto body = [&] { training ? layer.train() : layer.forward(); };
    write(w, training, algorithm, precision, "", error, time_on(stream_, body));
    try {
      Replay replay(stream_, body);
      write(w, training, algorithm, precision, ", graph", error, time_on(stream_, [&] { replay.launch(stream_); }));
    } catch (const std::exception& refused) {  // some algorithms cannot be captured
      Json record = left_out(kContestant, w, training ? "train" : "forward", precision.name,
                             std::string(algorithm.name) + ", graph", "unsupported", refused.what());
      records_.write(record);
      stop_if_lost();
    }
  }

  void write(const Workload& w, bool training, const CudnnAlgorithm& algorithm, const CudnnPrecision& precision,
             const char* how, double error, const Times& times) {
    Json record =
        time_record(kContestant, w, training ? "train" : "forward", precision.name, std::string(algorithm.name) + how);
    record["us_median"] = times.us_median;
    record["us_min"] = times.us_min;
    record["wall_us_median"] = times.wall_us_median;
    record["repeats"] = times.repeats;
    record["error"] = error;
    records_.write(record);
  }

  NumberPool x_, dy_;
  Records& records_;
  const Budget& budget_;
  std::string expected_;
  CudnnHandle handle_;
  cudaStream_t stream_ = nullptr;
};

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--workloads", ""}, {"--records", ""}, {"--expected", ""}, {"--budget", "1e9"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  const std::vector<Workload> workloads = read_workloads(arguments["--workloads"], "gpu");
  records.write(
      Json{{"kind", "contestant"}, {"contestant", kContestant}, {"version", std::to_string(cudnnGetVersion())}});
  Contest contest(workloads, records, budget, arguments["--expected"]);
  for (const Workload& w : workloads) contest.run(w, {kStandard, kPersistStatic, kPersistSmall});
  for (const Workload& w : workloads) contest.run(w, {kPersistDynamic});
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("cudnn_rnn", [&] { run(argc, argv); });
}
