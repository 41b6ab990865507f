#include "emulator/check/shadow.hpp"

#if SEQGPU_EMULATOR_CHECK

#include <cstddef>

#include "emulator/check/lines.hpp"
#include "emulator/grid.hpp"

// The functions that code compiled with -fsanitize=thread calls before each access, without libtsan. Host code that the
// linker shares with kernels calls them too; on the host, and inside the emulator, they do nothing.

namespace emulator {
namespace {

// A thread that only ever reads a flag calls nothing that could stop it.
void count_access() {
  static std::uint64_t switches = 0, accesses = 0;
  if (switches != stats().switches) {
    switches = stats().switches;
    accesses = 0;
  }
  if (++accesses > 10 * options().spin_limit)
    fail("livelock: one thread made %llu memory accesses and let no other run, at %s",
         static_cast<unsigned long long>(accesses), lines::caller().text);
}

inline void hook(const void* p, std::size_t bytes, bool write, const void* pc) {
  if (!current || paused) return;
  Inside inside;
  count_access();
  shadow::access(p, bytes, write, false, pc);
  if (options().preempt && random_number() % options().preempt == 0) give_way();
}

}  // namespace
}  // namespace emulator

// The names differ by a number, so a macro makes them.
#define EMULATOR_HOOKS(bytes)                                                                                  \
  void __tsan_read##bytes(void* p) { emulator::hook(p, bytes, false, __builtin_return_address(0)); }           \
  void __tsan_write##bytes(void* p) { emulator::hook(p, bytes, true, __builtin_return_address(0)); }           \
  void __tsan_unaligned_read##bytes(void* p) { emulator::hook(p, bytes, false, __builtin_return_address(0)); } \
  void __tsan_unaligned_write##bytes(void* p) { emulator::hook(p, bytes, true, __builtin_return_address(0)); } \
  void __tsan_volatile_read##bytes(void* p) { emulator::hook(p, bytes, false, __builtin_return_address(0)); }  \
  void __tsan_volatile_write##bytes(void* p) { emulator::hook(p, bytes, true, __builtin_return_address(0)); }

// std::atomic and static initialisation in code that kernels share with the host: real atomics, not watched.
#define EMULATOR_ATOMICS(bits, type)                                                                            \
  type __tsan_atomic##bits##_load(const volatile type* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
  void __tsan_atomic##bits##_store(volatile type* p, type v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); } \
  type __tsan_atomic##bits##_exchange(volatile type* p, type v, int) {                                          \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                                         \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_add(volatile type* p, type v, int) {                                         \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_sub(volatile type* p, type v, int) {                                         \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_and(volatile type* p, type v, int) {                                         \
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_or(volatile type* p, type v, int) {                                          \
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);                                                           \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_xor(volatile type* p, type v, int) {                                         \
    return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                             \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* expected, type v, int, int) {       \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
  }                                                                                                             \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* p, type* expected, type v, int, int) {         \
    return __atomic_compare_exchange_n(p, expected, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);               \
  }

extern "C" {

EMULATOR_HOOKS(1)
EMULATOR_HOOKS(2)
EMULATOR_HOOKS(4)
EMULATOR_HOOKS(8)
EMULATOR_HOOKS(16)
EMULATOR_ATOMICS(8, unsigned char)
EMULATOR_ATOMICS(16, unsigned short)
EMULATOR_ATOMICS(32, unsigned)
EMULATOR_ATOMICS(64, unsigned long)

void __tsan_read_range(void* p, std::size_t bytes) { emulator::hook(p, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void* p, std::size_t bytes) { emulator::hook(p, bytes, true, __builtin_return_address(0)); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

}  // extern "C"

#endif
