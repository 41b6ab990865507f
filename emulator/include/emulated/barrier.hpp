#pragma once

#include "emulated/core.hpp"

// Barriers and fences of CUDA C++. Memory is sequentially consistent here, so a fence does nothing.

EMULATOR_UNWATCHED inline void __syncthreads(emulator::Where where = emulator::Where::current()) {
  emulator::barrier(emulator::Scope::block, 0, emulator::Reduction::none, emulator::here(where));
}
EMULATOR_UNWATCHED inline int __syncthreads_or(int predicate, emulator::Where where = emulator::Where::current()) {
  return emulator::barrier(emulator::Scope::block, predicate, emulator::Reduction::any, emulator::here(where));
}
EMULATOR_UNWATCHED inline int __syncthreads_and(int predicate, emulator::Where where = emulator::Where::current()) {
  return emulator::barrier(emulator::Scope::block, predicate, emulator::Reduction::all, emulator::here(where));
}
EMULATOR_UNWATCHED inline int __syncthreads_count(int predicate, emulator::Where where = emulator::Where::current()) {
  return emulator::barrier(emulator::Scope::block, predicate, emulator::Reduction::count, emulator::here(where));
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

inline void __nanosleep(unsigned) { emulator::yield(); }
inline long long clock64() { return static_cast<long long>(emulator::ticks()); }
[[noreturn]] inline void __trap(emulator::Where where = emulator::Where::current()) {
  emulator::fail("__trap() at %s:%u", where.file_name(), where.line());
}
