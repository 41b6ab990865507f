#include <algorithm>
#include <thread>
#include <vector>

#include "emulator/runtime_support.hpp"

namespace seqgpu::tests {
namespace {

using emulator::GraphNodeView;
using emulator::StreamOrder;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class EmulatorGraph : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    one_ = stream();
    two_ = stream();
    fork_ = event();
    join_ = event();
    p_ = device<int>(8);
    EXPECT_EQ(cudaMemset(p_, 0, 8 * sizeof(int)), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }

  void TearDown() override {
    cudaDeviceSynchronize();
    EXPECT_EQ(cudaFree(p_), cudaSuccess);
    for (const cudaStream_t s : {one_, two_}) EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
    for (const cudaEvent_t e : {fork_, join_}) EXPECT_EQ(cudaEventDestroy(e), cudaSuccess);
    RuntimeTest::TearDown();
  }

  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    EXPECT_EQ(cudaStreamBeginCapture(one_, mode), cudaSuccess);
  }

  cudaError_t end() { return cudaStreamEndCapture(one_, &graph_); }

  // Makes `second` wait for what `first` holds now.
  void wait(cudaStream_t second, cudaStream_t first, cudaEvent_t e) {
    EXPECT_EQ(cudaEventRecord(e, first), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(second, e, 0), cudaSuccess);
  }

  cudaGraphExec_t instantiate() {
    cudaGraphExec_t exec = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&exec, graph_, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph_), cudaSuccess);
    return exec;
  }

  cudaStream_t one_{}, two_{};
  cudaEvent_t fork_{}, join_{};
  cudaGraph_t graph_{};
  int* p_{};
};

