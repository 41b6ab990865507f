#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "emulated/core.hpp"

// Warp operations of CUDA C++, each a warp collective: the last lane answers for all.

constexpr int warpSize = 32;

namespace emulator {

template <class Function>
EMULATOR_UNWATCHED inline void for_lanes(unsigned mask, Function function) {
  for (int lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) function(lane);
}

template <class T>
struct ShuffleRequest {
  T value, result;
  int source;  // a lane, or -1: keep the own value
};

template <class T>
EMULATOR_UNWATCHED T shuffle(unsigned mask, T value, int source, const char* name, const Where& where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "a shuffle moves 4 or 8 bytes");
  using Request = ShuffleRequest<T>;
  Request request{value, value, source};
  warp_collective(
      mask, name, &request,
      [](void* const* payloads, unsigned lanes) EMULATOR_UNWATCHED {
        for_lanes(lanes, [&](int lane) EMULATOR_UNWATCHED {
          Request& mine = *static_cast<Request*>(payloads[lane]);
          if (mine.source < 0) return;
          if (!(lanes >> mine.source & 1))
            fail("lane %d shuffles from lane %d, which is not in the mask", lane, mine.source);
          mine.result = static_cast<Request*>(payloads[mine.source])->value;
        });
      },
      here(where));
  return request.result;
}

struct VoteRequest {
  int predicate;
  unsigned ballot;
};

EMULATOR_UNWATCHED inline unsigned vote(unsigned mask, int predicate, const char* name, const Where& where) {
  VoteRequest request{predicate, 0};
  warp_collective(
      mask, name, &request,
      [](void* const* payloads, unsigned lanes) EMULATOR_UNWATCHED {
        unsigned ballot = 0;
        for_lanes(lanes, [&](int lane) EMULATOR_UNWATCHED {
          if (static_cast<VoteRequest*>(payloads[lane])->predicate) ballot |= 1u << lane;
        });
        for_lanes(lanes,
                  [&](int lane) EMULATOR_UNWATCHED { static_cast<VoteRequest*>(payloads[lane])->ballot = ballot; });
      },
      here(where));
  return request.ballot;
}

template <class T>
struct ReduceRequest {
  T value, result;
};

// result = the fold of all values of the mask; Fold is a stateless function object.
template <class Fold, class T>
EMULATOR_UNWATCHED T reduce(unsigned mask, T value, const char* name, const Where& where) {
  using Request = ReduceRequest<T>;
  Request request{value, value};
  warp_collective(
      mask, name, &request,
      [](void* const* payloads, unsigned lanes) EMULATOR_UNWATCHED {
        const int first = std::countr_zero(lanes);
        T folded = static_cast<Request*>(payloads[first])->value;
        for_lanes(lanes, [&](int lane) EMULATOR_UNWATCHED {
          if (lane != first) folded = Fold{}(folded, static_cast<Request*>(payloads[lane])->value);
        });
        for_lanes(lanes, [&](int lane) EMULATOR_UNWATCHED { static_cast<Request*>(payloads[lane])->result = folded; });
      },
      here(where));
  return request.result;
}

template <class T>
struct MatchRequest {
  T value;
  unsigned equal;
};

template <class T>
EMULATOR_UNWATCHED unsigned match(unsigned mask, T value, const char* name, const Where& where) {
  using Request = MatchRequest<T>;
  Request request{value, 0};
  warp_collective(
      mask, name, &request,
      [](void* const* payloads, unsigned lanes) EMULATOR_UNWATCHED {
        for_lanes(lanes, [&](int lane) EMULATOR_UNWATCHED {
          Request& mine = *static_cast<Request*>(payloads[lane]);
          for_lanes(lanes, [&](int other) EMULATOR_UNWATCHED {
            if (static_cast<Request*>(payloads[other])->value == mine.value) mine.equal |= 1u << other;
          });
        });
      },
      here(where));
  return request.equal;
}

template <class T>
struct Add {
  EMULATOR_UNWATCHED T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct Min {
  EMULATOR_UNWATCHED T operator()(T a, T b) const { return b < a ? b : a; }
};
template <class T>
struct Max {
  EMULATOR_UNWATCHED T operator()(T a, T b) const { return a < b ? b : a; }
};
struct And {
  EMULATOR_UNWATCHED unsigned operator()(unsigned a, unsigned b) const { return a & b; }
};
struct Or {
  EMULATOR_UNWATCHED unsigned operator()(unsigned a, unsigned b) const { return a | b; }
};
struct Xor {
  EMULATOR_UNWATCHED unsigned operator()(unsigned a, unsigned b) const { return a ^ b; }
};

}  // namespace emulator

