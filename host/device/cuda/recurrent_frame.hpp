#pragma once

#include <cstddef>
#include <cstdint>

#include "device/cuda/recurrent.hpp"
#include "kernels/cells/all_cells.hpp"
#include "kernels/recurrent/launch.hpp"

// What forward and backward of a recurrent layer share around the scan: sizes, memory, the reserve, the weights as the
// scan wants them.
namespace seqgpu::device::cuda {

/// Hands out pieces of a block, each on a line of its own; on a null block it only adds up their sizes.
struct Carver {
  std::byte* base = nullptr;
  std::size_t used = 0;

  template <class T>
  T* take(std::int64_t count) {
    const std::size_t at = used;
    used += (static_cast<std::size_t>(count) * sizeof(T) + 255) / 256 * 256;
    return base ? reinterpret_cast<T*>(base + at) : nullptr;
  }
  float* floats(std::int64_t count) { return take<float>(count); }
};

struct LayerSizes {
  explicit LayerSizes(const op::RecurrentDesc& d)
      : cell(cells::traits_of(d.cell)),
        G(cell.gates),
        F(cell.two_phase ? G - 1 : G),
        S(cell.states),
        P(d.peephole ? cell.unit_parameters : 0),
        T(d.T),
        N(d.N),
        I(d.I),
        H(d.H),
        R(d.projection ? d.R : d.H),
        rows(T * N),
        dropout(d.training && d.recurrent_dropout > 0) {}

  cells::CellTraits cell;
  std::int64_t G, F, S, P;  // F: gates that multiply h, see scan.hpp
  std::int64_t T, N, I, H, R, rows;
  bool dropout;

  std::int64_t width(std::int64_t state) const { return state == 0 ? R : H; }
  bool empty() const { return rows == 0 || H == 0; }  // there is no step, or nothing to step
};

/// The pieces of the reserve in `block`. @return with their size
struct ReserveLayout {
  kernels::ScanReserve reserve;
  std::size_t bytes = 0;
};
ReserveLayout lay_out_reserve(const op::RecurrentDesc& desc, void* block);

/// Memory of what forward and backward prepare alike.
struct ScanMemory {
  std::int32_t* lengths = nullptr;  // [N]
  float* w_ih = nullptr;            // [H, G, I]
  float* w_hh = nullptr;            // [H, F, R]
  float* mask = nullptr;            // [N, R]

  static ScanMemory take(Carver& carver, const LayerSizes& z);
};

/// Enqueues what fills `memory`, all but w_ih, and describes it in `scan`.
void prepare_scan(const op::RecurrentDesc& desc, const Arguments& a, const ScanMemory& memory, kernels::Scan& scan);

/// Gates [G, H, columns] side by side, [H, G, columns]: `from` itself if there is one gate.
/// @param from  null: zeros
const float* interleave(const float* from, std::int64_t G, std::int64_t H, std::int64_t columns, float* to,
                        const Queue& queue);

/// to = from, or zeros where it is null.
void copy_or_clear(float* to, const float* from, std::int64_t count, const Queue& queue);

inline const float* input(const Arguments& a, int slot) { return static_cast<const float*>(a.inputs[slot]); }
inline float* output(const Arguments& a, int slot) { return static_cast<float*>(a.outputs[slot]); }

std::size_t recurrent_workspace(const op::RecurrentForwardDesc& desc, const ScanStrategy& strategy,
                                const Limits& limits);
std::size_t recurrent_workspace(const op::RecurrentBackwardDesc& desc, const ScanStrategy& strategy,
                                const Limits& limits);
void recurrent(const op::RecurrentForwardDesc& desc, const ScanStrategy& strategy, const Arguments& a);
/// Writes (never adds to) every wanted gradient.
void recurrent(const op::RecurrentBackwardDesc& desc, const ScanStrategy& strategy, const Arguments& a);

/// Two layers, the scans in one launch. The strategy has the function for pairs.
void recurrent_pair(const op::RecurrentForwardDesc (&descs)[2], const ScanStrategy& strategy, const Arguments (&a)[2]);
void recurrent_pair(const op::RecurrentBackwardDesc (&descs)[2], const ScanStrategy& strategy, const Arguments (&a)[2]);

}  // namespace seqgpu::device::cuda
