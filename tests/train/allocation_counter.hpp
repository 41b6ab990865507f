#pragma once

#include <cstdint>

namespace seqgpu::support {

/// While one lives, every operator new of this executable counts, on any thread.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  std::int64_t count() const;
  /// Less those given back since, whenever they were taken.
  std::int64_t live() const;
};

}  // namespace seqgpu::support
