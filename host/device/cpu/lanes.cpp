#include "device/cpu/lanes.hpp"

#include <algorithm>
#include <utility>

#include "device/cpu/spin.hpp"

namespace seqgpu::device::cpu {

Lanes::Lanes(int threads, double least_shared)
    : threads_(threads),
      least_shared_(least_shared),
      offers_(std::make_unique<Offer[]>(static_cast<std::size_t>(threads))) {
  for (int lane = 0; lane < threads; ++lane) offers_[static_cast<std::size_t>(lane)].lanes = this;
  for (int lane = 1; lane < threads; ++lane) workers_.emplace_back([this, lane] { worker(lane); });
}

Lanes::~Lanes() {
  stop_ = true;
  epoch_.fetch_add(2);
  epoch_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void Lanes::Offer::run(std::int64_t count, Body f, void* c) {
  if (count <= 1 || lanes->threads_ == 1) {
    for (std::int64_t tile = 0; tile < count; ++tile) f(c, tile);
    return;
  }
  tiles = count;
  body = f;
  context = c;
  next.store(0);
  open.store(true);
  for (std::int64_t tile; (tile = next.fetch_add(1)) < count;) f(c, tile);
  open.store(false);
  for (Spin spin; helpers.load() != 0;) spin.pause();
}

bool Lanes::help() {
  bool helped = false;
  for (int lane = 0; lane < threads_; ++lane) {
    Offer& offer = offers_[static_cast<std::size_t>(lane)];
    if (!offer.open.load()) continue;
    offer.helpers.fetch_add(1);
    if (offer.open.load()) {  // still open after we were counted: the owner waits for us
      for (std::int64_t tile; (tile = offer.next.fetch_add(1)) < offer.tiles;) {
        offer.body(offer.context, tile);
        helped = true;
      }
    }
    offer.helpers.fetch_sub(1);
  }
  return helped;
}

void Lanes::wait_for(int launch) {
  const std::uint32_t epoch = epoch_.load();
  const std::atomic<std::uint32_t>& flag = done_[static_cast<std::size_t>(launch)];
  for (Spin spin; flag.load(std::memory_order_acquire) != epoch;) {
    if (help()) {
      spin.reset();
    } else {
      spin.pause();
    }
  }
}

void Lanes::fail(int launch, std::exception_ptr error) {
  for (Spin spin; failure_lock_.test_and_set();) spin.pause();
  if (failed_launch_ < 0 || launch < failed_launch_) {  // the earliest in order, whatever the timing
    failed_launch_ = launch;
    failure_ = std::move(error);
  }
  failed_.store(true);
  failure_lock_.clear();
}

void Lanes::start(Work& work, std::size_t launch, int lane, Parallel& parallel) const {
  const auto now = [&] {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
  };
  const Launch& l = work.launches[launch];
  const Arguments arguments{
      l.inputs.data(), const_cast<void* const*>(l.outputs.data()), l.workspace, &parallel, nullptr, l.prepared};
  const double begin = work.record ? now() : 0;
  if (l.prepare) l.implementation->preparation.run(*l.desc, arguments);
  l.implementation->launch(*l.desc, arguments);
  if (work.record) work.timeline[launch] = {begin, now(), lane};
}

void Lanes::walk(int lane) {
  Work& work = *work_;
  const std::uint32_t epoch = epoch_.load();
  for (std::size_t i = 0; lane < owners_ && i < work.launches.size(); ++i) {
    const Launch& launch = work.launches[i];
    if (launch.stream % threads_ != lane) continue;
    for (const int wait : launch.waits) wait_for(wait);
    if (!failed_.load()) {
      try {
        start(work, i, lane, offers_[static_cast<std::size_t>(lane)]);
      } catch (...) {
        fail(static_cast<int>(i), std::current_exception());
      }
    }
    done_[i].store(epoch, std::memory_order_release);
  }
  if (lane < owners_) busy_.fetch_sub(1);
  for (Spin spin; busy_.load() != 0;) {
    if (help()) {
      spin.reset();
    } else {
      spin.pause();
    }
  }
}

void Lanes::worker(int lane) {
  std::uint32_t seen = 0;
  for (;;) {
    for (Spin spin; epoch_.load() == seen && !spin.is_long();) spin.pause();
    epoch_.wait(seen);
    inside_.fetch_add(1);
    const std::uint32_t epoch = epoch_.load();
    if (epoch % 2 == 1) walk(lane);
    seen = epoch;
    inside_.fetch_sub(1);
    if (stop_.load()) return;  // not before the epoch is read: it may be the last there will be
  }
}

void Lanes::run_alone(Work& work) {
  struct Alone final : Parallel {
    void run(std::int64_t tiles, Body body, void* context) override {
      for (std::int64_t tile = 0; tile < tiles; ++tile) body(context, tile);
    }
  } alone;
  for (std::size_t i = 0; i < work.launches.size(); ++i) start(work, i, 0, alone);  // the order respects waits
}

void Lanes::run(Work& work) {
  if (work.record) work.timeline.resize(work.launches.size());
  start_ = std::chrono::steady_clock::now();
  if (threads_ == 1 || work.cost < least_shared_) return run_alone(work);
  if (done_size_ < work.launches.size()) {  // grows while a program is first run
    done_size_ = work.launches.size();
    done_ = std::make_unique<std::atomic<std::uint32_t>[]>(done_size_);
  }
  work_ = &work;
  failed_.store(false);
  failed_launch_ = -1;
  owners_ = 1;
  for (const Launch& launch : work.launches) owners_ = std::max(owners_, launch.stream % threads_ + 1);
  busy_.store(owners_);  // a helper that has not woken when these are done is not waited for
  epoch_.fetch_add(1);
  epoch_.notify_all();
  walk(0);
  epoch_.fetch_add(1);
  for (Spin spin; inside_.load() != 0;) spin.pause();
  if (failed_.load()) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace seqgpu::device::cpu