TEST_F(EmulatorGraph, RecordsAndReplays) {
  begin();
  int* p = p_;
  EXPECT_EQ(launch(
                one_, [p] { p[0] += 1; }, "increment"),
            cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(p + 1, p, 4, cudaMemcpyDeviceToDevice, one_), cudaSuccess);
  cudaStreamCaptureStatus status{};
  EXPECT_EQ(cudaStreamIsCapturing(one_, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  ASSERT_EQ(end(), cudaSuccess);
  EXPECT_EQ(cudaStreamIsCapturing(one_, &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);

  std::size_t count = 0;
  EXPECT_EQ(cudaGraphGetNodes(graph_, nullptr, &count), cudaSuccess);
  ASSERT_EQ(count, 2u);
  std::vector<cudaGraphNode_t> nodes(count);
  cudaGraphNodeType type{};
  EXPECT_EQ(cudaGraphGetNodes(graph_, nodes.data(), &count), cudaSuccess);
  EXPECT_EQ(cudaGraphNodeGetType(nodes[1], &type), cudaSuccess);
  EXPECT_EQ(type, cudaGraphNodeTypeMemcpy);
  const std::vector<GraphNodeView> views = emulator::graph_nodes(graph_);
  EXPECT_EQ(views[0].label, "increment");
  EXPECT_THAT(views[0].waits, IsEmpty());
  EXPECT_THAT(views[1].waits, ElementsAre(0u));

  const cudaGraphExec_t exec = instantiate();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(exec, one_), cudaSuccess);
  EXPECT_EQ(p[0], 0) << "nothing runs before the host waits";
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess) << "what was launched still runs";
  EXPECT_EQ(cudaStreamSynchronize(one_), cudaSuccess);
  EXPECT_EQ(p[0], 3);
  EXPECT_EQ(p[1], 3);
}

TEST_F(EmulatorGraph, KeepsForksAndJoins) {
  int* p = p_;
  begin();
  EXPECT_EQ(launch(one_, [p] { p[0] = 1; }), cudaSuccess);
  wait(two_, one_, fork_);
  EXPECT_EQ(launch(two_, [p] { p[1] = p[0] + 1; }), cudaSuccess);
  EXPECT_EQ(launch(one_, [p] { p[2] = p[0] + 2; }), cudaSuccess);
  wait(one_, two_, join_);
  EXPECT_EQ(launch(one_, [p] { p[3] = 10 * p[1] + p[2]; }), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  const std::vector<GraphNodeView> nodes = emulator::graph_nodes(graph_);
  ASSERT_EQ(nodes.size(), 4u);
  EXPECT_THAT(nodes[1].waits, ElementsAre(0u));
  EXPECT_THAT(nodes[2].waits, ElementsAre(0u));
  EXPECT_THAT(nodes[3].waits, UnorderedElementsAre(1u, 2u));

  const cudaGraphExec_t exec = instantiate();
  for (const StreamOrder order : {StreamOrder::enqueued, StreamOrder::reverse, StreamOrder::random})
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      emulator::set_stream_order(order, seed);
      EXPECT_EQ(cudaMemsetAsync(p, 0, 16, two_), cudaSuccess);
      wait(one_, two_, fork_);
      EXPECT_EQ(cudaGraphLaunch(exec, one_), cudaSuccess);
      EXPECT_EQ(cudaStreamSynchronize(one_), cudaSuccess);
      EXPECT_EQ(p[3], 23);
    }
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

// Two branches that touch one word: the recorded order hides it, another legal one shows it.
TEST_F(EmulatorGraph, AMissingEdgeShowsInAnotherOrder) {
  int* p = p_;
  begin();
  wait(two_, one_, fork_);
  EXPECT_EQ(launch(one_, [p] { p[0] = 5; }), cudaSuccess);
  EXPECT_EQ(launch(two_, [p] { p[1] = p[0]; }), cudaSuccess);
  wait(one_, two_, join_);
  ASSERT_EQ(end(), cudaSuccess);
  const cudaGraphExec_t exec = instantiate();
  const auto replay = [&](StreamOrder order, std::uint64_t seed) {
    emulator::set_stream_order(order, seed);
    EXPECT_EQ(cudaMemset(p, 0, 8), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(exec, one_), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(one_), cudaSuccess);
    return p[1];
  };
  EXPECT_EQ(replay(StreamOrder::enqueued, 1), 5);
  EXPECT_EQ(replay(StreamOrder::reverse, 1), 0);
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) found += replay(StreamOrder::random, seed) == 0;
  EXPECT_GT(found, 0);
  EXPECT_LT(found, 20);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

TEST_F(EmulatorGraph, OneExecutableGraphRunsOnceAtATime) {
  emulator::set_stream_order(StreamOrder::reverse, 1);
  int* p = p_;
  begin();
  EXPECT_EQ(launch(one_, [p] { p[0] = 2 * p[0] + 1; }), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  const cudaGraphExec_t exec = instantiate();
  EXPECT_EQ(launch(one_, [p] { p[0] = 1; }), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, one_), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, two_), cudaSuccess);  // another stream, yet behind the first launch
  EXPECT_EQ(cudaStreamSynchronize(two_), cudaSuccess);
  EXPECT_EQ(p[0], 7);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

TEST_F(EmulatorGraph, AGraphMayHoldAGraph) {
  int* p = p_;
  begin();
  EXPECT_EQ(launch(one_, [p] { p[0] += 1; }), cudaSuccess);
  EXPECT_EQ(launch(one_, [p] { p[0] *= 2; }), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  const cudaGraphExec_t inner = instantiate();
  begin();
  EXPECT_EQ(cudaGraphLaunch(inner, one_), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(inner, one_), cudaSuccess);
  EXPECT_EQ(launch(one_, [p] { p[1] = p[0]; }), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  const cudaGraphExec_t outer = instantiate();
  EXPECT_EQ(cudaGraphExecDestroy(inner), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(outer, two_), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(two_), cudaSuccess);
  EXPECT_EQ(p[1], 6);
  EXPECT_EQ(cudaGraphExecDestroy(outer), cudaSuccess);
}

// A captured copy uses host memory when it is replayed.
TEST_F(EmulatorGraph, CapturedCopiesReadHostMemoryLate) {
  int* host = pinned<int>(2);
  host[0] = 1;
  begin();
  EXPECT_EQ(cudaMemcpyAsync(p_, host, 4, cudaMemcpyHostToDevice, one_), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(host + 1, p_, 4, cudaMemcpyDeviceToHost, one_), cudaSuccess);
  ASSERT_EQ(end(), cudaSuccess);
  const cudaGraphExec_t exec = instantiate();
  host[0] = 9;
  EXPECT_EQ(cudaGraphLaunch(exec, one_), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(one_), cudaSuccess);
  EXPECT_EQ(host[1], 9);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(host), cudaSuccess);
}

TEST_F(EmulatorGraph, ForbidsWhatCannotBeCaptured) {
  void* p = nullptr;
  float ms = 0;
  const auto refused = [&](auto call) {
    begin();
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(launch(one_, [] {}), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph_, nullptr);
  };
  refused([&] { return cudaMalloc(&p, 4); });
  refused([&] { return cudaFree(p_); });
  refused([&] { return cudaMallocHost(&p, 4); });
  refused([&] { return cudaStreamSynchronize(one_); });
  refused([&] { return cudaStreamQuery(one_); });
  refused([&] { return cudaDeviceSynchronize(); });
  refused([&] { return cudaMemcpy(p_, p_ + 1, 4, cudaMemcpyDeviceToDevice); });
  refused([&] { return cudaEventQuery(fork_); });
  EXPECT_EQ(launch(one_, [] {}), cudaSuccess) << "the stream works again";

  // The relaxed mode allows the unsafe ones, but no waiting for captured work.
  begin(cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaMalloc(&p, 4), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaEventElapsedTime(&ms, fork_, join_), cudaErrorInvalidResourceHandle);
}

// A capture of this thread alone lets the others allocate; a global one does not.
TEST_F(EmulatorGraph, ModesSayWhichThreadsAreForbidden) {
  void* p = nullptr;
  begin(cudaStreamCaptureModeThreadLocal);
  std::thread([&p] {
    EXPECT_EQ(cudaMalloc(&p, 4), cudaSuccess);
    EXPECT_EQ(cudaFree(p), cudaSuccess);
  }).join();
  EXPECT_EQ(end(), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph_), cudaSuccess);
  begin(cudaStreamCaptureModeGlobal);
  std::thread([&] {
    EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(end(), cudaErrorStreamCaptureWrongThread);
  }).join();
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
}

TEST_F(EmulatorGraph, ForbidsTheDefaultStreamBesideBlockingStreams) {
  const cudaStream_t blocking = stream(cudaStreamDefault);
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(launch(nullptr, [] {}), cudaErrorStreamCaptureImplicit);
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph_), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamDestroy(blocking), cudaSuccess);

  begin();  // a non-blocking one stands apart
  EXPECT_EQ(launch(nullptr, [] {}), cudaSuccess);
  EXPECT_EQ(end(), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph_), cudaSuccess);
}

