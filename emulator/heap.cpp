#include "emulator/heap.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "emulator/check/shadow.hpp"
#include "emulator/execution.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {
namespace {

constexpr std::size_t kAlignment = 256;  // as cudaMalloc

using Allocations = std::map<const char*, std::size_t>;

Allocations& allocations() {
  static auto* live = new Allocations;
  return *live;
}

// Check mode never uses an address again, so it can name freed memory.
Allocations& freed() {
  static auto* gone = new Allocations;
  return *gone;
}

// The last allocation that begins at or below p.
Allocation below(const Allocations& list, const char* p) {
  auto after = list.upper_bound(p);
  if (after == list.begin()) return {};
  --after;
  return {const_cast<char*>(after->first), after->second};
}

}  // namespace

char* heap_map_arena(std::size_t bytes) {
  if constexpr (kCheck) return shadow::carve(bytes);
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    std::perror("emulator: cannot map shared memory");
    std::abort();
  }
  return static_cast<char*>(p);
}

void* dev_alloc(std::size_t bytes) {
  char* p = nullptr;
  if constexpr (kCheck) {
    p = shadow::carve(bytes);
  } else {
    void* aligned = nullptr;  // exactly so many bytes: ASan's red zone begins at the next one
    if (posix_memalign(&aligned, kAlignment, bytes ? bytes : 1) != 0) return nullptr;
    p = static_cast<char*>(aligned);
  }
  if (!p) return nullptr;
  std::memset(p, 0xff, bytes);
  allocations()[p] = bytes;
  dev_range(p, bytes, true);
  return p;
}

bool dev_free(void* base) {
  const auto found = allocations().find(static_cast<char*>(base));
  if (found == allocations().end()) return false;
  dev_range(base, found->second, false);
  if constexpr (kCheck) {
    shadow::discard(base, found->second);
    freed()[found->first] = found->second;
  } else {
    std::free(base);
  }
  allocations().erase(found);
  return true;
}

Allocation dev_find(const void* p) {
  const char* byte = static_cast<const char*>(p);
  const Allocation found = below(allocations(), byte);
  return found.base && byte < static_cast<char*>(found.base) + found.bytes ? found : Allocation{};
}

Allocation heap_find_near(const void* p) {
  const char* byte = static_cast<const char*>(p);
  const Allocation live = below(allocations(), byte), gone = below(freed(), byte);
  return live.base >= gone.base ? live : gone;
}

#if !SEQGPU_EMULATOR_CHECK
void dev_range(const void*, std::size_t, bool) {}
void dev_init(const void*, std::size_t) {}
void dev_copied(const void*, const void*, std::size_t) {}
void args_range(const void*, std::size_t) {}
#endif

#if defined(__SANITIZE_ADDRESS__)
void heap_poison(const void* p, std::size_t bytes) { __asan_poison_memory_region(p, bytes); }
void heap_unpoison(const void* p, std::size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
void heap_poison(const void*, std::size_t) {}
void heap_unpoison(const void*, std::size_t) {}
#endif

}  // namespace emulator
