#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

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
  void push(Thread* thread) { threads_.push_back(thread); }
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

void switch_to(Thread* next, bool ends = false) {
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

void thread_exit(Thread& thread) {
  leave_async(thread);
  leave_warp(thread);
  thread.done = true;
  leave_barriers(thread);
  progress();
  if (thread.block->alive == 0) {
    leave_async(*thread.block);
    close_arena(*thread.block);
  }
}

void thread_main() {
  fibre_entered(*current);
  if (!current->block->started) start_arena(*current->block);
  paused = false;
  grid->body(grid->args);
  paused = true;
  thread_exit(*current);
  // A finished cluster goes back to the host, which starts the next one.
  switch_to(current->block->cluster->alive == 0 ? nullptr : ready.pop(), true);
  std::abort();  // nobody switches back
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

// Who waits where, in groups; at most 12 of them.
std::string deadlock_report() {
  struct Group {
    const Thread* first;
    unsigned count;
  };
  std::vector<Group> groups;
  for (const auto& cluster : grid->live) {
    for (const auto& block : cluster->blocks) {
      for (const Thread& thread : block->threads) {
        if (thread.done) continue;
        auto same = [&](const Group& g) {
          return g.first->block == thread.block && g.first->waiting_in == thread.waiting_in &&
                 g.first->waiting_at.line == thread.waiting_at.line &&
                 g.first->waiting_at.column == thread.waiting_at.column;
        };
        bool found = false;
        for (Group& g : groups) {
          if (same(g)) {
            ++g.count;
            found = true;
          }
        }
        if (!found) groups.push_back({&thread, 1});
      }
    }
  }
  std::string text = "deadlock: no thread can run;";
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == 12) {
      text += "\n    ...";
      break;
    }
    const Thread& first = *groups[i].first;
    text += "\n    " + std::to_string(groups[i].count) + " threads wait in " +
            (first.waiting_in ? first.waiting_in : "?") + " at " + describe(first.waiting_at).text +
            " (first: " + describe(first).text + ")";
  }
  return text;
}

}  // namespace

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
  Thread* next = ready.pop();
  if (!next && deliver_all_stores()) next = ready.pop();
  switch_to(next);
  current->waiting_in = nullptr;
}

void progress() { spins = 0; }

void give_way() {
  ready.push(current);
  switch_to(ready.pop());
}

void check_switches() {
  if (stats().switches - grid->first_switch > options().switch_limit)
    fail("livelock: the grid is still running after %llu switches between threads",
         static_cast<unsigned long long>(options().switch_limit));
}

