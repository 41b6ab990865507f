#pragma once

#include <cstdint>

namespace seqgpu::support {

/// While one lives, every operator new of this executable counts, on any thread.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  std::int64_t count() const;
};

}  // namespace seqgpu::support
