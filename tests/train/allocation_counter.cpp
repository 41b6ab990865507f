#include "tests/train/allocation_counter.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<bool> counting{false};
std::atomic<std::int64_t> allocations{0}, releases{0};

void* allocate(std::size_t bytes, std::size_t align) noexcept {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1);
  if (bytes == 0) bytes = 1;
  return align <= alignof(std::max_align_t) ? std::malloc(bytes)
                                            : std::aligned_alloc(align, (bytes + align - 1) / align * align);
}
void release(void* memory) noexcept {
  if (memory && counting.load(std::memory_order_relaxed)) releases.fetch_add(1);
  std::free(memory);
}
void* allocate_or_throw(std::size_t bytes, std::size_t align) {
  void* memory = allocate(bytes, align);
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The array forms of the standard library call these.
void* operator new(std::size_t n) { return allocate_or_throw(n, 1); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n) { return allocate_or_throw(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new[](std::size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { release(p); }

namespace seqgpu::support {

AllocationCounter::AllocationCounter() {
  allocations = releases = 0;
  counting = true;
}
AllocationCounter::~AllocationCounter() { counting = false; }
std::int64_t AllocationCounter::count() const { return allocations.load(); }
std::int64_t AllocationCounter::live() const { return allocations.load() - releases.load(); }

}  // namespace seqgpu::support
