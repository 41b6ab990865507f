#include "emulator/check/lines.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <unwind.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace emulator::lines {
namespace {

// Any address of this program will do.
std::intptr_t anchor() { return reinterpret_cast<std::intptr_t>(&number_of); }

const char* base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// Is this a source of the emulator (its folder is where this file's folder is), or of what stands between it and
// kernels?
bool is_below_kernels(const char* path) {
  static const std::string folder = [] {
    const std::string self = __FILE__;
    return self.substr(0, self.size() - std::strlen("check/lines.cpp"));
  }();
  return std::strncmp(path, folder.c_str(), folder.size()) == 0 || std::strstr(path, "/kernels/block/ptx");
}

// Source lines of a call that returns to `pc`, the innermost first: what inlining put there.
std::vector<std::string> lines_of(const void* pc) {
  std::vector<std::string> found;
  Dl_info info, own;
  if (!pc || !dladdr(pc, &info) || !dladdr(reinterpret_cast<void*>(&number_of), &own)) return found;
  std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(pc) - 1;
  if (static_cast<const Elf64_Ehdr*>(info.dli_fbase)->e_type == ET_DYN)
    offset -= reinterpret_cast<std::uintptr_t>(info.dli_fbase);

  // The program itself may have been started by a relative path. The shell's parent is this process.
  const bool program = info.dli_fbase == own.dli_fbase;
  const std::string file = program ? "/proc/$PPID/exe" : "'" + std::string(info.dli_fname) + "'";
  char number[32];
  std::snprintf(number, sizeof number, "0x%zx", offset);
  std::FILE* pipe = popen(("addr2line -i -e " + file + " " + number + " 2>/dev/null").c_str(), "r");
  if (!pipe) return found;
  char line[1024];
  while (std::fgets(line, sizeof line, pipe)) {
    line[std::strcspn(line, " \n")] = 0;  // also drops " (discriminator 2)"
    found.push_back(line);
  }
  pclose(pipe);
  return found;
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
  constexpr std::size_t kMost = 3;
  Text out;
  std::snprintf(out.text, sizeof out.text, "an unknown line");
  const std::vector<std::string> lines = lines_of(pc);
  std::size_t length = 0;
  for (std::size_t i = 0; i < lines.size() && i < kMost && length < sizeof out.text; ++i)
    length += static_cast<std::size_t>(std::snprintf(out.text + length, sizeof out.text - length, "%s%s",
                                                     i ? ", from " : "", base_name(lines[i].c_str())));
  return out;
}

Text caller() {
  struct Frames {
    void* at[32];
    int count = 0;
  } frames;
  // Not backtrace(): a sanitizer puts itself in front of it.
  _Unwind_Backtrace(
      [](_Unwind_Context* context, void* argument) {
        Frames& found = *static_cast<Frames*>(argument);
        if (found.count == 32) return _URC_END_OF_STACK;
        found.at[found.count++] = reinterpret_cast<void*>(_Unwind_GetIP(context));
        return _URC_NO_REASON;
      },
      &frames);
  Text out;
  std::snprintf(out.text, sizeof out.text, "an unknown line");
  for (int i = 0; i < frames.count; ++i) {
    for (const std::string& line : lines_of(frames.at[i])) {
      if (is_below_kernels(line.c_str()) || line[0] == '?') continue;
      std::snprintf(out.text, sizeof out.text, "%s", line.c_str());
      return out;
    }
  }
  return out;
}

}  // namespace emulator::lines
