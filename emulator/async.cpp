#include <bit>
#include <cstring>

#include "emulator/check/shadow.hpp"
#include "emulator/grid.hpp"

// Copies that arrive later: cp.async, mbarrier, st.async. Until it arrives, a destination holds 0xFF and check mode
// takes it for uninitialised; data comes as late as it may, so that a missing wait shows.

namespace emulator {

// cp.async ------------------------------------------------------------------------------------------------------------

void async_copy(void* to, const void* from, std::size_t bytes, std::size_t from_bytes, Location location) {
  Inside inside;
  if (bytes != 4 && bytes != 8 && bytes != 16)
    fail("cp.async of %zu bytes: 4, 8 or 16 are possible, at %s", bytes, describe(location).text);
  if (from_bytes > bytes) fail("cp.async reads more than it writes, at %s", describe(location).text);
  if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % bytes)
    fail("cp.async: misaligned address, at %s", describe(location).text);
  const char* byte = static_cast<const char*>(to);
  if (byte < current->block->arena || byte >= current->block->arena + grid->arena_bytes)
    fail("cp.async: the destination is not in this block's shared memory, at %s", describe(location).text);
  const void* pc = __builtin_return_address(0);
  if (from_bytes) shadow::access(from, from_bytes, false, false, pc);
  shadow::access(to, bytes, true, false, pc);  // it may land from now on
  std::memset(to, 0xff, bytes);
  shadow::in_flight(to, bytes);
  if (current->copies.empty()) current->copies.emplace_back();
  current->copies.back().push_back({to, from, bytes, from_bytes});
}

void async_commit() {
  Inside inside;
  if (current->copies.empty()) current->copies.emplace_back();
  current->copies.emplace_back();
}

void async_wait(std::size_t groups_in_flight) {
  Inside inside;
  auto& groups = current->copies;
  while (groups.size() > groups_in_flight + 1) {
    for (const AsyncCopy& copy : groups.front()) {
      const void* pc = __builtin_return_address(0);
      if (copy.from_bytes) shadow::access(copy.from, copy.from_bytes, false, false, pc);
      shadow::access(copy.to, copy.bytes, true, false, pc);
      std::memset(copy.to, 0, copy.bytes);
      std::memcpy(copy.to, copy.from, copy.from_bytes);
    }
    groups.erase(groups.begin());
  }
}

void leave_async(Thread& thread) {
  for (const auto& group : thread.copies)
    if (!group.empty()) fail("a thread exited with %zu asynchronous copies in flight", group.size());
}

// mbarrier ------------------------------------------------------------------------------------------------------------

namespace {

// The whole state lies in the 8 bytes, so it moves, and is overwritten, as on the chip.
struct State {
  std::uint64_t expected : 20;
  std::uint64_t pending : 20;
  std::uint64_t bytes : 21;  // transaction count, plus kNoBytes
  std::uint64_t phase : 1;   // parity of the phase that is not complete
  std::uint64_t valid : 2;   // kValid: neither fresh memory (all ones) nor zeroes
};
static_assert(sizeof(State) == 8);
constexpr std::uint64_t kNoBytes = 1 << 20, kValid = 2;
constexpr unsigned kMostArrivals = (1 << 20) - 1;

Block& block_of(const void* p, const char* what, Location location) {
  const char* byte = static_cast<const char*>(p);
  for (auto& block : current->block->cluster->blocks)
    if (byte >= block->arena && byte < block->arena + grid->arena_bytes) {
      if (!block->started || !block->alive)
        fail("%s: the block %s, at %s", what, block->started ? "has exited" : "has not started",
             describe(location).text);
      return *block;
    }
  fail("%s: the address is not in shared memory of this cluster, at %s", what, describe(location).text);
}

State load(const std::uint64_t* barrier, const char* what, Location location) {
  if (reinterpret_cast<std::uintptr_t>(barrier) % 8)
    fail("%s: misaligned mbarrier, at %s", what, describe(location).text);
  block_of(barrier, what, location);
  const State state = std::bit_cast<State>(*barrier);
  if (state.valid != kValid) fail("%s: this mbarrier was not initialised, at %s", what, describe(location).text);
  return state;
}

// Ends the phase when all threads and all bytes have come.
void store(std::uint64_t* barrier, State state) {
  if (state.pending == 0 && state.bytes == kNoBytes) {
    state.phase ^= 1;
    state.pending = state.expected;
    ++stats().barriers;
    progress();
    const auto waiting = grid->mbarrier_waiters.find(barrier);
    if (waiting != grid->mbarrier_waiters.end()) make_ready(waiting->second);
  }
  *barrier = std::bit_cast<std::uint64_t>(state);
}

void deliver(std::size_t index) {
  const AsyncStore store_ = grid->stores[index];
  grid->stores.erase(grid->stores.begin() + static_cast<std::ptrdiff_t>(index));
  std::memcpy(store_.to, store_.value, store_.bytes);
  dev_init(store_.to, store_.bytes);
  State state = std::bit_cast<State>(*store_.barrier);
  state.bytes -= store_.bytes;
  store(store_.barrier, state);
}

void deliver_for(const std::uint64_t* barrier) {
  for (std::size_t i = 0; i < grid->stores.size();) {
    if (grid->stores[i].barrier == barrier)
      deliver(i);
    else
      ++i;
  }
}

bool passed(const std::uint64_t* barrier, unsigned parity, const char* what, Location location) {
  load(barrier, what, location);
  deliver_for(barrier);
  return load(barrier, what, location).phase != (parity & 1);
}

void touch(const std::uint64_t* barrier, const void* pc) { shadow::access(barrier, 8, true, true, pc); }

}  // namespace

