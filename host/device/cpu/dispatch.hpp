#pragma once

#include <cstdint>

#include "device/cpu/ctc_kernels.hpp"
#include "device/cpu/elementwise_kernels.hpp"
#include "device/cpu/gemm.hpp"
#include "kernels/cells/cell.hpp"

// Tables of SIMD kernels, one per instruction set, chosen at run time. Rows of internal buffers are padded to
// kRowBytes, so that kernels never meet a partial pack and layouts are the same for every set.
namespace seqgpu::device::cpu {

inline constexpr std::int64_t kRowBytes = 64;

template <class T>
constexpr std::int64_t padded(std::int64_t count) {
  constexpr std::int64_t lanes = kRowBytes / static_cast<std::int64_t>(sizeof(T));
  return (count + lanes - 1) / lanes * lanes;
}

template <class T>
struct GemmKernels {
  int columns;  // of one packed group
  void (*pack)(const Gemm<T>& g, std::int64_t group, T* packed);
  /// Rows [row, row_end) times column groups [group, group_end).
  void (*tile)(const Gemm<T>& g, const T* packed, std::int64_t row, std::int64_t row_end, std::int64_t group,
               std::int64_t group_end);
};

/// Element (gate, unit, k) of a weight matrix, to be packed as [unit group][k][gate][lanes].
/// Panels are read only by the set that packed them: those in bf16 take half the room, and one of unit_stride and
/// k_stride is 1.
template <class T>
struct PanelSource {
  const T* data = nullptr;
  std::int64_t gates = 1, gate_stride = 0;
  std::int64_t units = 0, unit_stride = 0;
  std::int64_t k = 0, k_stride = 1;
};

/// Columns of a padded row.
struct Range {
  std::int64_t first = 0, last = 0;  // [first, last)
};

/// out [rows, columns] = x [rows, k] times panels, plus bias; some columns of it.
template <class T>
struct PanelProduct {
  std::int64_t rows = 0, k = 0, columns = 0;  // columns: padded
  Range range;                                // a share of chunk_of()
  const T* x = nullptr;
  std::int64_t x_row = 0;
  const T* panels = nullptr;
  const T* bias = nullptr;  // [columns] or null
  T* out = nullptr;         // row stride: columns
  bool accumulate = false;
};

/// One step of some units of a cell over the active rows; H and R padded, row-major, G*H wide where gates are meant.
template <class T>
struct StepForward {
  cells::CellOptions options;
  Range units;  // a share of chunk_of()
  std::int64_t rows = 0, H = 0, k = 0;
  const T* wx = nullptr;                              // [rows, G*H]
  const T* entering = nullptr;                        // [rows, R] what enters the recurrent product
  std::int64_t R = 0;                                 // row stride of entering
  const T *panels = nullptr, *panels_last = nullptr;  // panels_last: gate G-1 of a two-phase cell
  const T* bias = nullptr;                            // b_hh [G*H]
  const T* unit = nullptr;                            // [P, H]
  const T* prev[3] = {};                              // [rows, H]; prev[0] unread unless kReadsHidden
  T* next[3] = {};                                    // [rows, H]
  T* saved = nullptr;                                 // [rows, kSaved*H]
  T* second = nullptr;                                // two-phase: [rows, H] what enters the second product
};

template <class T>
struct StepBackward {
  cells::CellOptions options;
  Range units;  // a share of chunk_of()
  std::int64_t rows = 0, H = 0;
  const T* saved = nullptr;
  const T* unit = nullptr;
  const T* prev[3] = {};
  const T* d_next[3] = {};
  T* d_prev[3] = {};            // may be d_next; d_prev[0] unwritten unless kReadsHidden
  T* d_wx = nullptr;            // [rows, G*H]
  T* d_rh = nullptr;            // [rows, G*H] where the cell tells them apart
  T* d_unit = nullptr;          // [P, H], added to
  const T* entering = nullptr;  // second phase only, all [rows, H]
  const T* d_second = nullptr;
  T* d_entering = nullptr;
};

inline constexpr int kMaxCells = 16;

template <class T>
struct RecurrentKernels {
  /// How many chunks a padded width can be cut into, where `gates` panels of a unit lie together; and one of them.
  std::int64_t (*most_chunks)(std::int64_t width, std::int64_t gates);
  Range (*chunk_of)(std::int64_t width, std::int64_t gates, std::int64_t chunk, std::int64_t chunks);
  void (*pack_panels)(const PanelSource<T>& source, Range units, T* panels);
  void (*multiply)(const PanelProduct<T>& p);
  void (*activate)(Activation activation, T* y, std::int64_t count);  // counts: multiples of a pack
  void (*activate_backward)(Activation activation, const T* y, T* d, std::int64_t count);
  /// sums [columns] += those of x, `stride` between its rows; columns: a multiple of a pack
  void (*add_column_sums)(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t columns, T* sums);
  void (*forward[kMaxCells])(const StepForward<T>&);  // by CellKind; of a two-phase cell its first phase
  void (*forward_second[kMaxCells])(const StepForward<T>&);
  void (*backward[kMaxCells])(const StepBackward<T>&);
  void (*backward_second[kMaxCells])(const StepBackward<T>&);  // two-phase cells
};

struct SimdKernels {
  const char* name;
  const GemmKernels<float>* gemm_f32;
  const GemmKernels<double>* gemm_f64;
  const RecurrentKernels<float>* recurrent_f32;
  const RecurrentKernels<double>* recurrent_f64;
  const ElementwiseKernels<float>* elementwise_f32;
  const ElementwiseKernels<double>* elementwise_f64;
  const CtcKernels<float>* ctc_f32;
  const CtcKernels<double>* ctc_f64;
  // Products of f32 numbers made in bf16, or null.
  const GemmKernels<float>* gemm_bf16 = nullptr;
  const RecurrentKernels<float>* recurrent_bf16 = nullptr;

  bool has_bf16() const { return recurrent_bf16 != nullptr; }

  template <class T>
  const GemmKernels<T>& gemm(Precision precision) const {
    if constexpr (sizeof(T) == 4) return precision == Precision::bf16 && has_bf16() ? *gemm_bf16 : *gemm_f32;
    if constexpr (sizeof(T) == 8) return *gemm_f64;
  }
  template <class T>
  const RecurrentKernels<T>& recurrent(Precision precision) const {
    if constexpr (sizeof(T) == 4) return precision == Precision::bf16 && has_bf16() ? *recurrent_bf16 : *recurrent_f32;
    if constexpr (sizeof(T) == 8) return *recurrent_f64;
  }
  template <class T>
  const ElementwiseKernels<T>& elementwise() const {
    if constexpr (sizeof(T) == 4) return *elementwise_f32;
    if constexpr (sizeof(T) == 8) return *elementwise_f64;
  }
  template <class T>
  const CtcKernels<T>& ctc() const {
    if constexpr (sizeof(T) == 4) return *ctc_f32;
    if constexpr (sizeof(T) == 8) return *ctc_f64;
  }
};

/// The widest set that this processor has, within the limit.
const SimdKernels& simd();
/// "baseline", "avx2", "avx512" or "avx512bf16"
const char* simd_name();
/// For tests: nothing wider than this from now on; the widest again with "". What was packed before is unreadable.
/// @return false, and no change, if the processor or the build lacks it
bool set_simd_limit(const char* name);

}  // namespace seqgpu::device::cpu