TEST_F(EmulatorGraph, ForksMustJoin) {
  begin();
  EXPECT_EQ(launch(one_, [] {}), cudaSuccess);
  wait(two_, one_, fork_);
  EXPECT_EQ(launch(two_, [] {}), cudaSuccess);
  EXPECT_EQ(end(), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(launch(two_, [] {}), cudaSuccess) << "the fork left the capture too";

  begin();
  wait(two_, one_, fork_);
  EXPECT_EQ(cudaStreamEndCapture(two_, &graph_), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(end(), cudaErrorIllegalState);
}

TEST_F(EmulatorGraph, CapturesStayApart) {
  // From work outside into the capture.
  EXPECT_EQ(cudaEventRecord(fork_, two_), cudaSuccess);
  begin();
  EXPECT_EQ(cudaStreamWaitEvent(one_, fork_, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);

  // Between two captures.
  begin();
  EXPECT_EQ(cudaStreamBeginCapture(two_, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(fork_, two_), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(one_, fork_, 0), cudaErrorStreamCaptureMerge);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(two_, &graph_), cudaErrorStreamCaptureInvalidated);

  // Out of a capture: such an event has no state.
  begin();
  EXPECT_EQ(launch(one_, [] {}), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(fork_, one_), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(fork_), cudaErrorCapturedEvent);
  EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaEventQuery(fork_), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaStreamWaitEvent(two_, fork_, 0), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaEventRecord(fork_, two_), cudaSuccess) << "recorded anew, it is an event again";
  EXPECT_EQ(cudaEventSynchronize(fork_), cudaSuccess);
}

TEST_F(EmulatorGraph, AStreamMayGoDuringItsCapture) {
  const cudaStream_t s = stream();
  EXPECT_EQ(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess) << "nothing is captured now";
}

TEST_F(EmulatorGraph, RefusesWrongHandles) {
  cudaGraphExec_t exec = nullptr;
  EXPECT_EQ(cudaGraphInstantiate(&exec, nullptr, 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphLaunch(nullptr, one_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphDestroy(nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphExecDestroy(nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace seqgpu::tests
