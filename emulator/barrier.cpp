#include <cstring>

#include "emulator/grid.hpp"

// Barriers of a block, a cluster or a grid, and the named barriers of a block.

namespace emulator {
namespace {

const char* name_of(Scope scope) {
  switch (scope) {
    case Scope::block: return "__syncthreads";
    case Scope::cluster: return "cluster barrier";
    case Scope::grid: return "grid barrier";
  }
  return "?";
}

Scoped& scoped(const Thread& thread, Scope scope) {
  switch (scope) {
    case Scope::block: return *thread.block;
    case Scope::cluster: return *thread.block->cluster;
    case Scope::grid: return *grid;
  }
  return *grid;
}

bool same_place(Location a, Location b) {
  return a.line == b.line && a.column == b.column &&
         (a.file == b.file || (a.file && b.file && !std::strcmp(a.file, b.file)));
}

int result_of(const Barrier& barrier) {
  switch (barrier.reduction) {
    case Reduction::any: return barrier.predicates > 0;
    case Reduction::all: return barrier.predicates == barrier.arrived;
    default: return static_cast<int>(barrier.predicates);
  }
}

void complete(Scoped& scope) {
  Barrier& barrier = scope.barrier;
  barrier.result = result_of(barrier);
  ++barrier.phase;
  barrier.arrived = barrier.predicates = 0;
  scope.stamp = ++order::time;
  ++stats().barriers;
  progress();
  check_switches();
  make_ready(barrier.waiters);
}

// `split`: an arrival without a wait, which threads may make in different lines.
void arrive(Scope which, int predicate, Reduction reduction, Location location, bool split) {
  Scoped& scope = scoped(*current, which);
  Barrier& barrier = scope.barrier;
  Arrival& mine = current->arrivals[static_cast<int>(which)];
  if (which == Scope::grid && !grid->spec.cooperative)
    fail("a grid barrier in a launch without the cooperative attribute, at %s", describe(location).text);
  if (mine.pending) fail("%s: arrived twice without a wait, at %s", name_of(which), describe(location).text);
  if (options().strict && scope.alive != scope.total)
    fail("threads of the same scope exited before this %s, at %s", name_of(which), describe(location).text);
  if (barrier.arrived == 0) {
    barrier.location = location;
    barrier.reduction = reduction;
    barrier.same_place = !split;
  } else if (options().strict && barrier.same_place && !split &&
             (barrier.reduction != reduction || !same_place(barrier.location, location))) {
    fail("divergent %s: this thread is at %s, others of the same scope wait at %s", name_of(which),
         describe(location).text, describe(barrier.location).text);
  }
  mine = {true, barrier.phase};
  ++barrier.arrived;
  barrier.predicates += predicate != 0;
}

void complete_if_full(Scope which) {
  Scoped& scope = scoped(*current, which);
  if (scope.barrier.arrived == scope.alive) complete(scope);
}

}  // namespace

int barrier(Scope which, int predicate, Reduction reduction, Location location) {
  Inside inside;
  arrive(which, predicate, reduction, location, false);
  current->arrivals[static_cast<int>(which)].pending = false;
  Barrier& barrier = scoped(*current, which).barrier;
  barrier.waiters.push_back(current);
  complete_if_full(which);
  wait_here(name_of(which), location);
  return barrier.result;
}

void barrier_arrive(Scope which, Location location) {
  Inside inside;
  arrive(which, 0, Reduction::none, location, true);
  complete_if_full(which);
}

void barrier_wait(Scope which, Location location) {
  Inside inside;
  Barrier& barrier = scoped(*current, which).barrier;
  Arrival& mine = current->arrivals[static_cast<int>(which)];
  if (!mine.pending) fail("%s: wait without an arrival, at %s", name_of(which), describe(location).text);
  mine.pending = false;
  if (barrier.phase != mine.phase) return;
  barrier.waiters.push_back(current);
  wait_here(name_of(which), location);
}

void named_barrier(unsigned id, unsigned threads, bool waits, Location location) {
  Inside inside;
  if (id == 0 || id > 15) fail("named barrier %u: the number must be 1 to 15, at %s", id, describe(location).text);
  if (threads == 0 || threads % 32 != 0 || threads > current->block->total)
    fail("named barrier %u: %u threads is not a number of whole warps of the block, at %s", id, threads,
         describe(location).text);
  Barrier& barrier = current->block->named[id];
  if (barrier.members.empty()) {
    barrier.expected = threads;
    barrier.location = location;
  } else if (barrier.expected != threads) {
    fail("named barrier %u: %u threads expected here, %u at %s; at %s", id, threads, barrier.expected,
         describe(barrier.location).text, describe(location).text);
  }
  barrier.members.push_back(current);
  if (waits) barrier.waiters.push_back(current);
  if (barrier.members.size() == threads) {
    order::join_threads(barrier.members);
    barrier.members.clear();
    ++stats().barriers;
    progress();
    check_switches();
    make_ready(barrier.waiters);
  }
  if (waits) wait_here("a named barrier", location);
}

void leave_barriers(Thread& thread) {
  --thread.block->alive;
  --thread.block->cluster->alive;
  --grid->alive;
  for (Scope which : {Scope::block, Scope::cluster, Scope::grid}) {
    Scoped& scope = scoped(thread, which);
    if (thread.arrivals[static_cast<int>(which)].pending)
      fail("a thread exited between its arrival at a %s and the wait", name_of(which));
    if (scope.barrier.arrived == 0) continue;
    if (options().strict)
      fail("a thread exited while others wait in %s at %s", name_of(which), describe(scope.barrier.location).text);
    if (scope.barrier.arrived == scope.alive) complete(scope);
  }
}

}  // namespace emulator
