// cuDNN as a contestant, through its own API: every algorithm in every type, enqueued as it comes and replayed from a
// captured graph. y is held against STANDARD in f32 before anything is timed. PERSIST_DYNAMIC compiles a kernel for
// each shape, which is slow, so it comes last.
//   forward   cudnnRNNForward in inference mode
//   train     cudnnRNNForward in training mode, cudnnRNNBackwardData_v8, cudnnRNNBackwardWeights_v8
// Usage: cudnn_rnn --workloads FILE --records FILE [--budget SECONDS]
#include <cmath>

#include "cudnn_layer.hpp"

namespace {

using namespace seqgpu::benchmark;

const char* const kContestant = "cudnn";

/// |a - b| / |b|
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / std::max(norm, 1e-300));
}

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

/// Elements of x, dy, y and of all matrices, at most.
std::size_t largest_tensor(const std::vector<Workload>& workloads) {
  std::size_t most = 0;
  for (const Workload& w : workloads) {
    const std::size_t width = static_cast<std::size_t>(std::max(w.I, w.directions * w.H));
    most = std::max(most, static_cast<std::size_t>(w.T) * static_cast<std::size_t>(w.N) * width);
  }
  return most;
}
std::size_t largest_weights(const std::vector<Workload>& workloads) {
  std::size_t most = 0;
  for (const Workload& w : workloads) {
    most = std::max(most, static_cast<std::size_t>(4 * w.directions) * static_cast<std::size_t>(w.H) *
                              static_cast<std::size_t>(w.I + w.H));
  }
  return most;
}

class Contest {
 public:
  Contest(const std::vector<Workload>& workloads, Records& records, const Budget& budget)
      : x_(largest_tensor(workloads), 1.f, 1),
        weights_(largest_weights(workloads), 0.04f, 2),
        records_(records),
        budget_(budget) {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    check(cudnnSetStream(handle_, stream_), "cudnnSetStream");
  }
  Contest(const Contest&) = delete;
  Contest& operator=(const Contest&) = delete;
  ~Contest() { cudaStreamDestroy(stream_); }

  void run(const Workload& w, const std::vector<CudnnAlgorithm>& algorithms) {
    std::vector<float> reference;
    for (const CudnnAlgorithm& algorithm : algorithms) {
      for (const CudnnPrecision& precision : {kF16, kBf16, kF32, kTf32}) {
        for (const bool training : {false, true}) {
          if (budget_.spent()) {
            leave_out(w, training, algorithm, precision, "no time", "the time budget is spent");
            continue;
          }
          try {
            if (reference.empty()) reference = result_of(w, kStandard, kF32);
            contend(w, algorithm, precision, training, reference);
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

  std::vector<float> result_of(const Workload& w, const CudnnAlgorithm& algorithm, const CudnnPrecision& precision) {
    CudnnLayer layer(handle_, stream_, w, algorithm, precision, false, x_, weights_);
    layer.forward();
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return layer.first_and_last();
  }

  void contend(const Workload& w, const CudnnAlgorithm& algorithm, const CudnnPrecision& precision, bool training,
               const std::vector<float>& reference) {
    CudnnLayer layer(handle_, stream_, w, algorithm, precision, training, x_, weights_);
    const auto body = [&] { training ? layer.train() : layer.forward(); };
    body();
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    const double error = distance(layer.first_and_last(), reference);
    if (!(error <= precision.tolerance)) {
      return leave_out(w, training, algorithm, precision, "disagrees",
                       "y is off by " + std::to_string(error) + " of its norm from STANDARD in f32");
    }
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

  RandomPool x_, weights_;
  Records& records_;
  const Budget& budget_;
  CudnnHandle handle_;
  cudaStream_t stream_ = nullptr;
};

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--workloads", ""}, {"--records", ""}, {"--budget", "1e9"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  const std::vector<Workload> workloads = read_workloads(arguments["--workloads"], "gpu");
  records.write(
      Json{{"kind", "contestant"}, {"contestant", kContestant}, {"version", std::to_string(cudnnGetVersion())}});
  Contest contest(workloads, records, budget);
  for (const Workload& w : workloads) contest.run(w, {kStandard, kPersistStatic, kPersistSmall});
  for (const Workload& w : workloads) contest.run(w, {kPersistDynamic});
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("cudnn_rnn", [&] { run(argc, argv); });
}
