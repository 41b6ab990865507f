#pragma once

#include <cstddef>

#include "emulator/execution.hpp"

// Where device memory comes from. Private to the execution model; see also dev_alloc in execution.hpp.

namespace emulator {

/// Memory for the shared memory of one block; never given back.
char* heap_map_arena(std::size_t bytes);

/// Check mode, for reports: the last allocation, live or freed, that begins at or below p.
Allocation heap_find_near(const void* p);

/// ASan builds: makes a range out of bounds, and in bounds again.
void heap_poison(const void* p, std::size_t bytes);
void heap_unpoison(const void* p, std::size_t bytes);

}  // namespace emulator