EMULATOR_UNWATCHED inline void __syncwarp(unsigned mask = 0xffffffffu,
                                          emulator::Where where = emulator::Where::current()) {
  emulator::warp_collective(mask, "__syncwarp", nullptr, nullptr, emulator::here(where));
}

// A shuffle works in segments of `width` lanes.
template <class T>
EMULATOR_UNWATCHED T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                                 emulator::Where where = emulator::Where::current()) {
  const int lane = static_cast<int>(emulator::lane_id());
  return emulator::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), "__shfl_sync", where);
}
template <class T>
EMULATOR_UNWATCHED T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                                    emulator::Where where = emulator::Where::current()) {
  const int lane = static_cast<int>(emulator::lane_id()), d = static_cast<int>(delta);
  return emulator::shuffle(mask, value, (lane & (width - 1)) >= d ? lane - d : -1, "__shfl_up_sync", where);
}
template <class T>
EMULATOR_UNWATCHED T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                                      emulator::Where where = emulator::Where::current()) {
  const int lane = static_cast<int>(emulator::lane_id()), d = static_cast<int>(delta);
  return emulator::shuffle(mask, value, (lane & (width - 1)) + d < width ? lane + d : -1, "__shfl_down_sync", where);
}
template <class T>
EMULATOR_UNWATCHED T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                                     emulator::Where where = emulator::Where::current()) {
  const int lane = static_cast<int>(emulator::lane_id()), source = lane ^ bits;
  const bool reachable = (source & ~(width - 1)) <= (lane & ~(width - 1));
  return emulator::shuffle(mask, value, reachable ? source : -1, "__shfl_xor_sync", where);
}

EMULATOR_UNWATCHED inline unsigned __ballot_sync(unsigned mask, int predicate,
                                                 emulator::Where where = emulator::Where::current()) {
  return emulator::vote(mask, predicate, "__ballot_sync", where);
}
EMULATOR_UNWATCHED inline int __any_sync(unsigned mask, int predicate,
                                         emulator::Where where = emulator::Where::current()) {
  return emulator::vote(mask, predicate, "__any_sync", where) != 0;
}
EMULATOR_UNWATCHED inline int __all_sync(unsigned mask, int predicate,
                                         emulator::Where where = emulator::Where::current()) {
  return emulator::vote(mask, predicate, "__all_sync", where) == mask;
}
EMULATOR_UNWATCHED inline unsigned __activemask() { return emulator::active_mask(); }

template <class T>
EMULATOR_UNWATCHED unsigned __match_any_sync(unsigned mask, T value,
                                             emulator::Where where = emulator::Where::current()) {
  return emulator::match(mask, value, "__match_any_sync", where);
}

// T: int or unsigned, as on the chip.
template <class T>
EMULATOR_UNWATCHED T __reduce_add_sync(unsigned mask, T value, emulator::Where where = emulator::Where::current()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return static_cast<T>(
      emulator::reduce<emulator::Add<unsigned>>(mask, static_cast<unsigned>(value), "__reduce_add_sync", where));
}
template <class T>
EMULATOR_UNWATCHED T __reduce_min_sync(unsigned mask, T value, emulator::Where where = emulator::Where::current()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return emulator::reduce<emulator::Min<T>>(mask, value, "__reduce_min_sync", where);
}
template <class T>
EMULATOR_UNWATCHED T __reduce_max_sync(unsigned mask, T value, emulator::Where where = emulator::Where::current()) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return emulator::reduce<emulator::Max<T>>(mask, value, "__reduce_max_sync", where);
}
EMULATOR_UNWATCHED inline unsigned __reduce_and_sync(unsigned mask, unsigned value,
                                                     emulator::Where where = emulator::Where::current()) {
  return emulator::reduce<emulator::And>(mask, value, "__reduce_and_sync", where);
}
EMULATOR_UNWATCHED inline unsigned __reduce_or_sync(unsigned mask, unsigned value,
                                                    emulator::Where where = emulator::Where::current()) {
  return emulator::reduce<emulator::Or>(mask, value, "__reduce_or_sync", where);
}
EMULATOR_UNWATCHED inline unsigned __reduce_xor_sync(unsigned mask, unsigned value,
                                                     emulator::Where where = emulator::Where::current()) {
  return emulator::reduce<emulator::Xor>(mask, value, "__reduce_xor_sync", where);
}
