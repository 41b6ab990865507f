#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "emulator/check/order.hpp"
#include "emulator/execution.hpp"

namespace emulator {
namespace {

Order order_from(const char* name) {
  if (!std::strcmp(name, "forward")) return Order::forward;
  if (!std::strcmp(name, "reverse")) return Order::reverse;
  if (!std::strcmp(name, "random")) return Order::random;
  std::fprintf(stderr, "SEQGPU_EMULATOR_ORDER must be forward, reverse or random, got '%s'\n", name);
  std::exit(2);
}

std::uint64_t number_from(const char* variable, const char* text) {
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (end != text && *end == '\0') return value;
  std::fprintf(stderr, "%s must be a number, got '%s'\n", variable, text);
  std::exit(2);
}

Options from_environment() {
  Options chosen;
  if (const char* text = std::getenv("SEQGPU_EMULATOR_ORDER")) chosen.order = order_from(text);
  if (const char* text = std::getenv("SEQGPU_EMULATOR_SEED")) chosen.seed = number_from("SEQGPU_EMULATOR_SEED", text);
  if (const char* text = std::getenv("SEQGPU_EMULATOR_PREEMPT"))
    chosen.preempt = static_cast<unsigned>(number_from("SEQGPU_EMULATOR_PREEMPT", text));
  return chosen;
}

}  // namespace

Options& options() {
  static Options chosen = from_environment();
  return chosen;
}

const char* mode() {
#if defined(__SANITIZE_ADDRESS__)
  return "asan";
#else
  return kCheck ? "check" : "fast";
#endif
}

}  // namespace emulator
