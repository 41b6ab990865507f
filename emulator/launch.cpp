#include <cstdlib>
#include <utility>

#include "emulator/check/shadow.hpp"
#include "emulator/grid.hpp"

// Runs a grid: starts clusters of blocks, switches to their threads until all have ended, reports a deadlock.

namespace emulator {
namespace {

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
  switch_to(current->block->cluster->alive == 0 ? nullptr : next_ready(), true);
  std::abort();  // nobody switches back
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
    Thread* thread = next_ready();
    if (!thread) {
      record(deadlock_report().c_str());
      return false;
    }
    switch_to(thread);
    if (was_abandoned()) return false;
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
  begin_schedule();
  shadow::arguments(args, bytes);

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
