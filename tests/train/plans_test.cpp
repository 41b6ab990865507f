#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/sharing_cpu.hpp"
#include "tests/train/allocation_counter.hpp"
#include "tests/train/tagger.hpp"

// How many shapes of batch a trainer or a session keeps plans for.
namespace seqgpu {
namespace {

using support::Tagger;
using support::tagger_batch;

/// Of 40 steps it is the largest.
Batch batch_of(std::int64_t T) { return tagger_batch(T, T % 4 == 0 ? 4 : T % 4, static_cast<unsigned>(T)); }

/// Lengths in an order that comes back to some soon, to others late, and to the longest first.
std::vector<std::int64_t> lengths_of_a_run(int count) {
  std::vector<std::int64_t> lengths{40};
  std::mt19937 random(3);
  for (int i = 1; i < count; ++i) lengths.push_back(1 + static_cast<std::int64_t>(random() % (i % 3 == 0 ? 40 : 6)));
  return lengths;
}

struct Training {
  Tagger tagger;
  int described = 0;
  Trainer trainer;
  Training(const Device& device, std::int64_t max_plans)
      : tagger(device, {.cell = CellKind::gru, .layers = 2, .dropout = 0.2f, .recurrent_dropout = 0.2f}),
        trainer(device, tagger.parameters, Adam{.rate = 0.01f},
                [this](Graph& g) {
                  ++described;
                  return tagger.loss(g);
                },
                {.max_plans = max_plans}) {}
};

TEST(Plans, ATrainersBitsDoNotDependOnTheLimit) {
  const Device device = cpu_device(2);
  Training all(device, 1000), few(device, 3), one(device, 1);
  for (const std::int64_t T : lengths_of_a_run(60)) {
    const Batch batch = batch_of(T);
    const float loss = all.trainer.step(batch);
    for (Training* limited : {&few, &one}) {
      EXPECT_EQ(limited->trainer.step(batch), loss) << T;
      EXPECT_EQ(limited->trainer.output("scores").bytes, all.trainer.output("scores").bytes);
    }
    if (T % 5 == 0) {
      for (Training* t : {&all, &few, &one}) {
        t->trainer.backward(batch);
        t->trainer.accumulate(batch, 0.5f), t->trainer.accumulate(batch_of(T + 1), 0.5f);
        t->trainer.update();
      }
    }
    EXPECT_LE(few.trainer.plans(), 3);
    EXPECT_EQ(one.trainer.plans(), 1);
  }
  EXPECT_EQ(few.trainer.plans(), 3);
  EXPECT_GT(all.trainer.plans(), 20);
  EXPECT_GT(one.described, few.described);
  EXPECT_GT(few.described, all.described);
  for (const auto& [name, value] : all.tagger.parameters.all()) {
    EXPECT_EQ(few.tagger.parameters.get(name).bytes, value.bytes) << name;
    EXPECT_EQ(one.tagger.parameters.get(name).bytes, value.bytes) << name;
  }
}

TEST(Plans, TheLeastRecentlyUsedGoes) {
  Training t(cpu_device(1), 2);
  const auto describes = [&](std::int64_t T) {
    const int before = t.described;
    t.trainer.step(batch_of(T));
    return t.described - before;
  };
  EXPECT_EQ(describes(9), 1);
  EXPECT_EQ(describes(5), 1);
  EXPECT_EQ(describes(9), 0);
  EXPECT_EQ(describes(7), 1);  // 5 goes
  EXPECT_EQ(describes(9), 0);
  EXPECT_EQ(describes(7), 0);
  EXPECT_EQ(describes(5), 1);  // 9 goes
  EXPECT_EQ(describes(7), 0);
  EXPECT_EQ(describes(9), 1);
  EXPECT_EQ(t.trainer.plans(), 2);
}

TEST(Plans, NoMoreThanTheLimitStaysInMemory) {
  const Device device = cpu_device(1);
  Training free(device, 1000), limited(device, 4);
  for (Training* t : {&free, &limited}) {
    for (const std::int64_t T : {40, 3, 4, 5, 6, 7}) t->trainer.step(batch_of(T)), t->trainer.step(batch_of(T));
  }
  const std::int64_t on_device = device.memory().current;
  std::vector<Batch> batches;
  for (std::int64_t T = 8; T < 40; ++T) batches.push_back(batch_of(T));
  const auto grows_by = [&](Training& t) {
    support::AllocationCounter counter;
    for (const Batch& batch : batches) t.trainer.step(batch);
    return counter.live();
  };
  const std::int64_t per_plan = grows_by(free) / static_cast<std::int64_t>(batches.size());
  EXPECT_GT(per_plan, 100);  // blocks of host memory
  EXPECT_LT(grows_by(limited), per_plan);
  EXPECT_EQ(device.memory().current, on_device);
}

/// A session over a tagger's scores.
struct Scoring {
  Tagger tagger;
  int described = 0;
  std::optional<Session> session;
  Scoring(const Device& device, std::int64_t max_plans)
      : tagger(device, {.cell = CellKind::lstm, .layers = 2, .hidden = 24}) {
    session.emplace(
        device, tagger.parameters,
        [this](Graph& g) {
          ++described;
          g.output("scores", tagger.scores(g));
        },
        SessionOptions{.max_plans = max_plans});
  }
  std::vector<std::byte> run(std::int64_t T) {
    Batch batch = batch_of(T);
    batch.erase("labels");
    return session->run(batch).at("scores").bytes;
  }
};

TEST(Plans, ASessionsBitsDoNotDependOnTheLimit) {
  const Device device = cpu_device(2);
  Scoring all(device, 1000), few(device, 3), one(device, 1);
  for (const std::int64_t T : lengths_of_a_run(80)) {
    const auto scores = all.run(T);
    EXPECT_EQ(few.run(T), scores) << T;
    EXPECT_EQ(one.run(T), scores) << T;
    EXPECT_LE(few.session->plans(), 3);
    EXPECT_EQ(one.session->plans(), 1);
  }
  EXPECT_EQ(all.session->plans(), all.described);
  EXPECT_GT(one.described, few.described);
  // New weights are packed again, whichever plan comes first.
  for (Scoring* s : {&all, &few, &one}) {
    HostTensor weights = s->tagger.parameters.get("rnn.weight_hh_l1");
    for (float& w : weights.view<float>()) w *= 1.5f;
    s->tagger.parameters.set("rnn.weight_hh_l1", weights);
  }
  for (const std::int64_t T : {5, 40, 3}) {
    const auto scores = all.run(T);
    EXPECT_EQ(few.run(T), scores) << T;
    EXPECT_EQ(one.run(T), scores) << T;
  }
}

TEST(Plans, ASessionsMemoryIsBounded) {
  const Device device = cpu_device(1);
  const std::int64_t start = device.memory().current;
  std::int64_t packed = 0;
  {
    Scoring one(device, 1);
    one.run(40);
    packed = device.memory().current - start;
  }
  Scoring limited(device, 2);
  limited.run(40);
  for (std::int64_t T = 1; T <= 40; ++T) {
    limited.run(T);
    EXPECT_LE(device.memory().current - start, packed) << T;  // all shapes share the arena and the packed weights
  }
  support::AllocationCounter counter;
  for (std::int64_t T = 1; T <= 40; ++T) limited.run(T);
  EXPECT_LT(counter.live(), 200);  // less than one plan
}

TEST(Plans, AnOutputDoesNotOutliveItsMemory) {
  Training t(cpu_device(1), 1);
  t.trainer.step(batch_of(9));
  EXPECT_NO_THROW(t.trainer.output("scores"));
  t.trainer.describe(batch_of(5));  // takes its place
  EXPECT_THROW(t.trainer.output("scores"), Error);
  t.trainer.step(batch_of(5));
  EXPECT_EQ(t.trainer.output("scores").shape, (Shape{5, 1, Tagger::kLabels}));
  Training two(cpu_device(1), 2);
  two.trainer.step(batch_of(12));
  two.trainer.describe(batch_of(4));
  EXPECT_NO_THROW(two.trainer.output("scores"));
  two.trainer.predicted_peak_bytes(batch_of(40));  // takes a larger arena
  EXPECT_THROW(two.trainer.output("scores"), Error);
  two.trainer.accumulate(batch_of(12));
  EXPECT_NO_THROW(two.trainer.output("scores"));
  two.trainer.update();
  EXPECT_THROW(two.trainer.output("scores"), Error);
  two.trainer.step(batch_of(12));
  EXPECT_NO_THROW(two.trainer.output("scores"));
  Batch bad = batch_of(12);
  bad.at("ids").view<std::int32_t>()[0] = -1;
  EXPECT_THROW(two.trainer.step(bad), Error);
  EXPECT_THROW(two.trainer.output("scores"), Error);
}

TEST(Plans, TheLimitIsAtLeastOne) {
  const Device device = cpu_device(1);
  for (const std::int64_t limit : {std::int64_t{0}, std::int64_t{-5}}) {
    for (const std::function<void()>& make : {std::function<void()>([&] { Training(device, limit); }),
                                              std::function<void()>([&] { Scoring(device, limit); })}) {
      try {
        make();
        ADD_FAILURE() << "no Error was thrown";
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
        EXPECT_EQ(e.argument(), "max_plans");
        EXPECT_NE(std::string(e.what()).find("must be at least 1, got " + std::to_string(limit)), std::string::npos);
      }
    }
  }
  EXPECT_EQ(Training(device, 1).trainer.plans(), 0);
}

}  // namespace
}  // namespace seqgpu
