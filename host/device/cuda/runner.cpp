#include "device/cuda/runner.hpp"

#include <cstring>
#include <utility>

#include "device/cuda/check.hpp"
#include "device/cuda/faults.hpp"
#include "device/cuda/queue.hpp"

namespace seqgpu::device::cuda {
namespace {

constexpr int kMaxStreams = 64;

std::string launch_name(const Work& work, std::size_t i) {
  const Launch& launch = work.launches[i];
  return std::string(op::name_of(*launch.desc)) + " (" + launch.implementation->name + "), launch " +
         std::to_string(i + 1) + " of " + std::to_string(work.launches.size());
}

}  // namespace

/// Pinned words that the device writes.
struct Runner::Page {
  unsigned any_fault;
  std::uint32_t ended[kMaxStreams];  // per stream: the number of the last launch known to have ended
};

/// Ends a capture that an exception interrupted, so that the streams are usable again.
class Runner::Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    // Only this thread: others may use other devices meanwhile.
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "starting a capture");
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    if (!stream_) return;
    cudaGraph_t graph = nullptr;
    static_cast<void>(cudaStreamEndCapture(stream_, &graph));
    if (graph) static_cast<void>(cudaGraphDestroy(graph));
    static_cast<void>(cudaGetLastError());
  }
  GraphRef end() {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(std::exchange(stream_, nullptr), &graph), "ending a capture");
    return GraphRef(graph);
  }

 private:
  cudaStream_t stream_;
};

Runner::Runner(Streams& streams, Staging& staging, const Limits& limits, Options options)
    : streams_(streams),
      staging_(staging),
      limits_(limits),
      options_(options),
      page_(make_pinned_memory(sizeof(Page))) {
  page() = {};
}

Runner::Page& Runner::page() const { return *static_cast<Page*>(page_.get()); }

void Runner::start(const Work& work, const Replay& replay, std::size_t i) {
  const int partner = replay.partner_of(i), s = replay.stream_of(i);
  const auto queue_of = [&](std::size_t launch) {
    return Queue{streams_[s], &streams_.blas(s), replay.faults(launch), &limits_};
  };
  const auto arguments_of = [&](const Launch& launch, Queue& queue) {
    return Arguments{launch.inputs.data(), const_cast<void* const*>(launch.outputs.data()), launch.workspace, nullptr,
                     &queue};
  };
  const Launch& launch = work.launches[i];
  Queue queue = queue_of(i);
  try {
    if (partner < 0) {
      launch.implementation->launch(*launch.desc, arguments_of(launch, queue));
    } else {
      const auto j = static_cast<std::size_t>(partner);
      const Launch& other = work.launches[j];
      Queue second = queue_of(j);
      launch.implementation->launch_pair(*launch.desc, arguments_of(launch, queue), *other.desc,
                                         arguments_of(other, second));
    }
  } catch (const kernels::CudaError& error) {
    throw kernels::CudaError(error.code, launch_name(work, i) + ": " + error.what());
  }
}

/// Copies the number of launch i to the page once it has ended. In a graph that goes beside the launch's stream, which
/// does not wait for it (docs/cuda.md, "A lost device").
void Runner::mark_end(const Replay& replay, std::size_t i, How how) {
  if (how == How::captured && !options_.marks) return;
  const int s = replay.stream_of(i);
  const cudaStream_t stream = how == How::captured ? streams_.fork_beside(s) : streams_[s];
  check(cudaMemcpyAsync(&page().ended[s], replay.number(i), sizeof(std::uint32_t), cudaMemcpyDeviceToHost, stream),
        "noting the end of a launch");
}