bool deliver_all_stores() {
  if (grid->stores.empty()) return false;
  while (!grid->stores.empty()) deliver(options().order == Order::random ? random_number() % grid->stores.size() : 0);
  return true;
}

void leave_async(Block& block) {
  for (const AsyncStore& store : grid->stores)
    if (store.target == &block) fail("a block exited with asynchronous stores to it in flight");
}

void mbarrier_init(std::uint64_t* barrier, unsigned arrivals, Location location) {
  Inside inside;
  if (arrivals == 0 || arrivals > kMostArrivals)
    fail("mbarrier.init: %u arrivals, at %s", arrivals, describe(location).text);
  if (reinterpret_cast<std::uintptr_t>(barrier) % 8) fail("mbarrier.init: misaligned, at %s", describe(location).text);
  if (&block_of(barrier, "mbarrier.init", location) != current->block)
    fail("mbarrier.init of another block's barrier, at %s", describe(location).text);
  shadow::access(barrier, 8, true, false, __builtin_return_address(0));
  State state{};
  state.expected = state.pending = arrivals;
  state.bytes = kNoBytes;
  state.valid = kValid;
  *barrier = std::bit_cast<std::uint64_t>(state);
}

void mbarrier_invalidate(std::uint64_t* barrier, Location location) {
  Inside inside;
  load(barrier, "mbarrier.inval", location);
  shadow::access(barrier, 8, true, false, __builtin_return_address(0));
  *barrier = 0;
}

void mbarrier_expect(std::uint64_t* barrier, unsigned bytes, Location location) {
  Inside inside;
  State state = load(barrier, "mbarrier.expect_tx", location);
  touch(barrier, __builtin_return_address(0));
  state.bytes += bytes;
  store(barrier, state);  // the bytes may already have come
}

void mbarrier_arrive(std::uint64_t* barrier, unsigned count, Location location) {
  Inside inside;
  step(false);
  State state = load(barrier, "mbarrier.arrive", location);
  touch(barrier, __builtin_return_address(0));
  order::release(barrier);
  if (count == 0 || count > state.pending)
    fail("mbarrier.arrive: %u arrivals, but the phase waits for %u, at %s", count, unsigned(state.pending),
         describe(location).text);
  state.pending -= count;
  store(barrier, state);
}

bool mbarrier_test(std::uint64_t* barrier, unsigned parity, Location location) {
  Inside inside;
  step(true);
  touch(barrier, __builtin_return_address(0));
  if (!passed(barrier, parity, "mbarrier.try_wait", location)) return false;
  order::acquire(barrier);
  return true;
}

void mbarrier_wait(std::uint64_t* barrier, unsigned parity, Location location) {
  Inside inside;
  touch(barrier, __builtin_return_address(0));
  while (!passed(barrier, parity, "mbarrier wait", location)) {
    grid->mbarrier_waiters[barrier].push_back(current);
    wait_here("an mbarrier", location);
  }
  order::acquire(barrier);
}

void async_store(void* to, const void* value, std::size_t bytes, std::uint64_t* barrier, Location location) {
  Inside inside;
  step(false);
  if (bytes != 4 && bytes != 8 && bytes != 16)
    fail("st.async of %zu bytes: 4, 8 or 16 are possible, at %s", bytes, describe(location).text);
  if (reinterpret_cast<std::uintptr_t>(to) % bytes) fail("st.async: misaligned, at %s", describe(location).text);
  Block& target = block_of(to, "st.async", location);
  load(barrier, "st.async", location);
  if (&block_of(barrier, "st.async", location) != &target)
    fail("st.async: the data and the mbarrier lie in different blocks, at %s", describe(location).text);
  const void* pc = __builtin_return_address(0);
  shadow::access(to, bytes, true, false, pc);
  touch(barrier, pc);
  order::release(barrier);
  AsyncStore store{};
  store.to = static_cast<char*>(to);
  std::memcpy(store.value, value, bytes);
  store.bytes = bytes;
  store.barrier = barrier;
  store.target = &target;
  std::memset(to, 0xff, bytes);
  shadow::in_flight(to, bytes);
  grid->stores.push_back(store);
}

}  // namespace emulator
