#include <gmock/gmock.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "device/device.hpp"
#include "seqgpu/error.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/train/tagger.hpp"

// What every backend does: memory, programs over streams, errors after which it works on.
namespace seqgpu {
namespace {

using device::Buffer;
using device::Launch;
using device::Work;
using testing::HasSubstr;

std::vector<float> numbers(std::size_t count, float first) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i % 1000);
  return values;
}

struct Floats {
  Floats(const Device& device, const std::vector<float>& start)
      : backend(device.backend()), count(start.size()), buffer(device.share(), bytes()) {
    write(start);
  }
  std::int64_t bytes() const { return static_cast<std::int64_t>(count * sizeof(float)); }
  void write(const std::vector<float>& values) { backend.upload(buffer.data(), values.data(), bytes()); }
  std::vector<float> read() const {
    std::vector<float> values(count, -1.f);
    backend.download(values.data(), buffer.data(), bytes());
    return values;
  }

  device::Backend& backend;
  std::size_t count;
  Buffer buffer;
};

TEST(Backend, CopiesKeepWhatWasThereWhenTheyWereAsked) {
  const Device& device = device_under_test();
  for (const std::size_t count : {0, 1, 1023, 1024, 1025, 3 << 20}) {
    Floats floats(device, numbers(count, 0.f));
    std::vector<float> source = numbers(count, 7.f);
    floats.write(source);
    std::fill(source.begin(), source.end(), -5.f);  // the caller's memory is its own again
    EXPECT_EQ(floats.read(), numbers(count, 7.f)) << count;
    device.backend().zero(floats.buffer.data(), floats.bytes());
    EXPECT_EQ(floats.read(), std::vector<float>(count, 0.f)) << count;
  }
}

TEST(Backend, MemoryIsAlignedAndCounted) {
  const Device& device = device_under_test();
  const std::int64_t before = device.memory().current;
  {
    Buffer a(device.share(), 1000), b(device.share(), 0), c(device.share(), 1);
    EXPECT_EQ(device.memory().current, before + 1001);
    EXPECT_GE(device.memory().peak, before + 1001);
    for (const Buffer* buffer : {&a, &b, &c}) {
      EXPECT_NE(buffer->data(), nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0u);
    }
    a = std::move(c);
    EXPECT_EQ(device.memory().current, before + 1);
  }
  EXPECT_EQ(device.memory().current, before);
}

TEST(Backend, RefusesMoreThanThereIs) {
  const Device& device = device_under_test();
  if (device.kind() == DeviceKind::cpu) GTEST_SKIP() << "the system promises memory that it does not have";
  const std::int64_t before = device.memory().current;
  try {
    Buffer all(device.share(), std::int64_t{1} << 50);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_THAT(error.what(), HasSubstr("1125899906842624 bytes on cuda:"));
  }
  EXPECT_EQ(device.memory().current, before);
  EXPECT_EQ(Floats(device, {3.f}).read(), std::vector<float>{3.f});
}

/// y = a + b over a few floats, for each of many buffers, along a random graph over streams.
struct Sums {
  static constexpr std::int64_t kCount = 5;
  const Device& device;
  std::vector<Floats> values;
  std::vector<std::pair<std::size_t, std::size_t>> reads;  // of value 2 + i
  Work work;
  const op::AnyDesc desc = op::BinaryDesc{op::BinaryDesc::Kind::add, DType::f32, kCount, kCount};

  Sums(const Device& d, unsigned seed, int streams) : device(d) {
    constexpr std::size_t kValues = 24;
    std::mt19937 random(seed);
    work.streams = streams;
    const device::Choice choice = device::choose(device.backend().table(), desc);
    for (std::size_t i = 0; i < kValues; ++i) {
      values.emplace_back(device, std::vector<float>(kCount, 0.f));
      if (i < 2) continue;
      reads.emplace_back(random() % i, random() % i);
      Launch launch;
      launch.implementation = choice.implementation;
      launch.desc = &desc;
      launch.stream = static_cast<int>(random() % static_cast<unsigned>(streams));
      for (const std::size_t from : {reads.back().first, reads.back().second}) {
        launch.inputs.push_back(values[from].buffer.data());
        if (from < 2 || work.launches[from - 2].stream == launch.stream) continue;
        launch.waits.push_back(static_cast<int>(from) - 2);
      }
      launch.outputs = {values[i].buffer.data()};
      work.launches.push_back(launch);
    }
  }

