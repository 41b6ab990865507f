#include "kernels/block/fault.cuh"
#include "kernels/recurrent/step.cuh"

// What the frame does around a scan, whatever the strategy. All are bound by memory: every element is read and written
// once, coalesced along the rows.
namespace seqgpu::kernels {
namespace {

__global__ void __launch_bounds__(kStepThreads) swap_axes_kernel(SwapAxes p) {
  for_each_unit(p.A * p.B, p.C, [&](std::int64_t row, std::int64_t c) {  // row: b*A + a
    const std::int64_t b = row / p.A, a = row % p.A;
    p.to[row * p.C + c] = p.from ? p.from[(a * p.B + b) * p.C + c] : 0.f;
  });
}

__global__ void __launch_bounds__(kStepThreads) zero_padding_kernel(ZeroPadding p) {
  for_each_unit(p.T * p.N, p.C, [&](std::int64_t row, std::int64_t c) {
    // Not a product with 0: what lies past a length may be NaN.
    p.to[row * p.C + c] = row / p.N < p.lengths[row % p.N] ? p.from[row * p.C + c] : 0.f;
  });
}

__global__ void __launch_bounds__(kStepThreads) check_lengths_kernel(CheckLengths p) {
  for_each_unit(1, p.N, [&](std::int64_t, std::int64_t n) {
    const std::int32_t length = p.lengths[n];
    const bool legal = length >= 0 && length <= p.T;
    if (!legal) report_fault(p.faults, FaultyArgument::lengths, n, length);
    p.to[n] = legal ? length : length < 0 ? 0 : static_cast<std::int32_t>(p.T);
  });
}

__global__ void __launch_bounds__(kStepThreads) draw_mask_kernel(DrawMask p) {
  const float scale = 1.f / (1.f - p.rate);
  for_each_unit(1, p.count, [&](std::int64_t, std::int64_t i) {
    p.mask[i] = draw_uniform(p.key, p.step, i) >= p.rate ? scale : 0.f;
  });
}

/// partial [parts, columns]: one row sums its share of the rows, first to last.
__global__ void __launch_bounds__(kStepThreads) partial_sums_kernel(ColumnSums p, std::int64_t parts) {
  const std::int64_t columns = p.A * p.B, share = (p.rows + parts - 1) / parts;
  for_each_unit(parts, columns, [&](std::int64_t part, std::int64_t column) {
    const std::int64_t end = min((part + 1) * share, p.rows);
    float sum = 0;
    for (std::int64_t row = part * share; row < end; ++row) sum += p.from[row * columns + column];
    p.partial[part * columns + column] = sum;
  });
}

__global__ void __launch_bounds__(kStepThreads) total_sums_kernel(ColumnSums p, std::int64_t parts) {
  for_each_unit(1, p.A * p.B, [&](std::int64_t, std::int64_t column) {
    float sum = 0;
    for (std::int64_t part = 0; part < parts; ++part) sum += p.partial[part * p.A * p.B + column];
    p.to[column % p.B * p.A + column / p.B] = sum;
  });
}

}  // namespace

void swap_axes(const SwapAxes& p, Stream stream) {
  if (p.A * p.B * p.C > 0) launch(swap_axes_kernel, unit_shape(p.A * p.B, p.C, stream), p);
}

void zero_padding(const ZeroPadding& p, Stream stream) {
  if (p.T * p.N * p.C > 0) launch(zero_padding_kernel, unit_shape(p.T * p.N, p.C, stream), p);
}

void check_lengths(const CheckLengths& p, Stream stream) {
  if (p.N > 0) launch(check_lengths_kernel, unit_shape(1, p.N, stream), p);
}

void draw_mask(const DrawMask& p, Stream stream) {
  if (p.count > 0) launch(draw_mask_kernel, unit_shape(1, p.count, stream), p);
}

// Enough parts to fill a chip, enough rows in each that the second pass is cheap.
std::int64_t column_sum_parts(std::int64_t rows) { return std::clamp<std::int64_t>(rows / 32, 1, 128); }

void column_sums(const ColumnSums& p, Stream stream) {
  if (p.A * p.B == 0) return;
  const std::int64_t parts = column_sum_parts(p.rows);
  launch(partial_sums_kernel, unit_shape(parts, p.A * p.B, stream), p, parts);
  launch(total_sums_kernel, unit_shape(1, p.A * p.B, stream), p, parts);
}

}  // namespace seqgpu::kernels
