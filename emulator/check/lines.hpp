#pragma once

#include <cstdint>

#include "emulator/grid.hpp"

// Program counters: kept in 32 bits by check mode, and turned into source lines for a report.

namespace emulator::lines {

/// A short form of a program counter; 0 when it is too far from the program (in another library).
std::int32_t number_of(const void* pc);
const void* address_of(std::int32_t number);

/// "kernel.cuh:31, from kernel.cuh:80": the line of the call that returns to `pc`, and where inlining put it; asks
/// addr2line, so it is slow and needs -g1.
Text describe(const void* pc);

/// The line of the kernel that called into the emulator.
Text caller();

}  // namespace emulator::lines
