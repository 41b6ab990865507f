#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <regex>

#include "emulator/control.hpp"
#include "emulator/execution.hpp"
#include "emulator/faults.hpp"

// Every planted fault must be found by the modes that promise it, and no correct kernel may be accused. The same source
// is built three times: fast, under ASan and UBSan, and in check mode.

namespace seqgpu::tests {

static void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }
static void PrintTo(const Control& control, std::ostream* out) { *out << control.name; }

namespace {

using emulator::Order;

constexpr int kSeeds = 8;

std::vector<Fault> all_faults() {
  std::vector<Fault> all;
  for (const auto& list : {barrier_faults(), memory_faults(), warp_faults(), async_faults()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

std::vector<Control> all_controls() {
  std::vector<Control> all;
  for (const auto& list : {barrier_controls(), memory_controls(), warp_controls(), async_controls()})
    all.insert(all.end(), list.begin(), list.end());
  return all;
}

bool matches(const std::string& text, const char* pattern) {
  return std::regex_search(text, std::regex(pattern, std::regex::ECMAScript));
}

bool is_mode(const char* name) { return std::string(emulator::mode()) == name; }

class EmulatorTest : public testing::Test {
 protected:
  void SetUp() override {
    saved_ = emulator::options();
    emulator::options().quiet = true;
    emulator::options().spin_limit = 100'000;
    emulator::reset();
  }
  void TearDown() override {
    emulator::options() = saved_;
    emulator::reset();
  }

  static std::string run(std::string (*kernel)(), Order order, std::uint64_t seed = 1) {
    emulator::options().order = order;
    emulator::options().seed = seed;
    const std::string text = noticed(kernel);
    emulator::reset();
    return text;
  }

 private:
  emulator::Options saved_;
};

class PlantedFault : public EmulatorTest, public testing::WithParamInterface<Fault> {};

TEST_P(PlantedFault, IsFound) {
  const Fault& fault = GetParam();
  if (is_mode("check")) {
    if (!fault.check) GTEST_SKIP() << "not promised in check mode";
    const std::string text = run(fault.run, Order::forward);
    EXPECT_TRUE(matches(text, fault.check)) << "found: '" << text << "'";
    return;
  }
  if (is_mode("asan") && fault.asan) {
    const auto die = [&] {
      const std::string text = noticed(fault.run);
      std::fprintf(stderr, "not found by a sanitizer: '%s'\n", text.c_str());
      std::_Exit(0);
    };
    EXPECT_DEATH(die(), fault.asan);
    return;
  }
  if (!fault.every_order && !fault.some_seed) GTEST_SKIP() << "not promised in a " << emulator::mode() << " build";
  if (fault.every_order) {
    for (const Order order : {Order::forward, Order::reverse}) {
      const std::string text = run(fault.run, order);
      EXPECT_TRUE(matches(text, fault.every_order)) << "order " << int(order) << " found: '" << text << "'";
    }
  }
  int found = 0;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const std::string text = run(fault.run, Order::random, seed);
    found += matches(text, fault.every_order ? fault.every_order : fault.some_seed);
  }
  EXPECT_GE(found, fault.every_order ? kSeeds : 1) << "of " << kSeeds << " seeds";
}

class CorrectKernel : public EmulatorTest, public testing::WithParamInterface<Control> {};

TEST_P(CorrectKernel, IsNotAccused) {
  EXPECT_EQ(run(GetParam().run, Order::forward), "");
  EXPECT_EQ(run(GetParam().run, Order::reverse), "");
  for (int seed = 1; seed <= kSeeds; ++seed) EXPECT_EQ(run(GetParam().run, Order::random, seed), "") << "seed " << seed;
  if (!is_mode("check")) return;
  emulator::options().preempt = 3;
  for (int seed = 1; seed <= kSeeds; ++seed)
    EXPECT_EQ(run(GetParam().run, Order::random, seed), "") << "seed " << seed << ", threads switched at any access";
}

template <class Case>
std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(All, PlantedFault, testing::ValuesIn(all_faults()), name_of<Fault>);
INSTANTIATE_TEST_SUITE_P(All, CorrectKernel, testing::ValuesIn(all_controls()), name_of<Control>);

}  // namespace
}  // namespace seqgpu::tests