  void run_and_check(float a, float b, const std::string& what) {
    std::vector<float> want{a, b};
    for (const auto& [first, second] : reads) want.push_back(want[first] + want[second]);
    values[0].write(std::vector<float>(kCount, a));
    values[1].write(std::vector<float>(kCount, b));
    device.backend().run(work);
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i].read(), std::vector<float>(kCount, want[i])) << what << " value " << i;
    }
  }
};

TEST(Backend, ProgramsOverStreams) {
  const Device& device = device_under_test();
  for (unsigned seed = 1; seed < 4; ++seed) {
    for (const int streams : {1, 2, device.backend().streams()}) {
      Sums sums(device, seed, streams);
      for (int run = 0; run < 5; ++run) {
        const std::string what =
            "seed " + std::to_string(seed) + " streams " + std::to_string(streams) + " run " + std::to_string(run);
        sums.run_and_check(static_cast<float>(1 + run), static_cast<float>(2 * run), what);
      }
    }
  }
}

TEST(Backend, FetchesWithEveryRun) {
  Sums sums(device_under_test(), 5, 2);
  float last = 0, first = 0;
  sums.work.fetches = {{&last, sums.values.back().buffer.data(), sizeof last},
                       {&first, sums.values[0].buffer.data(), sizeof first}};
  for (int run = 0; run < 4; ++run) {
    sums.run_and_check(static_cast<float>(run), 1.f, "fetch");
    EXPECT_EQ(first, static_cast<float>(run));
    EXPECT_EQ(last, sums.values.back().read()[0]);
  }
}

TEST(Backend, Timeline) {
  Sums sums(device_under_test(), 6, 2);
  for (const bool record : {true, false, true}) {
    sums.work.record = record;
    sums.run_and_check(1.f, 2.f, "timeline");
  }
  ASSERT_EQ(sums.work.timeline.size(), sums.work.launches.size());
  for (std::size_t i = 0; i < sums.work.launches.size(); ++i) {
    const Work::Interval& interval = sums.work.timeline[i];
    EXPECT_GE(interval.begin_us, 0);
    EXPECT_GE(interval.end_us, interval.begin_us);
    for (const int wait : sums.work.launches[i].waits) {
      EXPECT_GE(interval.end_us, sums.work.timeline[static_cast<std::size_t>(wait)].end_us);
    }
  }
}

TEST(Backend, WorksOnAfterALaunchThrew) {
  static bool throws;
  const device::Implementation throwing{"throwing", nullptr, nullptr, nullptr,
                                        [](const op::AnyDesc&, const device::Arguments&) {
                                          if (throws) throw std::runtime_error("not today");
                                        }};
  Sums sums(device_under_test(), 7, 2);
  Launch launch = sums.work.launches.back();
  launch.implementation = &throwing;
  launch.waits = {static_cast<int>(sums.work.launches.size()) - 1};
  launch.stream = 1 - launch.stream;
  sums.work.launches.push_back(launch);
  for (const bool now : {true, false, true, false, false}) {  // also at the run that is captured
    throws = now;
    if (now) {
      EXPECT_THROW(sums.device.backend().run(sums.work), std::runtime_error);
    } else {
      sums.run_and_check(1.f, 2.f, "after a throw");
    }
  }
}

