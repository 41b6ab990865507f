#pragma once

#include <type_traits>

#include "emulated/core.hpp"

// Atomics. One OS thread runs everything, so a plain update is atomic; each is a point where other threads may run.
// The scoped spellings (_block, _system) are the same thing here.

namespace emulator {

template <class T, class Update>
EMULATOR_UNWATCHED T atomic_update(T* p, Update update) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8));
  atomic_access(p, sizeof(T), Atomic::update);
  const T old = *p;
  *p = update(old);
  return old;
}

template <class T>
EMULATOR_UNWATCHED T atomic_load(const T* p) {
  atomic_access(p, sizeof(T), Atomic::load);
  return *p;
}

template <class T>
EMULATOR_UNWATCHED void atomic_store(T* p, T value) {
  atomic_access(p, sizeof(T), Atomic::store);
  *p = value;
}

}  // namespace emulator

template <class T>
EMULATOR_UNWATCHED T atomicAdd(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return static_cast<T>(old + value); });
}
template <class T>
EMULATOR_UNWATCHED T atomicSub(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return static_cast<T>(old - value); });
}
template <class T>
EMULATOR_UNWATCHED T atomicMin(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return value < old ? value : old; });
}
template <class T>
EMULATOR_UNWATCHED T atomicMax(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return old < value ? value : old; });
}
template <class T>
EMULATOR_UNWATCHED T atomicAnd(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return old & value; });
}
template <class T>
EMULATOR_UNWATCHED T atomicOr(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return old | value; });
}
template <class T>
EMULATOR_UNWATCHED T atomicXor(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return old ^ value; });
}
template <class T>
EMULATOR_UNWATCHED T atomicExch(T* p, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T) EMULATOR_UNWATCHED { return value; });
}
template <class T>
EMULATOR_UNWATCHED T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return emulator::atomic_update(p, [=](T old) EMULATOR_UNWATCHED { return old == expected ? value : old; });
}
inline unsigned atomicInc(unsigned* p, unsigned limit) {
  return emulator::atomic_update(p, [=](unsigned old) EMULATOR_UNWATCHED { return old >= limit ? 0 : old + 1; });
}
inline unsigned atomicDec(unsigned* p, unsigned limit) {
  return emulator::atomic_update(
      p, [=](unsigned old) EMULATOR_UNWATCHED { return old == 0 || old > limit ? limit : old - 1; });
}

template <class T>
T atomicAdd_block(T* p, std::type_identity_t<T> value) {
  return atomicAdd(p, value);
}
template <class T>
T atomicAdd_system(T* p, std::type_identity_t<T> value) {
  return atomicAdd(p, value);
}
