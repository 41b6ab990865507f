#include "emulator/stream_queue.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <random>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "emulator/runtime.hpp"

namespace emulator {
namespace {

struct Queue {
  std::map<std::uint64_t, OperationRef> pending;  // by serial, which is a legal order
  std::uint64_t next_serial = 1;
  StreamOrder order = StreamOrder::enqueued;
  std::mt19937_64 random{1};

  Queue() { read_environment(); }

  void read_environment() {
    order = StreamOrder::enqueued;
    if (const char* text = std::getenv("SEQGPU_EMULATOR_STREAMS")) {
      if (std::string_view(text) == "reverse") order = StreamOrder::reverse;
      if (std::string_view(text) == "random") order = StreamOrder::random;
    }
    const char* seed = std::getenv("SEQGPU_EMULATOR_SEED");
    random.seed(seed != nullptr ? std::strtoull(seed, nullptr, 10) : 1);
  }
};

Queue& queue() {
  static auto& instance = *new Queue;  // outlives static devices
  return instance;
}

void finish(Operation& operation) {
  operation.done = true;
  operation.waits.clear();  // or a long chain would be freed recursively
  operation.work = nullptr;
  operation.finished = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void run(const OperationRef& operation) {
  const OperationRef kept = operation;  // `operation` may be the queue's own
  queue().pending.erase(kept->serial);
  cudaError_t error = cudaSuccess;
  if (kept->work) {
    work_is_running() = true;
    try {
      error = kept->work();
    } catch (...) {
      work_is_running() = false;
      finish(*kept);
      throw;
    }
    work_is_running() = false;
  }
  finish(*kept);
  if (error != cudaSuccess) set_sticky(error);
}

// `target` and all that it waits for, each after what it waits for and the latest first: work enqueued early runs as
// late as it may.
std::vector<OperationRef> latest_first(const std::vector<OperationRef>& targets) {
  struct Visit {
    OperationRef operation;
    bool expanded;
  };
  const auto earlier = [](const OperationRef& a, const OperationRef& b) { return a->serial < b->serial; };
  std::vector<OperationRef> order;
  std::unordered_set<const Operation*> placed;
  std::vector<Visit> stack;
  const auto push = [&](std::vector<OperationRef> operations) {
    std::sort(operations.begin(), operations.end(), earlier);  // the latest ends on top
    for (const OperationRef& operation : operations)
      if (!operation->done) stack.push_back({operation, false});
  };
  push(targets);
  while (!stack.empty()) {
    const Visit visit = stack.back();
    if (placed.count(visit.operation.get()) != 0) {
      stack.pop_back();
    } else if (visit.expanded) {
      stack.pop_back();
      placed.insert(visit.operation.get());
      order.push_back(visit.operation);
    } else {
      stack.back().expanded = true;
      push(visit.operation->waits);
    }
  }
  return order;
}

void run_in_order(const std::vector<OperationRef>& targets) {
  std::vector<OperationRef> order = latest_first(targets);
  if (queue().order == StreamOrder::enqueued)
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a->serial < b->serial; });
  for (const OperationRef& operation : order)
    if (!operation->done) run(operation);
}

// Any of the operations that could run, until `target` is done (or nothing is left).
void run_at_random(const Operation* target) {
  std::unordered_map<const Operation*, std::size_t> unmet;
  std::unordered_map<const Operation*, std::vector<OperationRef>> dependents;
  std::vector<OperationRef> ready;
  for (const auto& [serial, operation] : queue().pending) {
    std::size_t count = 0;
    for (const OperationRef& wait : operation->waits) {
      if (wait->done) continue;
      dependents[wait.get()].push_back(operation);
      ++count;
    }
    unmet[operation.get()] = count;
    if (count == 0) ready.push_back(operation);
  }
  while (!ready.empty() && !(target != nullptr && target->done)) {
    std::swap(ready[queue().random() % ready.size()], ready.back());
    const OperationRef operation = std::move(ready.back());
    ready.pop_back();
    if (operation->done) continue;
    run(operation);
    for (const OperationRef& dependent : dependents[operation.get()])
      if (--unmet[dependent.get()] == 0) ready.push_back(dependent);
  }
}

}  // namespace

OperationRef submit(std::vector<OperationRef> waits, Work work) {
  auto operation = std::make_shared<Operation>();
  operation->serial = queue().next_serial++;
  operation->work = std::move(work);
  for (OperationRef& wait : waits)
    if (wait != nullptr && !wait->done) operation->waits.push_back(std::move(wait));
  queue().pending.emplace(operation->serial, operation);
  if (!options().lazy_streams) run_until(operation);
  return operation;
}

cudaError_t run_until(const OperationRef& target) {
  if (target == nullptr || target->done) return sticky_error();
  if (queue().order == StreamOrder::random)
    run_at_random(target.get());
  else
    run_in_order({target});
  return sticky_error();
}

cudaError_t run_all() {
  if (queue().order == StreamOrder::random) {
    run_at_random(nullptr);
  } else {
    std::vector<OperationRef> all;
    for (const auto& [serial, operation] : queue().pending) all.push_back(operation);
    run_in_order(all);
  }
  return sticky_error();
}

void step_towards(const OperationRef& target) {
  if (target == nullptr || target->done) return;
  run(latest_first({target}).front());
}

void abandon_pending() {
  auto pending = std::move(queue().pending);
  queue().pending.clear();
  for (const auto& [serial, operation] : pending) finish(*operation);
}

std::size_t pending_operations() { return queue().pending.size(); }

void stream_order_from_environment() { queue().read_environment(); }

void set_stream_order(StreamOrder order) {
  const std::lock_guard lock(runtime_mutex());
  queue().order = order;
}

void set_stream_order(StreamOrder order, std::uint64_t seed) {
  const std::lock_guard lock(runtime_mutex());
  queue().order = order;
  queue().random.seed(seed);
}

StreamOrder stream_order() {
  const std::lock_guard lock(runtime_mutex());
  return queue().order;
}

}  // namespace emulator
