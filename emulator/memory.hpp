#pragma once

#include <cstddef>

#include "emulator/control.hpp"

// Device memory and pinned host memory.

namespace emulator {

/// What a pointer points into.
enum class Place {
  device,    // a live device allocation
  released,  // device memory that was freed
  pinned,    // host memory of cudaMallocHost or cudaHostAlloc
  pageable,  // any other
};
Place place_of(const void* p);

/// Does a live device allocation hold all of [p, p + bytes)?
bool device_range(const void* p, std::size_t bytes);

void count_memory(Live& result);
void reset_memory();

}  // namespace emulator
