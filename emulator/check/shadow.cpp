#include "emulator/check/shadow.hpp"

#if SEQGPU_EMULATOR_CHECK

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emulator/check/lines.hpp"
#include "emulator/execution.hpp"
#include "emulator/grid.hpp"
#include "emulator/heap.hpp"

namespace emulator {
namespace shadow {
namespace {

constexpr std::size_t kDeviceBytes = std::size_t{16} << 30;  // reserved addresses, not memory
constexpr std::size_t kWord = 4, kPage = 4096;
constexpr std::size_t kAlignment = 256, kGap = 256;

struct Access {
  std::uint32_t thread = 0;  // number + 1; 0: none
  std::uint32_t time = 0;
  std::int32_t line = 0;   // see lines.hpp
  std::uint8_t bytes = 0;  // mask of the word's bytes
  bool atomic = false;
};

// What is known of a word of 4 bytes. All zeroes: out of bounds.
struct Word {
  Access written[2];                       // the last, and one before it to other bytes of the word
  Access read[3];                          // the last, the last of another warp, the last of another block
  std::uint8_t live = 0, initialised = 0;  // masks of bytes
};

char* device = nullptr;
Word* words = nullptr;
std::size_t used = kPage;

std::uintptr_t arguments_at = 0, arguments_bytes = 0;
struct Span {
  std::uintptr_t from, bytes;
  bool holds(std::uintptr_t address) const { return address - from < bytes; }
};
std::vector<Span>& readable_host() {
  static auto* spans = new std::vector<Span>;
  return *spans;
}
std::vector<Span>& image() {  // globals and constants of the program and its libraries
  static auto* spans = new std::vector<Span>;
  return *spans;
}

void* reserve(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p != MAP_FAILED) return p;
  std::perror("emulator: cannot reserve addresses for check mode");
  std::abort();
}

void begin() {
  if (device) return;
  device = static_cast<char*>(reserve(kDeviceBytes));
  words = static_cast<Word*>(reserve(kDeviceBytes / kWord * sizeof(Word)));
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void*) {
        for (int i = 0; i < info->dlpi_phnum; ++i)
          if (info->dlpi_phdr[i].p_type == PT_LOAD)
            image().push_back({info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, info->dlpi_phdr[i].p_memsz});
        return 0;
      },
      nullptr);
}

bool on_device(const void* p) {
  return device && static_cast<const char*>(p) - device < std::ptrdiff_t{kDeviceBytes} &&
         static_cast<const char*>(p) >= device;
}

// Calls function(word, mask of its bytes) for every word of a range.
template <class Function>
void for_words(const void* p, std::size_t bytes, Function function) {
  std::size_t at = static_cast<std::size_t>(static_cast<const char*>(p) - device);
  const std::size_t end = at + bytes;
  while (at < end) {
    const std::size_t first = at % kWord, count = std::min(kWord - first, end - at);
    function(words[at / kWord], static_cast<std::uint8_t>(((1u << count) - 1) << first));
    at += count;
  }
}

// The kernel may also touch its own stack, globals, its arguments and what args_range named.
bool allowed_on_host(std::uintptr_t address, bool write) {
  const auto stack = reinterpret_cast<std::uintptr_t>(current->stack);
  if (address - stack < current->stack_bytes) return true;
  if (address - arguments_at < arguments_bytes && !write) return true;
  for (const Span& span : image())
    if (span.holds(address)) return true;
  for (const Span& span : readable_host())
    if (span.holds(address) && !write) return true;
  return false;
}

// "allocation of 128 bytes, byte 128" or "shared memory of block (0,0,0), byte 12 of the dynamic part".
Text place_of(const void* p) {
  Text out;
  out.text[0] = 0;
  const char* byte = static_cast<const char*>(p);
  for (const auto& cluster : grid->live) {
    for (const auto& block : cluster->blocks) {
      if (byte < block->arena || byte >= block->arena + grid->arena_bytes) continue;
      const auto offset = static_cast<std::size_t>(byte - block->arena);
      const char* state = block->alive == 0 ? ", which has exited" : block->started ? "" : ", which has not started";
      std::snprintf(out.text, sizeof out.text, " [%s shared memory of block (%u,%u,%u)%s, byte %zu of its %s part]",
                    offset < kStaticBytes ? "static" : "dynamic", block->index.x, block->index.y, block->index.z, state,
                    offset % kStaticBytes, offset < kStaticBytes ? "static" : "dynamic");
      return out;
    }
  }
  const Allocation near = heap_find_near(p);
  if (near.base)
    std::snprintf(out.text, sizeof out.text, " [%sallocation of %zu bytes, byte %td]",
                  dev_find(near.base).base ? "" : "freed ", near.bytes, byte - static_cast<char*>(near.base));
  return out;
}

[[noreturn]] void report(const char* what, const void* p, std::size_t bytes, const void* pc) {
  const Text place = place_of(p);
  fail("%s of %zu bytes at %s%s", what, bytes, lines::describe(pc).text, place.text);
}

[[noreturn]] void report_race(const char* what, const void* p, std::size_t bytes, const void* pc, const Access& first) {
  const Text place = place_of(p);
  fail("race: %s of %zu bytes at %s, not ordered after %s at %s%s", what, bytes, lines::describe(pc).text,
       describe_thread(first.thread - 1).text, lines::describe(lines::address_of(first.line)).text, place.text);
}

