#pragma once

#include "kernels/recurrent/cluster_tile.cuh"

// The products of `cluster-persistent` in f32: weights in registers, fused multiply-adds.
//
// Forward: 8 neighbouring lanes share a unit. Lane i of them holds the unit's weights at every k with k/4 % 8 == i, so
// that the 8 lanes read 128 consecutive bytes of h, and the 4 units of a warp read the same. Several sequences go
// together so that the 8 lanes have 8 sums to add up and each ends with one.
//
// Backward: the same with rows and columns exchanged: lanes share a column of every block of the cluster, the sum runs
// over the block's own (gate, unit) rows. Each lane ends with a partial d h of one sequence and destination; four
// neighbouring columns make a packet.
namespace seqgpu::kernels {

template <int G, int padded>
struct ClusterF32ForwardProduct {
  static constexpr int kGates = G, kPadded = padded, kBlocks = padded / kClusterUnits, kParts = 1;
  static constexpr int kPacketUnits = 4;
  static constexpr int kSlice = padded / 8;  // of k, per lane
  static constexpr int kGateSlots = G == 3 ? 4 : G;
  static constexpr int kTogether = 8 / kGateSlots;  // sequences
  using Element = float;

  float weights[G][kSlice];

  __device__ static float element(float value) { return value; }
  __device__ static constexpr int index(int n, int unit) { return n * padded + unit; }

  __device__ ClusterF32ForwardProduct(const float* w_hh, std::int64_t H, unsigned rank) {
    const int lane = static_cast<int>(threadIdx.x) % 8;
    const std::int64_t unit = static_cast<std::int64_t>(rank) * kClusterUnits + threadIdx.x / 8;
#pragma unroll
    for (int i = 0; i < kSlice; ++i) {
      const int k = (i / 4 * 8 + lane) * 4 + i % 4;
#pragma unroll
      for (int g = 0; g < G; ++g) weights[g][i] = unit < H && k < H ? w_hh[(unit * G + g) * H + k] : 0.f;
    }
  }

  __device__ void multiply(const float* hidden, float* partial, int count) const {
    const int lane = static_cast<int>(threadIdx.x) % 8, unit = static_cast<int>(threadIdx.x) / 8;
#pragma unroll 1
    for (int first = 0; first < count; first += kTogether) {
      float sums[8] = {};
#pragma unroll
      for (int i = 0; i < kSlice; i += 4)
#pragma unroll
        for (int n = 0; n < kTogether; ++n) {
          const float4 h = *reinterpret_cast<const float4*>(hidden + index(first + n, (i / 4 * 8 + lane) * 4));
#pragma unroll
          for (int g = 0; g < G; ++g) {
            float& sum = sums[n * kGateSlots + g];
            sum = fmaf(weights[g][i], h.x, sum);
            sum = fmaf(weights[g][i + 1], h.y, sum);
            sum = fmaf(weights[g][i + 2], h.z, sum);
            sum = fmaf(weights[g][i + 3], h.w, sum);
          }
        }
      const float sum = sum_over_8_lanes(sums, lane);
      const int n = first + lane / kGateSlots, g = lane % kGateSlots;
      if (g < G) partial[n * cluster_sequence_stride(G) + g * kClusterGateStride + unit] = sum;
    }
  }

  __device__ static float sum(const float* partial, int n, int g, int unit) {
    return partial[n * cluster_sequence_stride(G) + g * kClusterGateStride + unit];
  }

  /// The values of 4 neighbouring lanes, in each of them.
  __device__ static uint4 gather(float value, int lane) {
    const unsigned bits = __float_as_uint(value);
    const auto from = [&](int i) { return __shfl_sync(0xffffffffu, bits, (lane & ~3) + i); };
    uint4 packet;
    packet.x = from(0);
    packet.y = from(1);
    packet.z = from(2);
    packet.w = from(3);
    return packet;
  }
};

template <int G, int padded>
struct ClusterF32BackwardProduct {
  static constexpr int kGates = G, kPadded = padded, kBlocks = padded / kClusterUnits;
  static constexpr int kSlice = 4 * G;                             // of the block's rows, per lane
  static constexpr int kTogether = kBlocks < 8 ? 8 / kBlocks : 1;  // sequences
  static constexpr int kRounds = kTogether * kBlocks / 8;
  using Element = float;

  float weights[kBlocks][kSlice];

  __device__ static float element(float value) { return value; }
  /// Of d rh in shared memory.
  __device__ static constexpr int index(int n, int g, int unit) { return (n * G + g) * kClusterUnits + unit; }
  /// Of what one block sent.
  __device__ static constexpr int received_index(int n, int unit) { return n * kClusterUnits + unit; }
  /// What a block receives in a step.
  __device__ static constexpr unsigned received_bytes(int count) { return kBlocks * count * kClusterUnits * 4; }

  __device__ ClusterF32BackwardProduct(const float* w_hh, std::int64_t H, unsigned rank) {
    const int lane = static_cast<int>(threadIdx.x) % 8, column = static_cast<int>(threadIdx.x) / 8;
#pragma unroll
    for (int i = 0; i < kSlice; ++i) {
      const int row = (i / 4 * 8 + lane) * 4 + i % 4, g = row / kClusterUnits;
      const std::int64_t unit = static_cast<std::int64_t>(rank) * kClusterUnits + row % kClusterUnits;
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        const int k = block * kClusterUnits + column;
        weights[block][i] = unit < H && k < H ? w_hh[(unit * G + g) * H + k] : 0.f;
      }
    }
  }

  /// Partial d h of all units, each to the block that owns the unit.
  __device__ void push(const float* d_rh, float* received, std::uint64_t* full, int count, unsigned rank) const {
    const int warp = static_cast<int>(threadIdx.x) / 32, group = static_cast<int>(threadIdx.x) % 32 / 8;
    const int lane = static_cast<int>(threadIdx.x) % 8;
#pragma unroll 1
    for (int first = 0; first < count; first += kTogether) {
      float sums[kRounds][8] = {};
#pragma unroll
      for (int i = 0; i < kSlice; i += 4)
#pragma unroll
        for (int n = 0; n < kTogether; ++n) {
          const int at = (first + n) * G * kClusterUnits + (i / 4 * 8 + lane) * 4;
          const float4 d = *reinterpret_cast<const float4*>(d_rh + at);
#pragma unroll
          for (int block = 0; block < kBlocks; ++block) {
            float& sum = sums[(n * kBlocks + block) / 8][(n * kBlocks + block) % 8];
            sum = fmaf(weights[block][i], d.x, sum);
            sum = fmaf(weights[block][i + 1], d.y, sum);
            sum = fmaf(weights[block][i + 2], d.z, sum);
            sum = fmaf(weights[block][i + 3], d.w, sum);
          }
        }
#pragma unroll
      for (int round = 0; round < kRounds; ++round) {
        const unsigned bits = __float_as_uint(sum_over_8_lanes(sums[round], lane));
        const auto from = [&](int i) { return __shfl_sync(0xffffffffu, bits, i * 8 + lane); };
        uint4 packet;
        packet.x = from(0);
        packet.y = from(1);
        packet.z = from(2);
        packet.w = from(3);
        const int n = first + (round * 8 + lane) / kBlocks, block = (round * 8 + lane) % kBlocks;
        if (group == 0 && n < count) {
          float* const to = received + rank * kClusterTile * kClusterUnits + received_index(n, warp * 4);
          store_async_16(map_shared(to, block), packet, map_shared(full, block));
        }
      }
    }
  }
};

}  // namespace seqgpu::kernels