/// The first error of a step on this batch, or "".
std::string error_of(Trainer& trainer, const Batch& batch) {
  try {
    trainer.step(batch);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "";
}

// Illegal words, labels and lengths: found while a program runs, on both devices; parameters keep their bits.
TEST(Backend, IllegalBatchesChangeNothing) {
  const Device cpu = cpu_device(1);
  support::Tagger tagger(device_under_test(), {}), twin(cpu, {});
  Trainer trainer(device_under_test(), tagger.parameters, Adam{}, [&](Graph& g) { return tagger.loss(g); });
  Trainer other(cpu, twin.parameters, Adam{}, [&](Graph& g) { return twin.loss(g); });
  const auto with = [](const char* name, std::size_t i, std::int32_t value) {
    Batch batch = support::tagger_batch(5, 4, 1);
    std::memcpy(batch.at(name).bytes.data() + i * sizeof value, &value, sizeof value);
    return batch;
  };
  const std::vector<Batch> illegal{with("ids", 3, 12),         with("ids", 7, -1),    with("labels", 0, 5),
                                   with("labels", 4, -7),      with("lengths", 2, 6), with("lengths", 0, -1),
                                   with("lengths", 3, 1 << 30)};
  for (int round = 0; round < 3; ++round) {  // launched, captured, replayed
    for (std::size_t i = 0; i < illegal.size(); ++i) {
      const TensorMap before = tagger.parameters.all(), state = trainer.state();
      const std::string want = error_of(other, illegal[i]);
      EXPECT_NE(want, "") << i;
      EXPECT_EQ(error_of(trainer, illegal[i]), want);
      for (const auto& [name, tensor] : tagger.parameters.all()) EXPECT_EQ(tensor.bytes, before.at(name).bytes) << name;
      for (const auto& [name, tensor] : trainer.state()) EXPECT_EQ(tensor.bytes, state.at(name).bytes) << name;
    }
    trainer.step(support::tagger_batch(5, 4, 2));
  }
  EXPECT_EQ(trainer.steps(), 3);
}

class ChosenDevice : public testing::Test {
 protected:
  void SetUp() override {
    const char* value = std::getenv("SEQGPU_DEVICE");
    if (value) before_ = value;
    is_set_ = value != nullptr;
  }
  void TearDown() override {
    if (is_set_) {
      setenv("SEQGPU_DEVICE", before_.c_str(), 1);
    } else {
      unsetenv("SEQGPU_DEVICE");
    }
  }
  static std::string error_of(const char* value, ErrorCode code) {
    setenv("SEQGPU_DEVICE", value, 1);
    try {
      best_device();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << value;
      return error.what();
    }
    return "";
  }

 private:
  std::string before_;
  bool is_set_ = false;
};

TEST_F(ChosenDevice, ByTheEnvironment) {
  setenv("SEQGPU_DEVICE", "cpu", 1);
  const DeviceChoice cpu = choose_device();
  EXPECT_EQ(cpu.device.kind(), DeviceKind::cpu);
  EXPECT_EQ(cpu.reason, "SEQGPU_DEVICE=cpu");
  for (const char* value : {"gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "CUDA:0", "cuda:99999999999"}) {
    EXPECT_EQ(error_of(value, ErrorCode::invalid_argument),
              "best_device: SEQGPU_DEVICE must be cpu or cuda:N with N of 0 or more, got '" + std::string(value) + "'");
  }
  EXPECT_THAT(error_of("cuda:77", ErrorCode::unsupported), HasSubstr("best_device: SEQGPU_DEVICE is cuda:77, but "));
}

TEST_F(ChosenDevice, ByWhatThereIs) {
  unsetenv("SEQGPU_DEVICE");
  const CudaInfo info = cuda_info();
  const DeviceChoice choice = choose_device();
  EXPECT_EQ(choice.device.kind(), info.problem.empty() ? DeviceKind::cuda : DeviceKind::cpu);
  EXPECT_EQ(choice.reason, info.problem.empty() ? "cuda:0 can be used" : info.problem);
  if (info.problem.empty()) {
    EXPECT_THAT(cuda_device(0).name(), testing::StartsWith("cuda:0, "));
    EXPECT_FALSE(info.toolkit.empty());
    EXPECT_FALSE(info.driver.empty());
    EXPECT_FALSE(info.devices.empty());
  } else {
    EXPECT_THROW(cuda_device(0), Error);
  }
  EXPECT_THROW(cuda_device(-1), Error);
}

}  // namespace
}  // namespace seqgpu
