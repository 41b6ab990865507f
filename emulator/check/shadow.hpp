#pragma once

#include <cstddef>

#include "emulator/check/order.hpp"

// Check mode: a shadow beside all device memory remembers for every byte whether it is in bounds and initialised, and
// for every word who wrote and read it last. Compilers call a hook before each access of code built with
// -fsanitize=thread (hooks.cpp); the hook lands in access().

namespace emulator::shadow {

#if SEQGPU_EMULATOR_CHECK

/// Device memory, page-aligned, with a gap of at least a page's worth behind it. Addresses are never used twice.
char* carve(std::size_t bytes);
/// Gives the pages of freed memory back; the addresses stay out of bounds.
void discard(const void* p, std::size_t bytes);

/// The running launch's parameters, which kernels may read.
void arguments(const void* p, std::size_t bytes);

/// Marks bytes as on their way: uninitialised until dev_init.
void in_flight(const void* p, std::size_t bytes);

/// An access by the running thread; nothing on the host. Fails the grid when it is wrong.
void access(const void* p, std::size_t bytes, bool write, bool atomic, const void* program_counter);

#else

inline char* carve(std::size_t) { return nullptr; }
inline void discard(const void*, std::size_t) {}
inline void arguments(const void*, std::size_t) {}
inline void in_flight(const void*, std::size_t) {}
inline void access(const void*, std::size_t, bool, bool, const void*) {}

#endif

}  // namespace emulator::shadow
