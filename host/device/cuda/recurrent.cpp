#include "device/cuda/recurrent.hpp"

#include "device/cuda/check.hpp"
#include "device/cuda/recurrent_frame.hpp"
#include "kernels/math/philox.hpp"

namespace seqgpu::device::cuda {

ReserveLayout lay_out_reserve(const op::RecurrentDesc& desc, void* block) {
  Carver carver{static_cast<std::byte*>(block)};
  const LayerSizes z(desc);
  kernels::ScanReserve r;
  for (std::int64_t s = 0; s < z.S; ++s) r.previous[s] = carver.floats(z.rows * z.width(s));
  r.entering = z.dropout ? carver.floats(z.rows * z.R) : r.previous[0];
  r.saved = carver.floats(z.rows * z.cell.saved * z.H);
  if (z.cell.two_phase) r.second = carver.floats(z.rows * z.H);
  if (desc.projection) r.unprojected = carver.floats(z.rows * z.H);
  if (desc.projection) r.projected = carver.floats(z.rows * z.R);
  return {r, carver.used};
}

ScanMemory ScanMemory::take(Carver& carver, const LayerSizes& z) {
  ScanMemory m;
  m.lengths = carver.take<std::int32_t>(z.N);
  m.w_ih = carver.floats(z.G > 1 ? z.H * z.G * z.I : 0);
  m.w_hh = carver.floats(z.F > 1 ? z.H * z.F * z.R : 0);
  m.mask = carver.floats(z.dropout ? z.N * z.R : 0);
  return m;
}

const float* interleave(const float* from, std::int64_t G, std::int64_t H, std::int64_t columns, float* to,
                        const Queue& queue) {
  if (G == 1 && from) return from;
  kernels::swap_axes({.from = from, .to = to, .A = G, .B = H, .C = columns}, queue.stream);
  return to;
}

void copy_or_clear(float* to, const float* from, std::int64_t count, const Queue& queue) {
  if (!to || count == 0) return;
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
  if (from)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, queue.stream), "copying a state");
  else
    check(cudaMemsetAsync(to, 0, bytes, queue.stream), "clearing a tensor");
}

namespace {

// Philox streams of a layer: the dropout mask, then zoneout of each state; as on the CPU.
std::uint64_t dropout_key(const op::RecurrentDesc& d) { return math::philox_key(d.seed, d.stream * 8); }
std::uint64_t zoneout_key(const op::RecurrentDesc& d, std::uint64_t state) {
  return math::philox_key(d.seed, d.stream * 8 + 1 + state);
}

}  // namespace

void prepare_scan(const op::RecurrentDesc& desc, const Arguments& a, const ScanMemory& memory, kernels::Scan& scan) {
  const Queue& queue = queue_of(a);
  const LayerSizes z(desc);
  const auto* step = static_cast<const std::int64_t*>(a.inputs[op::kInStep]);
  scan.cell = desc.cell;
  scan.options = {desc.activation, desc.output_activation, desc.coupled_gates, desc.peephole, desc.cell_clip};
  scan.precision = desc.precision;
  scan.T = z.T, scan.N = z.N, scan.H = z.H, scan.R = z.R;
  scan.reverse = desc.direction == Direction::reverse;
  scan.w_hh = interleave(input(a, op::kInWhh), z.F, z.H, z.R, memory.w_hh, queue);
  if (z.cell.two_phase) scan.w_last = input(a, op::kInWhh) + z.F * z.H * z.R;
  if (desc.peephole) scan.unit = input(a, op::kInUnit);
  if (desc.projection) scan.projection = input(a, op::kInProj);
  scan.projection_activation = desc.projection_activation;
  if (const auto* lengths = static_cast<const std::int32_t*>(a.inputs[op::kInLengths])) {
    kernels::check_lengths({lengths, memory.lengths, z.T, z.N, queue.faults}, queue.stream);
    scan.lengths = memory.lengths;
  }
  scan.resets = static_cast<const std::int32_t*>(a.inputs[op::kInResets]);
  if (z.dropout) {
    kernels::draw_mask({memory.mask, z.N * z.R, desc.recurrent_dropout, dropout_key(desc), step}, queue.stream);
    scan.mask = memory.mask;
  }
  scan.zoneout.draw = desc.training;
  scan.zoneout.step = step;
  for (std::uint64_t s = 0; s < static_cast<std::uint64_t>(z.S); ++s) {
    scan.zoneout.rate[s] = s == 0 ? desc.zoneout_hidden : desc.zoneout_cell;
    scan.zoneout.key[s] = zoneout_key(desc, s);
  }
}

namespace {

template <class D>
constexpr Pass kPass = std::is_same_v<D, op::RecurrentForwardDesc> ? Pass::forward : Pass::backward;

template <class D, const ScanStrategy& strategy>
std::string accepts(const op::AnyDesc& any, const Limits& limits) {
  const D& desc = std::get<D>(any);
  if (desc.dtype != DType::f32) return std::string(to_string(desc.dtype)) + " runs on the CPU only";
  if (desc.projection && cells::traits_of(desc.cell).reads_hidden)
    return std::string(to_string(desc.cell)) + " takes no projection";
  if (desc.projection && desc.H == 0) return "a projection of no units";
  return strategy.accepts(desc, kPass<D>, limits);
}

/// The two directions of a layer: alike but for the way they go.
template <class D, const ScanStrategy& strategy>
bool pairs(const op::AnyDesc& any, const op::AnyDesc& other) {
  const op::RecurrentDesc &a = std::get<D>(any), &b = std::get<D>(other);
  const bool can = kPass<D> == Pass::forward ? strategy.forward_pair != nullptr : strategy.backward_pair != nullptr;
  return can && a.direction != b.direction && a.cell == b.cell && a.precision == b.precision && a.T == b.T &&
         a.N == b.N && a.I == b.I && a.H == b.H && a.R == b.R && a.training == b.training && a.T > 0 && a.N > 0 &&
         a.H > 0;
}

template <class D, const ScanStrategy& strategy>
Implementation row() {
  return {strategy.name,
          accepts<D, strategy>,
          [](const op::AnyDesc& any, const Limits& limits) {
            return recurrent_workspace(std::get<D>(any), strategy, limits);
          },
          kPass<D> == Pass::backward
              ? nullptr
              : +[](const op::AnyDesc& any, const Limits&) { return lay_out_reserve(std::get<D>(any), nullptr).bytes; },
          [](const op::AnyDesc& any, const Arguments& a) { recurrent(std::get<D>(any), strategy, a); },
          pairs<D, strategy>,
          [](const op::AnyDesc& any, const Arguments& a, const op::AnyDesc& other, const Arguments& b) {
            recurrent_pair({std::get<D>(any), std::get<D>(other)}, strategy, {a, b});
          }};
}

template <class D, const ScanStrategy&... best_first>
void add_rows(OpTable& table) {
  (table.of<D>().push_back(row<D, best_first>()), ...);
}

}  // namespace

void add_recurrent(OpTable& table) {
  add_rows<op::RecurrentForwardDesc, kClusterPersistent, kGridPersistent, kStepwise>(table);
  add_rows<op::RecurrentBackwardDesc, kClusterPersistent, kGridPersistent, kStepwise>(table);
}

}  // namespace seqgpu::device::cuda
