#include "emulator/fibre.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__) && !defined(SEQGPU_EMULATOR_UCONTEXT)
#define EMULATOR_ASSEMBLY 1
#else
#define EMULATOR_ASSEMBLY 0
#include <ucontext.h>
#endif

namespace emulator {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStackBytes = 256 << 10;
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif
constexpr std::size_t kPage = 4096;
constexpr std::size_t kBatch = 64;         // stacks mapped at once
constexpr std::size_t kGuarded = 8192;     // a guard page costs two mappings, and the kernel allows 65,530
constexpr std::size_t kUsedOnExit = 8192;  // frames near the top may have left ASan poison after a normal end

// Stacks are mapped once and kept.
class StackPool {
 public:
  char* take() {
    if (free_.empty()) map_batch();
    char* stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void put(char* stack) { free_.push_back(stack); }

 private:
  void map_batch() {
    void* mapped =
        mmap(nullptr, kBatch * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
      std::perror("emulator: cannot map stacks");
      std::abort();
    }
    char* base = static_cast<char*>(mapped);
    for (std::size_t i = kBatch; i-- > 0;) {
      if (count_ + i < kGuarded) mprotect(base + i * kStackBytes, kPage, PROT_NONE);
      free_.push_back(base + i * kStackBytes);
    }
    count_ += kBatch;
  }

  std::vector<char*> free_;
  std::size_t count_ = 0;
};

StackPool& pool() {
  static StackPool* stacks = new StackPool;  // never destroyed: kernels may run in static destructors
  return *stacks;
}

}  // namespace

#if EMULATOR_ASSEMBLY

// void emulator_switch(void** save, void* load): callee-saved registers go on the old stack, then the stack changes.
extern "C" void emulator_switch(void** save, void* load);
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch,@function
emulator_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size emulator_switch, .-emulator_switch
)");

static void make_context(Fibre& fibre, void (*entry)(), std::size_t offset) {
  void** top = reinterpret_cast<void**>(fibre.stack + kStackBytes - offset);
  *--top = nullptr;  // a return address of 0 ends backtraces
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;  // the six registers that emulator_switch pops
  fibre.context = top;
}
static void free_context(Fibre&) {}
static void swap(Fibre& from, Fibre& to) { emulator_switch(&from.context, to.context); }

#else

static void make_context(Fibre& fibre, void (*entry)(), std::size_t offset) {
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = fibre.stack + kPage;
  context->uc_stack.ss_size = kStackBytes - kPage - offset;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  fibre.context = context;
}
static void free_context(Fibre& fibre) { delete static_cast<ucontext_t*>(fibre.context); }
static void swap(Fibre& from, Fibre& to) {
  if (!from.context) from.context = new ucontext_t;  // the host's
  swapcontext(static_cast<ucontext_t*>(from.context), static_cast<ucontext_t*>(to.context));
}

#endif

void fibre_prepare(Fibre& fibre, void (*entry)(), unsigned colour) {
  fibre.stack = pool().take();
  fibre.stack_bytes = kStackBytes;
  fibre.fake_stack = nullptr;
  make_context(fibre, entry, 64 + (colour * 192) % 4032 / 16 * 16);
}

void fibre_switch(Fibre& from, Fibre& to, [[maybe_unused]] bool from_ends) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.fake_stack, to.stack, to.stack_bytes);
#endif
  swap(from, to);
  fibre_entered(from);
}

void fibre_entered([[maybe_unused]] Fibre& entered) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(entered.fake_stack, nullptr, nullptr);
#endif
}

void fibre_release(Fibre& fibre, [[maybe_unused]] bool abandoned) {
#if defined(__SANITIZE_ADDRESS__)
  if (abandoned)
    __asan_unpoison_memory_region(fibre.stack + kPage, kStackBytes - kPage);
  else
    __asan_unpoison_memory_region(fibre.stack + kStackBytes - kUsedOnExit, kUsedOnExit);
#else
  (void)kUsedOnExit;
#endif
  free_context(fibre);
  pool().put(fibre.stack);
  fibre = Fibre{};
}

void fibre_adopt_host(Fibre& host) {
#if defined(__SANITIZE_ADDRESS__)
  static thread_local char* stack = nullptr;
  static thread_local std::size_t bytes = 0;
  if (!stack) {
    pthread_attr_t attributes;
    void* lowest = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &lowest, &bytes);
    pthread_attr_destroy(&attributes);
    stack = static_cast<char*>(lowest);
  }
  host.stack = stack;
  host.stack_bytes = bytes;
#else
  (void)host;
#endif
}

}  // namespace emulator