// A wide access may be the copy of a struct, whose padding nobody writes: then one byte of each word is enough.
bool is_uninitialised(const Word& word, std::uint8_t mask, std::size_t bytes) {
  const unsigned there = word.initialised & mask;
  return bytes > kWord ? there == 0 : there != mask;
}

bool races(const Access& first, std::uint8_t bytes, bool atomic) {
  if (first.thread == 0 || !(first.bytes & bytes) || first.thread == current->id + 1) return false;
  if (first.atomic && atomic) return false;
  return !order::happened_before(first.thread - 1, first.time);
}

void note_read(Word& word, const Access& mine) {
  Access& last = word.read[0];
  if (last.thread != 0 && last.thread != mine.thread) {
    const unsigned per_block = grid->threads_per_block;
    const unsigned before = last.thread - 1, now = mine.thread - 1;
    if (before / per_block != now / per_block)
      word.read[2] = last;
    else if (before % per_block / 32 != now % per_block / 32)
      word.read[1] = last;
  }
  last = mine;
}

void note_write(Word& word, const Access& mine) {
  for (Access& read : word.read)
    if ((read.bytes & ~mine.bytes) == 0) read = {};
  if ((word.written[0].bytes & ~mine.bytes) != 0) word.written[1] = word.written[0];
  word.written[0] = mine;
  word.initialised |= mine.bytes;
}

}  // namespace

char* carve(std::size_t bytes) {
  begin();
  char* p = device + used;
  const std::size_t taken = (bytes + kGap + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes > kDeviceBytes || used + taken > kDeviceBytes) return nullptr;
  used += taken;
  return p;
}

void discard(const void* p, std::size_t bytes) {
  const auto pages_within = [](std::uintptr_t from, std::uintptr_t to) {
    const std::uintptr_t first = (from + kPage - 1) / kPage * kPage, last = to / kPage * kPage;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  };
  const auto from = reinterpret_cast<std::uintptr_t>(p);
  pages_within(from, from + bytes);
  const std::size_t word = static_cast<std::size_t>(static_cast<const char*>(p) - device) / kWord;
  pages_within(reinterpret_cast<std::uintptr_t>(words + word),
               reinterpret_cast<std::uintptr_t>(words + word + bytes / kWord));
}

void arguments(const void* p, std::size_t bytes) {
  begin();
  arguments_at = reinterpret_cast<std::uintptr_t>(p);
  arguments_bytes = bytes;
}

void in_flight(const void* p, std::size_t bytes) {
  for_words(p, bytes, [](Word& word, std::uint8_t mask) { word.initialised &= static_cast<std::uint8_t>(~mask); });
}

void access(const void* p, std::size_t bytes, bool write, bool atomic, const void* pc) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  if (!on_device(p)) {
    if (!allowed_on_host(address, write)) report(write ? "write to host memory" : "read of host memory", p, bytes, pc);
    return;
  }
  if (bytes <= 16 && (bytes & (bytes - 1)) == 0 && address % bytes != 0) report("misaligned access", p, bytes, pc);
  Access mine{current->id + 1, order::time, lines::number_of(pc), 0, atomic};
  for_words(p, bytes, [&](Word& word, std::uint8_t mask) {
    mine.bytes = mask;
    if ((word.live & mask) != mask) report(write ? "write out of bounds" : "read out of bounds", p, bytes, pc);
    if (!write && is_uninitialised(word, mask, bytes))
      report("read of memory that is uninitialised or still on its way", p, bytes, pc);
    for (const Access& before : word.written)
      if (races(before, mask, atomic))
        report_race(write ? "write after write" : "read after write", p, bytes, pc, before);
    if (!write) return note_read(word, mine);
    for (const Access& before : word.read)
      if (races(before, mask, atomic)) report_race("write after read", p, bytes, pc, before);
    note_write(word, mine);
  });
}

}  // namespace shadow

void dev_range(const void* p, std::size_t bytes, bool live) {
  if (!shadow::on_device(p)) return;
  shadow::for_words(p, bytes, [&](shadow::Word& word, std::uint8_t mask) {
    const std::uint8_t others = word.live & static_cast<std::uint8_t>(~mask);
    word = {};
    word.live = live ? others | mask : others;
  });
}

void dev_init(const void* p, std::size_t bytes) {
  if (!shadow::on_device(p)) return;
  shadow::for_words(p, bytes, [](shadow::Word& word, std::uint8_t mask) { word.initialised |= mask; });
}

void dev_copied(const void* to, const void* from, std::size_t bytes) {
  if (!shadow::on_device(to)) return;
  if (!shadow::on_device(from)) return dev_init(to, bytes);
  const auto state_of = [](const void* p) -> shadow::Word& {
    return shadow::words[static_cast<std::size_t>(static_cast<const char*>(p) - shadow::device) / shadow::kWord];
  };
  for (std::size_t i = 0; i < bytes; ++i) {
    const char *source = static_cast<const char*>(from) + i, *target = static_cast<const char*>(to) + i;
    const unsigned source_bit = (source - shadow::device) % shadow::kWord;
    const unsigned target_bit = (target - shadow::device) % shadow::kWord;
    std::uint8_t& state = state_of(target).initialised;
    const unsigned cleared = state & ~(1u << target_bit);
    state = static_cast<std::uint8_t>(cleared | (state_of(source).initialised >> source_bit & 1u) << target_bit);
  }
}

void args_range(const void* p, std::size_t bytes) {
  shadow::readable_host().push_back({reinterpret_cast<std::uintptr_t>(p), bytes});
}

}  // namespace emulator

#endif
