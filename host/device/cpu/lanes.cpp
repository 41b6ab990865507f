#include "device/cpu/lanes.hpp"

#include <utility>

#include "device/cpu/spin.hpp"

namespace seqgpu::device::cpu {

Lanes::Lanes(int threads) : threads_(threads), offers_(std::make_unique<Offer[]>(static_cast<std::size_t>(threads))) {
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

void Lanes::walk(int lane) {
  Work& work = *work_;
  const std::uint32_t epoch = epoch_.load();
  const auto now = [&] {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
  };
  for (std::size_t i = 0; i < work.launches.size(); ++i) {
    const Launch& launch = work.launches[i];
    if (launch.stream % threads_ != lane) continue;
    for (const int wait : launch.waits) wait_for(wait);
    if (!failed_.load()) {
      const double begin = work.record ? now() : 0;
      try {
        const Arguments arguments{launch.inputs.data(),
                                  const_cast<void* const*>(launch.outputs.data()),
                                  launch.workspace,
                                  &offers_[static_cast<std::size_t>(lane)],
                                  nullptr,
                                  launch.prepared};
        if (launch.prepare) launch.implementation->preparation.run(*launch.desc, arguments);
        launch.implementation->launch(*launch.desc, arguments);
      } catch (...) {
        fail(static_cast<int>(i), std::current_exception());
      }
      if (work.record) work.timeline[i] = {begin, now(), lane};
    }
    done_[i].store(epoch, std::memory_order_release);
  }
  busy_.fetch_sub(1);
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
    if (stop_.load()) return;
    inside_.fetch_add(1);
    const std::uint32_t epoch = epoch_.load();
    if (epoch % 2 == 1) walk(lane);
    seen = epoch;
    inside_.fetch_sub(1);
  }
}

void Lanes::run(Work& work) {
  if (done_size_ < work.launches.size()) {  // grows while a program is first run
    done_size_ = work.launches.size();
    done_ = std::make_unique<std::atomic<std::uint32_t>[]>(done_size_);
  }
  if (work.record) work.timeline.resize(work.launches.size());
  work_ = &work;
  start_ = std::chrono::steady_clock::now();
  failed_.store(false);
  failed_launch_ = -1;
  busy_.store(threads_);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  walk(0);
  epoch_.fetch_add(1);
  for (Spin spin; inside_.load() != 0;) spin.pause();
  if (failed_.load()) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace seqgpu::device::cpu
