#pragma once

#include <cstdint>

#include "kernels/block/fault.hpp"
#include "kernels/recurrent/scan.hpp"

// Launchers of the recurrent family: what the frame needs around a scan, and the kernels of the stepwise strategy. All
// only enqueue; all tensors are f32, row-major, on the device. An empty tensor is no launch.
struct CUstream_st;

namespace seqgpu::kernels {

using Stream = CUstream_st*;

/// to [B, A, C] = from [A, B, C]. Gates [G, H, C] become interleaved with A = G, B = H, and go back with A = H, B = G.
struct SwapAxes {
  const float* from = nullptr;  // null: zeros
  float* to = nullptr;
  std::int64_t A = 0, B = 0, C = 0;
};
void swap_axes(const SwapAxes& p, Stream stream);

/// to [T, N, C] = from, with the rows past a length 0.
struct ZeroPadding {
  const float* from = nullptr;
  float* to = nullptr;
  const std::int32_t* lengths = nullptr;  // [N]
  std::int64_t T = 0, N = 0, C = 0;
};
void zero_padding(const ZeroPadding& p, Stream stream);

/// to [N] = lengths brought into [0, T]; one outside is reported.
struct CheckLengths {
  const std::int32_t* lengths = nullptr;  // [N]
  std::int32_t* to = nullptr;             // [N]
  std::int64_t T = 0, N = 0;
  FaultSink faults;
};
void check_lengths(const CheckLengths& p, Stream stream);

/// mask [count]: 1 / (1 - rate) where the draw of that index is at least `rate`, else 0.
struct DrawMask {
  float* mask = nullptr;
  std::int64_t count = 0;
  float rate = 0;
  std::uint64_t key = 0;
  const std::int64_t* step = nullptr;  // []; null: 0
};
void draw_mask(const DrawMask& p, Stream stream);

/// to [B, A] = the sums over the rows of from [rows, A, B]. The order of additions depends on `rows` alone.
struct ColumnSums {
  const float* from = nullptr;
  float* to = nullptr;
  float* partial = nullptr;  // [column_sum_parts(rows), A, B]
  std::int64_t rows = 0, A = 0, B = 0;
};
std::int64_t column_sum_parts(std::int64_t rows);
void column_sums(const ColumnSums& p, Stream stream);

/// What the steps of a forward scan hand on: states before the coming step, in the order of sequences, and the operands
/// and results of its products.
struct StepForward {
  int states = 1;
  float* state[kStates] = {};  // after resets: [N, R], then [N, H]
  float* entering = nullptr;   // [N, R] state[0], or that times the mask
  float* rh = nullptr;         // [N, H, F] R e; a two-phase cell's first kernel leaves its entered gates here
  float* second = nullptr;     // [N, H] two-phase: q, and the product with it
  float* rh_last = nullptr;    // [N, H]
  float* cell_h = nullptr;     // [N, H] projection: the cell's h, and the product with it
  float* projected = nullptr;  // [N, R]
};

/// The same backward: what the states before the coming (earlier) step get.
struct StepBackward {
  int states = 1;
  float* carry[kStates] = {};    // past the product: [N, R], then [N, H]
  float* d_entering = nullptr;   // [N, R] through the product
  float* d_rh = nullptr;         // [N, H, F] operand of that product; null: its rows in ScanBackward::d_rh serve
  float* d_last = nullptr;       // [N, H] two-phase: operand; null as d_rh
  float* d_second = nullptr;     // [N, H] and result, d q
  float* d_projected = nullptr;  // [N, R] projection: operand; null as d_rh
  float* d_cell_h = nullptr;     // [N, H] and result
};

// Whatever the cell. `s` counts steps in the direction of the scan.
void start_forward(const ScanForward& p, const StepForward& w, Stream stream);
void step_project(const ScanForward& p, const StepForward& w, std::int64_t s, Stream stream);
void start_backward(const ScanBackward& p, const StepBackward& w, Stream stream);
void step_project_backward(const ScanBackward& p, const StepBackward& w, std::int64_t s, Stream stream);
void finish_backward(const ScanBackward& p, const StepBackward& w, Stream stream);

/// Per cell; instances in stepwise.cu.in. The second phase functions are for two-phase cells.
template <class Cell>
struct StepKernels {
  static void enter(const ScanForward& p, const StepForward& w, std::int64_t s, Stream stream);
  static void forward(const ScanForward& p, const StepForward& w, std::int64_t s, Stream stream);
  static void backward(const ScanBackward& p, const StepBackward& w, std::int64_t s, Stream stream);
  static void backward_enter(const ScanBackward& p, const StepBackward& w, std::int64_t s, Stream stream);
};

}  // namespace seqgpu::kernels
