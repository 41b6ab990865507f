#include "device/cpu/lanes.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

// Worker threads under random programs of fake launches. What launches touch is not atomic on purpose: a missing wait
// is a data race that a thread sanitizer sees.
namespace seqgpu::device {
namespace {

struct Fake {
  std::vector<Fake*> reads;
  int value = 0;
  bool fails = false;
  std::vector<int> tiles;  // how often each ran
};

void launch_fake(const op::AnyDesc&, const Arguments& a) {
  Fake& f = *static_cast<Fake*>(a.outputs[0]);
  int next = 1;
  for (const Fake* other : f.reads) next = std::max(next, other->value + 1);
  a.parallel->for_each(static_cast<std::int64_t>(f.tiles.size()),
                       [&](std::int64_t tile) { ++f.tiles[static_cast<std::size_t>(tile)]; });
  if (f.fails) throw std::runtime_error("launch failed");
  f.value = next;
}

const Implementation kFake{"fake", nullptr, nullptr, nullptr, launch_fake};
const op::AnyDesc kDesc = op::FillDesc{DType::f32, 1, 0.0};

struct FakeProgram {
  std::vector<std::unique_ptr<Fake>> fakes;
  Work work;
};

FakeProgram random_program(unsigned seed, int count, int streams) {
  std::mt19937 random(seed);
  FakeProgram p;
  p.work.streams = streams;
  for (int i = 0; i < count; ++i) {
    p.fakes.push_back(std::make_unique<Fake>());
    Launch l;
    l.implementation = &kFake;
    l.desc = &kDesc;
    l.outputs = {p.fakes.back().get()};
    l.stream = static_cast<int>(random() % static_cast<unsigned>(streams));
    for (int r = 0; r < 3 && i > 0; ++r) {
      const int from = static_cast<int>(random() % static_cast<unsigned>(i));
      p.fakes.back()->reads.push_back(p.fakes[static_cast<std::size_t>(from)].get());
      if (p.work.launches[static_cast<std::size_t>(from)].stream != l.stream) l.waits.push_back(from);
    }
    p.fakes.back()->tiles.resize(random() % 4 == 0 ? random() % 50 : 0);
    p.work.launches.push_back(l);
  }
  return p;
}

/// Longest way to each node, in order.
std::vector<int> expected_values(const FakeProgram& p) {
  std::vector<int> values;
  for (const auto& f : p.fakes) {
    int next = 1;
    for (const Fake* other : f->reads) {
      for (std::size_t j = 0; j < values.size(); ++j) {
        if (p.fakes[j].get() == other) next = std::max(next, values[j] + 1);
      }
    }
    values.push_back(next);
  }
  return values;
}

void run_and_check(cpu::Lanes& lanes, FakeProgram& p, const std::vector<int>& want) {
  for (const auto& f : p.fakes) {
    f->value = 0;
    std::fill(f->tiles.begin(), f->tiles.end(), 0);
  }
  lanes.run(p.work);
  for (std::size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(p.fakes[i]->value, want[i]) << i;
    for (const int times : p.fakes[i]->tiles) ASSERT_EQ(times, 1) << "a tile of launch " << i;
  }
}

TEST(Lanes, RandomProgramsRespectWaits) {
  for (const int threads : {1, 2, 3, 4}) {
    cpu::Lanes lanes(threads);
    for (unsigned seed = 0; seed < 30; ++seed) {
      FakeProgram p = random_program(seed, 1 + static_cast<int>(seed * 7 % 90), 1 + static_cast<int>(seed % 4));
      const std::vector<int> want = expected_values(p);
      for (int times = 0; times < 3; ++times) run_and_check(lanes, p, want);
    }
  }
}

TEST(Lanes, RethrowAndGoOn) {
  for (const int threads : {1, 2, 4}) {
    cpu::Lanes lanes(threads);
    for (unsigned seed = 0; seed < 20; ++seed) {
      FakeProgram p = random_program(seed, 40, 4);
      const std::vector<int> want = expected_values(p);
      p.fakes[seed]->fails = p.fakes[39]->fails = true;
      try {
        lanes.run(p.work);
        FAIL() << "the exception was lost";
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "launch failed");
      }
      p.fakes[seed]->fails = p.fakes[39]->fails = false;
      run_and_check(lanes, p, want);
    }
  }
}

/// Notes which thread it ran on.
void launch_threads(const op::AnyDesc&, const Arguments& a) {
  auto& threads = *static_cast<std::vector<std::thread::id>*>(a.outputs[0]);
  a.parallel->for_each(static_cast<std::int64_t>(threads.size()), [&](std::int64_t tile) {
    threads[static_cast<std::size_t>(tile)] = std::this_thread::get_id();
  });
}

TEST(Lanes, ASmallProgramStaysOnTheCallersThread) {
  const Implementation row{"threads", nullptr, nullptr, nullptr, launch_threads};
  cpu::Lanes lanes(3);
  std::vector<std::vector<std::thread::id>> threads(6, std::vector<std::thread::id>(20));
  Work work;
  work.streams = 3;
  work.cost = 1e5;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    Launch launch;
    launch.implementation = &row, launch.desc = &kDesc, launch.outputs = {&threads[i]};
    launch.stream = static_cast<int>(i % 3);
    work.launches.push_back(launch);
  }
  lanes.run(work);
  for (const auto& ran : threads) {
    for (const std::thread::id id : ran) EXPECT_EQ(id, std::this_thread::get_id());
  }
  work.cost = 1e9;  // a large one has its streams on other threads
  lanes.run(work);
  std::set<std::thread::id> all;
  for (const auto& ran : threads) all.insert(ran.begin(), ran.end());
  EXPECT_GT(all.size(), 1u);
}

TEST(Lanes, SmallProgramsRethrowToo) {
  cpu::Lanes lanes(2);
  FakeProgram p = random_program(3, 40, 4);
  p.work.cost = 1e5;
  const std::vector<int> want = expected_values(p);
  p.fakes[20]->fails = true;
  EXPECT_THROW(lanes.run(p.work), std::runtime_error);
  EXPECT_EQ(p.fakes[19]->value, want[19]);
  EXPECT_EQ(p.fakes[21]->value, 0);
  p.fakes[20]->fails = false;
  run_and_check(lanes, p, want);
  p.work.cost = 1e9;
  run_and_check(lanes, p, want);
}

TEST(Lanes, EmptyProgram) {
  for (const int threads : {1, 3}) {
    cpu::Lanes lanes(threads);
    Work work;
    lanes.run(work);
    lanes.run(work);
  }
}

// Workers may not have come as far as their first look when the end is called.
TEST(Lanes, CloseAtOnce) {
  for (int round = 0; round < 300; ++round) {
    cpu::Lanes lanes(2 + round % 3);
    Work work;
    if (round % 2 == 0) lanes.run(work);
  }
}

TEST(Lanes, RecordsEachLaunch) {
  cpu::Lanes lanes(2);
  FakeProgram p = random_program(5, 20, 2);
  p.work.record = true;
  lanes.run(p.work);
  ASSERT_EQ(p.work.timeline.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) {
    const auto& interval = p.work.timeline[i];
    EXPECT_GE(interval.end_us, interval.begin_us);
    EXPECT_EQ(interval.thread, p.work.launches[i].stream % 2);
    for (const int wait : p.work.launches[i].waits) {
      EXPECT_GE(interval.begin_us, p.work.timeline[static_cast<std::size_t>(wait)].end_us);
    }
  }
}

}  // namespace
}  // namespace seqgpu::device
