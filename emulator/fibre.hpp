#pragma once

#include <cstddef>

// Fibres: stacks that one OS thread switches between. ASan is told of every switch.

namespace emulator {

struct Fibre {
  void* context = nullptr;  // saved stack pointer, or a ucontext_t
  char* stack = nullptr;    // lowest address; for the host's own fibre only known in an ASan build
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // ASan's
};

/// Gives the fibre a stack on which `entry` will run at the first switch. `entry` must begin with fibre_entered() and
/// must not return. `colour` spreads stack tops over cache sets: equal page offsets collide in L1.
void fibre_prepare(Fibre& fibre, void (*entry)(), unsigned colour);

/// Saves the running fibre in `from` and continues `to`. `from_ends`: nobody will ever switch back.
void fibre_switch(Fibre& from, Fibre& to, bool from_ends);
void fibre_entered(Fibre& entered);

/// Takes the stack back. `abandoned`: the fibre did not come to its end, its frames are still on the stack.
void fibre_release(Fibre& fibre, bool abandoned);

/// The fibre of the calling OS thread itself.
void fibre_adopt_host(Fibre& host);

}  // namespace emulator
