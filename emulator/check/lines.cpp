#include "emulator/check/lines.hpp"

#include <dlfcn.h>
#include <elf.h>

#include <climits>
#include <cstdio>
#include <cstring>

namespace emulator::lines {
namespace {

// Any address of this program will do.
std::intptr_t anchor() { return reinterpret_cast<std::intptr_t>(&number_of); }

const char* base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// The program may have been started by a relative path, and dladdr says how it was started.
const char* file_of(const Dl_info& info) {
  Dl_info own;
  if (dladdr(reinterpret_cast<void*>(&number_of), &own) && own.dli_fbase == info.dli_fbase) return "/proc/self/exe";
  return info.dli_fname;
}

}  // namespace

std::int32_t number_of(const void* pc) {
  const std::intptr_t distance = reinterpret_cast<std::intptr_t>(pc) - anchor();
  return distance >= INT_MIN && distance <= INT_MAX ? static_cast<std::int32_t>(distance) : 0;
}

const void* address_of(std::int32_t number) {
  return number == 0 ? nullptr : reinterpret_cast<const void*>(anchor() + number);
}

Text describe(const void* pc) {
  Text out;
  std::snprintf(out.text, sizeof out.text, "an unknown line");
  Dl_info info;
  if (!pc || !dladdr(pc, &info)) return out;
  std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(pc) - 1;
  const auto* header = static_cast<const Elf64_Ehdr*>(info.dli_fbase);
  if (header->e_type == ET_DYN) offset -= reinterpret_cast<std::uintptr_t>(info.dli_fbase);

  char command[512];
  // The shell's own /proc/self/exe is the shell, so the parent's is named.
  const bool own = std::strcmp(file_of(info), "/proc/self/exe") == 0;
  if (own)
    std::snprintf(command, sizeof command, "addr2line -i -e /proc/$PPID/exe 0x%zx 2>/dev/null", offset);
  else
    std::snprintf(command, sizeof command, "addr2line -i -e '%s' 0x%zx 2>/dev/null", info.dli_fname, offset);
  std::FILE* pipe = popen(command, "r");
  if (!pipe) return out;
  char line[512];
  std::size_t length = 0;
  for (int frames = 0; std::fgets(line, sizeof line, pipe); ++frames) {
    line[std::strcspn(line, " \n")] = 0;  // also drops " (discriminator 2)"
    if (frames >= 3 || length >= sizeof out.text) continue;
    const int written =
        std::snprintf(out.text + length, sizeof out.text - length, "%s%s", frames ? ", from " : "", base_name(line));
    length += static_cast<std::size_t>(written);
  }
  pclose(pipe);
  return out;
}

}  // namespace emulator::lines