void Runner::enqueue(Work& work, const Replay& replay, How how) {
  const cudaStream_t main = streams_.main();
  const auto record = [](cudaEvent_t event, cudaStream_t stream) {
    check(cudaEventRecord(event, stream), "recording an event");
  };
  const auto wait = [](cudaStream_t stream, cudaEvent_t event) {
    check(cudaStreamWaitEvent(stream, event, 0), "waiting for an event");
  };
  const bool timed = how == How::singly_with_times;
  if (timed) record(replay.origin(), main);
  if (replay.streams().size() > 1) record(replay.started(), main);
  for (const int s : replay.streams()) {
    if (streams_[s] != main) wait(streams_[s], replay.started());
  }
  const auto wait_for = [&](const Launch& launch, int s) {
    for (const int other : launch.waits) {
      const auto w = static_cast<std::size_t>(other);
      if (replay.stream_of(w) != s) wait(streams_[s], replay.done(w));
    }
  };
  for (std::size_t i = 0; i < work.launches.size(); ++i) {
    const int s = replay.stream_of(i), partner = replay.partner_of(i);
    const cudaStream_t stream = streams_[s];
    if (partner >= 0 && partner < static_cast<int>(i)) {  // it went with the other
      wait(stream, replay.pair_done(static_cast<std::size_t>(partner)));
    } else {
      const auto j = static_cast<std::size_t>(partner);
      wait_for(work.launches[i], s);
      if (partner >= 0) {
        wait_for(work.launches[j], replay.stream_of(j));
        record(replay.pair_ready(i), streams_[replay.stream_of(j)]);
        wait(stream, replay.pair_ready(i));
      }
      if (timed) record(replay.begin_of(i), stream);
      if (timed && partner >= 0) record(replay.begin_of(j), stream);
      start(work, replay, i);
      if (timed) record(replay.end_of(i), stream);
      if (timed && partner >= 0) record(replay.end_of(j), stream);
      if (partner >= 0) record(replay.pair_done(i), stream);
    }
    mark_end(replay, i, how);
    if (replay.done(i)) record(replay.done(i), stream);
  }
  for (const int s : replay.streams()) {
    if (streams_[s] == main) continue;
    record(replay.joined(s), streams_[s]);
    wait(main, replay.joined(s));
  }
  for (std::size_t i = 0; i < work.fetches.size(); ++i) {
    check(cudaMemcpyAsync(replay.fetched(i), work.fetches[i].from, static_cast<std::size_t>(work.fetches[i].bytes),
                          cudaMemcpyDeviceToHost, main),
          "fetching a result");
  }
  check(cudaMemcpyAsync(&page().any_fault, replay.any_fault(), sizeof(unsigned), cudaMemcpyDeviceToHost, main),
        "reading faults");
  if (how == How::captured && options_.marks) {
    for (const int s : replay.streams()) {
      if (replay.has_launches(s)) streams_.join_beside(s);
    }
  }
}

void Runner::capture(Work& work, Replay& replay) {
  Capture capture(streams_.main());
  enqueue(work, replay, How::captured);
  const GraphRef graph = capture.end();
  cudaGraphExec_t exec = nullptr;
  check(cudaGraphInstantiate(&exec, graph.get(), 0), "making a graph");
  replay.graph = GraphExec(exec);
}

void Runner::run(Work& work) {
  marked_ = false;
  std::memset(page().ended, 0, sizeof page().ended);
  try {
    if (!work.replay) work.replay = std::make_shared<Replay>(work, streams_, staging_);
    Replay& replay = *static_cast<Replay*>(work.replay.get());
    if (work.record) replay.prepare_timing();
    if (work.record || !options_.graphs || !replay.ran) {
      marked_ = true;
      enqueue(work, replay, work.record ? How::singly_with_times : How::singly);
    } else {
      if (!replay.graph) capture(work, replay);
      marked_ = options_.marks;
      check(cudaGraphLaunch(replay.graph.get(), streams_.main()), "launching a graph");
    }
    check(cudaStreamSynchronize(streams_.main()), "running a program");
    finish(work, replay);
  } catch (...) {
    streams_.drain();
    staging_.was_waited_for();
    throw;
  }
}

void Runner::finish(Work& work, Replay& replay) {
  staging_.was_waited_for();
  replay.ran = true;
  if (page().any_fault != 0) {
    const std::vector<kernels::Fault> faults = replay.read_faults(streams_.main());
    replay.clear_faults(streams_.main());
    throw input_error(work.launches, faults);
  }
  for (std::size_t i = 0; i < work.fetches.size(); ++i) {
    std::memcpy(work.fetches[i].to, replay.fetched(i), static_cast<std::size_t>(work.fetches[i].bytes));
  }
  if (work.record) fill_timeline(work, replay);
}

void Runner::fill_timeline(Work& work, const Replay& replay) const {
  const auto microseconds = [&](cudaEvent_t event) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, replay.origin(), event), "reading a timeline");
    return 1e3 * static_cast<double>(milliseconds);
  };
  work.timeline.resize(work.launches.size());
  for (std::size_t i = 0; i < work.launches.size(); ++i) {
    work.timeline[i] = {microseconds(replay.begin_of(i)), microseconds(replay.end_of(i)), replay.stream_of(i)};
  }
}

std::string Runner::unfinished(const Work& work) const {
  if (!work.replay) return "";
  if (!marked_) return "one of the " + std::to_string(work.launches.size()) + " of a graph that notes none";
  const Replay& replay = *static_cast<const Replay*>(work.replay.get());
  for (std::size_t i = 0; i < work.launches.size(); ++i) {
    if (page().ended[replay.stream_of(i)] < i + 1) return launch_name(work, i);
  }
  return "";
}

}  // namespace seqgpu::device::cuda
