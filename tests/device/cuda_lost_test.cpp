// A whole training step, replayed as a graph, in which one launch breaks the device: what the Error says of it.
#if defined(SEQGPU_TEST_EMULATED)

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/device/cuda_launches.hpp"
#include "tests/train/tagger.hpp"

namespace seqgpu::device {
namespace {

using namespace testing_support;
using testing::AllOf;
using testing::HasSubstr;

/// The launch that is to break, for the plain functions that an Implementation holds.
struct Planted {
  const Implementation* original = nullptr;
  const op::AnyDesc* victim = nullptr;
  const int* when = nullptr;  // on the device: 0 while it is well
} planted;

void break_after(const op::AnyDesc& desc, const Arguments& a) {
  if (&desc == planted.victim) kernels::launch(broken_kernel, one_warp(a), planted.when);
}
void launch_planted(const op::AnyDesc& desc, const Arguments& a) {
  planted.original->launch(desc, a);
  break_after(desc, a);
}
void launch_planted_pair(const op::AnyDesc& one, const Arguments& a, const op::AnyDesc& two, const Arguments& b) {
  planted.original->launch_pair(one, a, two, b);
  break_after(one, a);
  break_after(two, b);
}

/// The CUDA device, but launch `victim` of a program breaks it when `when` is set.
class BreakingBackend final : public Backend {
 public:
  BreakingBackend(std::shared_ptr<Backend> inner, std::size_t victim)
      : inner_(std::move(inner)), when_(inner_, {0}), victim_(victim) {}

  void arm() { when_.write({1}); }
  std::size_t launches() const { return streams_.size(); }
  int stream_of(std::size_t launch) const { return streams_[launch]; }
  /// "recurrent (stepwise), launch 5 of 20"
  std::string name_of(std::size_t launch) const {
    return names_[launch] + ", launch " + std::to_string(launch + 1) + " of " + std::to_string(names_.size());
  }

  void run(Work& work) override {
    if (!work.replay) plant(work);
    inner_->run(work);
  }

  DeviceKind kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }
  MemoryUse memory() const override { return inner_->memory(); }
  int streams() const override { return inner_->streams(); }
  const OpTable& table() const override { return inner_->table(); }
  void* allocate(std::int64_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory, std::int64_t bytes) noexcept override { inner_->release(memory, bytes); }
  void upload(void* to, const void* from, std::int64_t bytes) override { inner_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::int64_t bytes) const override { inner_->download(to, from, bytes); }
  void zero(void* to, std::int64_t bytes) override { inner_->zero(to, bytes); }

 private:
  /// Every launch of the victim's implementation gets the planted one, so that pairs still find each other.
  void plant(Work& work) {
    streams_.clear(), names_.clear();
    for (const Launch& launch : work.launches) {
      streams_.push_back(launch.stream);
      names_.push_back(std::string(op::name_of(*launch.desc)) + " (" + launch.implementation->name + ")");
    }
    if (victim_ >= work.launches.size()) return;
    const Implementation* original = work.launches[victim_].implementation;
    planted = {original, work.launches[victim_].desc, when_.at(0)};
    implementation_ = *original;
    implementation_.launch = launch_planted;
    if (original->launch_pair) implementation_.launch_pair = launch_planted_pair;
    for (Launch& launch : work.launches) {
      if (launch.implementation == original) launch.implementation = &implementation_;
    }
  }

  std::shared_ptr<Backend> inner_;
  Ints when_;
  std::size_t victim_;
  Implementation implementation_{};
  std::vector<int> streams_;
  std::vector<std::string> names_;
};

/// The number of the launch that a message names.
std::size_t launch_named(const std::string& message) {
  const std::string before = ", launch ";
  const std::size_t named = message.find("oldest unfinished launch: ");
  const std::size_t at = named == std::string::npos ? named : message.find(before, named);
  return at == std::string::npos ? 0 : std::stoul(message.substr(at + before.size()));
}

class CudaLost : public CudaBackendTest {
 protected:
  static support::TaggerOptions model() {
    support::TaggerOptions options;
    options.layers = 2;  // both directions of each: something for every stream
    options.hidden = 4;
    return options;
  }