void step(bool always_switch) {
  if (++spins > options().spin_limit)
    fail("livelock: only atomics and waiting loops ran for %llu steps",
         static_cast<unsigned long long>(options().spin_limit));
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

// Starting and ending blocks ------------------------------------------------------------------------------------------

namespace {

dim3 clusters_of(const LaunchSpec& spec) {
  return {spec.grid.x / spec.cluster.x, spec.grid.y / spec.cluster.y, spec.grid.z / spec.cluster.z};
}

void add_threads(Block& block, unsigned& colour) {
  const dim3 shape = grid->spec.block;
  const unsigned count = grid->threads_per_block;
  block.alive = block.total = count;
  block.warps.resize((count + 31) / 32);
  block.threads.resize(count);
  for (unsigned t = 0; t < count; ++t) {
    Thread& thread = block.threads[t];
    thread.block = &block;
    thread.warp = t / 32;
    thread.lane = t % 32;
    thread.id = block.number * count + t;
    thread.index = {t % shape.x, t / shape.x % shape.y, t / shape.x / shape.y};
    Warp& warp = block.warps[thread.warp];
    warp.alive |= 1u << thread.lane;
    warp.full = warp.alive;
    fibre_prepare(thread, thread_main, colour++);
  }
  stats().threads += count;
}

void start_cluster(unsigned number, unsigned& colour) {
  const dim3 size = grid->spec.cluster, clusters = clusters_of(grid->spec), blocks = grid->spec.grid;
  const uint3 at{number % clusters.x, number / clusters.x % clusters.y, number / clusters.x / clusters.y};
  auto cluster = std::make_unique<Cluster>();
  cluster->stamp = order::time;
  for (unsigned rank = 0; rank < size.x * size.y * size.z; ++rank) {
    auto block = std::make_unique<Block>();
    block->cluster = cluster.get();
    block->rank = rank;
    block->index = {at.x * size.x + rank % size.x, at.y * size.y + rank / size.x % size.y,
                    at.z * size.z + rank / size.x / size.y};
    block->number = block->index.x + blocks.x * (block->index.y + blocks.y * block->index.z);
    block->stamp = order::time;
    open_arena(*block);
    add_threads(*block, colour);
    std::vector<Thread*> threads;
    for (Thread& thread : block->threads) threads.push_back(&thread);
    make_ready(threads);
    cluster->blocks.push_back(std::move(block));
  }
  cluster->alive = cluster->total = grid->threads_per_block * size.x * size.y * size.z;
  if (!grid->spec.cooperative) grid->alive += cluster->alive;
  grid->live.push_back(std::move(cluster));
}

void end_cluster(Cluster& cluster, bool complete) {
  for (auto& block : cluster.blocks) {
    for (Thread& thread : block->threads) fibre_release(thread, !complete);
    recycle_arena(*block);
  }
}

void end_finished_clusters() {
  for (std::size_t i = 0; i < grid->live.size();) {
    if (grid->live[i]->alive != 0) {
      ++i;
      continue;
    }
    end_cluster(*grid->live[i], true);
    grid->live.erase(grid->live.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

std::vector<unsigned> cluster_order(unsigned count) {
  std::vector<unsigned> numbers(count);
  for (unsigned i = 0; i < count; ++i) numbers[i] = options().order == Order::reverse ? count - 1 - i : i;
  if (options().order == Order::random)
    for (unsigned i = count; i > 1; --i) std::swap(numbers[i - 1], numbers[random_number() % i]);
  return numbers;
}

// Runs all clusters, `resident` at a time. False: a fault.
bool run_clusters(const std::vector<unsigned>& numbers, std::size_t resident) {
  std::size_t next = 0;
  unsigned colour = 0;
  while (next < numbers.size() || !grid->live.empty()) {
    while (next < numbers.size() && grid->live.size() < resident) start_cluster(numbers[next++], colour);
    Thread* thread = ready.pop();
    if (!thread && deliver_all_stores()) thread = ready.pop();
    if (!thread) {
      record(deadlock_report().c_str());
      return false;
    }
    switch_to(thread);
    if (abandoned) return false;
    end_finished_clusters();
  }
  return true;
}

}  // namespace

bool run_grid(const LaunchSpec& spec, ThreadBody body, const void* args, std::size_t bytes) {
  if (current) fail("a kernel was launched from a kernel");
  Grid state(spec, body, args);
  const dim3 clusters = clusters_of(spec);
  const unsigned cluster_count = clusters.x * clusters.y * clusters.z;
  state.threads_per_block = spec.block.x * spec.block.y * spec.block.z;
  state.serial = ++stats().grids;
  state.stamp = ++order::time;
  state.first_switch = stats().switches;
  if (spec.cooperative) state.alive = state.total = state.threads_per_block * spec.grid.x * spec.grid.y * spec.grid.z;

  grid = &state;
  blockDim = spec.block;
  gridDim = spec.grid;
  abandoned = false;
  spins = 0;
  ready.clear();
  random_state = options().seed * 7919 + state.serial;
  shadow::arguments(args, bytes);
  fibre_adopt_host(host);

  std::size_t resident = options().order == Order::random ? 2 : 1;
  if (options().resident) resident = options().resident;
  if (spec.cooperative) resident = cluster_count;
  const bool complete = run_clusters(cluster_order(cluster_count), resident);

  for (auto& cluster : state.live) end_cluster(*cluster, false);
  state.live.clear();
  grid = nullptr;
  current = nullptr;
  paused = false;
  ++order::time;
  return complete;
}

}  // namespace emulator
