#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "emulator/check/lines.hpp"
#include "emulator/check/shadow.hpp"
#include "emulator/grid.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator {

Grid* grid = nullptr;
Thread* current = nullptr;
bool paused = false;

namespace {

// Threads that can run. Lanes that a collective has released go to a list of their own, which is served first: their
// stacks are still in L1.
class ReadyList {
 public:
  void push(Thread* thread) {
    constexpr std::size_t kTaken = 1 << 16;
    if (next_ >= kTaken && next_ > threads_.size() / 2) {  // while threads spin the list never becomes empty
      threads_.erase(threads_.begin(), threads_.begin() + static_cast<std::ptrdiff_t>(next_));
      next_ = 0;
    }
    threads_.push_back(thread);
  }
  void push_hot(Thread* thread) { hot_.push_back(thread); }
  bool hot_empty() const { return hot_next_ == hot_.size(); }

  Thread* pop() {
    if (!hot_empty()) return take(hot_, hot_next_);
    if (next_ == threads_.size()) return nullptr;
    if (options().order == Order::random)
      std::swap(threads_[next_], threads_[next_ + random_number() % (threads_.size() - next_)]);
    return take(threads_, next_);
  }

  void clear() {
    threads_.clear();
    hot_.clear();
    next_ = hot_next_ = 0;
  }

 private:
  static Thread* take(std::vector<Thread*>& list, std::size_t& next) {
    Thread* thread = list[next++];
    if (next == list.size()) {
      list.clear();
      next = 0;
    }
    return thread;
  }

  std::vector<Thread*> threads_, hot_;
  std::size_t next_ = 0, hot_next_ = 0;
};

ReadyList ready;
Fibre host;
bool abandoned = false;
std::string error_text;
std::uint64_t random_state = 1;
std::uint64_t spins = 0;
std::uint64_t tick = 0;

}  // namespace

void switch_to(Thread* next, bool ends) {
  Thread* before = current;
  if (before == next) return;
  ++stats().switches;
  if (next) {
    threadIdx = next->index;
    blockIdx = next->block->index;
  }
  current = next;
  fibre_switch(before ? *before : host, next ? static_cast<Fibre&>(*next) : host, ends);
}

// Everything that fail() and the deadlock report end with.
void record(const char* message) {
  error_text = message;
  if (current) error_text += std::string("\n  at ") + describe(*current).text;
  if (grid) {
    error_text += "\n  kernel ";
    if (grid->spec.name) error_text += grid->spec.name + std::string(" ");
    error_text += std::string("launched at ") + describe(grid->spec.location).text;
  }
  if (!options().quiet) std::fprintf(stderr, "emulator: %s\n", error_text.c_str());
}

void begin_schedule() {
  ready.clear();
  spins = 0;
  abandoned = false;
  random_state = options().seed * 7919 + grid->serial;
  fibre_adopt_host(host);
}

bool was_abandoned() { return abandoned; }

Thread* next_ready() {
  Thread* next = ready.pop();
  return next || !deliver_all_stores() ? next : ready.pop();
}

void make_ready(Thread* thread) { ready.push(thread); }

void make_ready(std::vector<Thread*>& threads) {
  if (options().order == Order::reverse)
    for (std::size_t i = threads.size(); i-- > 0;) ready.push(threads[i]);
  else
    for (Thread* thread : threads) ready.push(thread);
  threads.clear();
}

void make_ready_warp(Thread* const* lanes, unsigned mask) {
  const bool hot = options().order == Order::forward && ready.hot_empty();
  for (int i = 0; i < 32; ++i) {
    const int lane = options().order == Order::reverse ? 31 - i : i;
    if (!(mask >> lane & 1)) continue;
    if (hot)
      ready.push_hot(lanes[lane]);
    else
      ready.push(lanes[lane]);
  }
}

void wait_here(const char* what, Location location) {
  current->waiting_in = what;
  current->waiting_at = location;
  switch_to(next_ready());
  current->waiting_in = nullptr;
}

void progress() { spins = 0; }

void give_way() {
  ready.push(current);
  switch_to(ready.pop());
}

// A block may wait for one that has not started: on the chip that happens to work, or not.
static const char* livelock_hint() {
  return grid->spec.cooperative ? "" : "; blocks of a launch that is not cooperative need not run at the same time";
}

void check_switches() {
  if (stats().switches - grid->first_switch > options().switch_limit)
    fail("livelock: the grid is still running after %llu switches between threads, at %s%s",
         static_cast<unsigned long long>(options().switch_limit), lines::caller().text, livelock_hint());
}

void step(bool always_switch) {
  if (++spins > options().spin_limit)
    fail("livelock: only atomics and waiting loops ran for %llu steps, at %s%s",
         static_cast<unsigned long long>(options().spin_limit), lines::caller().text, livelock_hint());
  if (!always_switch && options().order != Order::random && spins % 16 != 0) return;
  check_switches();
  if (spins % 64 == 0) deliver_all_stores();
  give_way();
}

void atomic_access(const void* p, std::size_t bytes, Atomic kind) {
  if (!current) return;
  Inside inside;
  step(false);
  if (kind != Atomic::store) order::acquire(p);
  if (kind != Atomic::load) order::release(p);
  shadow::access(p, bytes, kind != Atomic::load, true, __builtin_return_address(0));
}

void plain_access(const void* p, std::size_t bytes, bool write) {
  Inside inside;
  shadow::access(p, bytes, write, false, __builtin_return_address(0));
}

void yield() {
  if (!current) return;
  Inside inside;
  step(true);
}

void fail(const char* format, ...) {
  paused = true;
  char message[2048];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  record(message);
  if (!current) throw std::runtime_error(error_text);
  abandoned = true;
  switch_to(nullptr, true);
  std::abort();  // nobody switches back
}

bool in_kernel() { return current != nullptr; }
const std::string& last_error() { return error_text; }

Stats& stats() {
  static Stats counters;
  return counters;
}

std::uint64_t ticks() { return stats().switches + ++tick; }

// splitmix64
std::uint64_t random_number() {
  std::uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace emulator