  /// Trains until the step is replayed, then breaks it.
  /// @return the backend, which holds nothing more, and what the error said
  std::pair<std::shared_ptr<BreakingBackend>, std::string> lose(std::size_t victim) {
    start();
    const auto breaking = std::make_shared<BreakingBackend>(std::exchange(backend, nullptr), victim);
    std::string message;
    {
      const Device device(breaking);
      support::Tagger tagger(device, model());
      Trainer trainer(device, tagger.parameters, Adam{}, [&](Graph& g) { return tagger.loss(g); });
      const Batch batch = support::tagger_batch(2, 3, 1);
      for (int step = 0; step < 3; ++step) trainer.step(batch);
      breaking->arm();
      emulator::reset_calls();
      const auto step = [&] { trainer.step(batch); };
      const auto lost = [&](const std::string& start) {
        return AllOf(HasSubstr(start), HasSubstr("cudaErrorLaunchFailure"), HasSubstr("planted in a test"),
                     HasSubstr("while running a program"), HasSubstr("oldest unfinished launch: "));
      };
      try {
        step();
        ADD_FAILURE() << "launch " << victim + 1 << " broke nothing";
      } catch (const Error& error) {
        message = error.what();
        EXPECT_EQ(error.code(), ErrorCode::device_lost);
        EXPECT_THAT(message, lost("run: the GPU is lost ("));
      }
      EXPECT_EQ(emulator::calls("cudaGraphLaunch"), 1u) << "the step was to be a replay";
      const std::string cause = message.substr(message.find('('));
      const auto still = AllOf(HasSubstr("the GPU was lost before "), HasSubstr(cause));
      expect_error(ErrorCode::device_lost, step, still);
      expect_error(
          ErrorCode::device_lost, [&] { tagger.parameters.all(); }, still);
    }
    return {breaking, message};
  }
  /// For the next lose(): after all that it made is gone.
  static void heal(std::shared_ptr<BreakingBackend>& breaking) {
    breaking.reset();
    emulator::reset();
  }
};

// Where notes come as the launches end, the name is that of the broken launch, whichever stream it is on.
TEST_F(CudaLost, ReplayedStepNamesTheBrokenLaunch) {
  in_own_process([&] {
    emulator::set_stream_order(emulator::StreamOrder::enqueued);
    auto [first, _] = lose(0);
    std::map<int, std::vector<std::size_t>> by_stream;
    for (std::size_t i = 0; i < first->launches(); ++i) by_stream[first->stream_of(i)].push_back(i);
    EXPECT_GE(by_stream.size(), 3u) << "the model was to keep several streams busy";
    heal(first);
    for (const auto& [stream, launches] : by_stream) {
      for (const std::size_t victim : {launches.front(), launches[launches.size() / 2]}) {
        emulator::options().quiet = true;
        if (victim != launches.front()) emulator::set_compute_capability(8, 0);  // without clusters, thus without pairs
        emulator::set_stream_order(emulator::StreamOrder::enqueued);
        auto [breaking, message] = lose(victim);
        const std::size_t named = launch_named(message);
        ASSERT_GE(named, 1u) << message;
        ASSERT_LE(named, breaking->launches()) << message;
        EXPECT_THAT(message, HasSubstr("oldest unfinished launch: " + breaking->name_of(named - 1)));
        // Of two directions in one launch neither ends, and the first is the older.
        if (named - 1 != victim) {
          EXPECT_LT(named - 1, victim) << message;
          EXPECT_NE(breaking->stream_of(named - 1), stream) << message;
          EXPECT_THAT(breaking->name_of(victim), HasSubstr("cluster-persistent")) << message;
          EXPECT_THAT(message, HasSubstr("cluster-persistent"));
        }
        heal(breaking);
      }
    }
  });
}

// Notes go beside the launches: where they come late, the name is of an earlier launch, never of a later one.
TEST_F(CudaLost, LateNotesNameNoLaterLaunch) {
  in_own_process([&] {
    for (const std::size_t victim : {3u, 14u}) {
      for (unsigned seed = 0; seed < 2; ++seed) {
        emulator::options().quiet = true;
        emulator::set_compute_capability(8, 0);
        emulator::set_stream_order(emulator::StreamOrder::random, seed);
        auto [breaking, message] = lose(victim);
        const std::size_t named = launch_named(message);
        EXPECT_GE(named, 1u) << message;
        EXPECT_LE(named, victim + 1) << message;
        heal(breaking);
      }
    }
  });
}

// No launch waits for a note: where streams run as late as they may, none has come when the last launch breaks.
TEST_F(CudaLost, NoLaunchWaitsForANote) {
  in_own_process([&] {
    emulator::set_stream_order(emulator::StreamOrder::reverse);
    start();
    Ints memory(backend, {5, 0, 0}), when(backend, {0});
    Work work;
    work.streams = 2;
    work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}),
                     make(kAdd, {memory.at(1), nullptr}, {memory.at(2)}, 1, {0}),
                     make(kBroken, {when.at(0)}, {}, 0, {1}, kBinary)};
    for (int run = 0; run < 3; ++run) backend->run(work);
    EXPECT_EQ(memory.read(), (std::vector<int>{5, 6, 7}));
    when.write({1});
    expect_error(
        ErrorCode::device_lost, [&] { backend->run(work); },
        AllOf(HasSubstr("planted in a test"), HasSubstr("oldest unfinished launch: copy (test add), launch 1 of 3")));
  });
}

// Some streams have no launch, others all.
TEST_F(CudaLost, AnyStreamMayBeEmpty) {
  for (const int stream : {0, 1, 3}) {
    start();
    Ints memory(backend, {5, 0});
    Work work;
    work.streams = 4;
    work.launches = {make(kAdd, {memory.at(0), nullptr}, {memory.at(1)}, stream)};
    for (int run = 0; run < 3; ++run) {
      memory.write({run, 0});
      backend->run(work);
      EXPECT_EQ(memory.read(), (std::vector<int>{run, run + 1}));
    }
  }
}

TEST_F(CudaLost, NotesChangeNoBit) {
  const auto train = [&](bool marks) {
    start({.marks = marks});
    const Device device(std::exchange(backend, nullptr));
    support::Tagger tagger(device, model());
    Trainer trainer(device, tagger.parameters, Adam{}, [&](Graph& g) { return tagger.loss(g); });
    for (unsigned step = 0; step < 5; ++step) trainer.step(support::tagger_batch(4, 3, step));
    return trainer.state();
  };
  const TensorMap with = train(true), without = train(false);
  ASSERT_EQ(with.size(), without.size());
  for (const auto& [name, tensor] : with) EXPECT_EQ(tensor.bytes, without.at(name).bytes) << name;
}

}  // namespace
}  // namespace seqgpu::device

#endif
