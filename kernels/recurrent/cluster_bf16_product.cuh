#pragma once

#include "kernels/recurrent/cluster_tile.cuh"

// The products of `cluster-persistent` in bf16 by mma.m16n8k16: weights as A fragments in registers, the tile's 8
// sequences as the 8 columns of B, f32 sums.
//
// Fragments. With g = lane / 4 and q = lane % 4, a thread holds A rows g and g+8 at k = 2q, 2q+1, 2q+8, 2q+9; B at the
// same k of column g; and sums of rows g and g+8, columns 2q and 2q+1. The order of k is free as long as A and B agree,
// so B is kept as packets of 8 neighbouring k of one column, and k pairs (2q, 2q+8) of two products of 16 are the
// packet's four pairs: thread (g, q) gets its B fragments for 32 k by one 16-byte load of packet (4c + q, g).
// Packets lie at block * 8 + (column ^ 2 * (block % 4)), where neither that load nor the writes share a bank.
//
// Forward: row f of 2G in a warp's tiles is gate f % G of units 8*(f / G)..+7, so that G tiles of 16 rows hold all
// gates of 16 units. Two warps cover the block's 32 units; the other warps take other parts of k. Backward: rows are
// units of the whole layer, k runs over the block's (gate, unit) rows; a warp has all of k.
namespace seqgpu::kernels {

/// Element of a packet buffer: k and column -> index.
__device__ constexpr int cluster_packet_index(int column, int k) {
  const int block = k / 8;
  return (block * 8 + (column ^ (2 * (block & 3)))) * 8 + k % 8;
}

template <int G, int padded>
struct ClusterBf16ForwardProduct {
  static constexpr int kGates = G, kPadded = padded, kBlocks = padded / kClusterUnits;
  static constexpr int kParts = cluster_forward_parts(Precision::bf16, padded);
  static constexpr int kPacketUnits = 8;
  static constexpr int kChunks = padded / 32 / kParts;  // of 32 k, per warp
  using Element = std::uint16_t;

  unsigned weights[kChunks][2][G][4];

  __device__ static Element element(float value) { return static_cast<Element>(pack_bf16x2(value, 0.f)); }
  __device__ static constexpr int index(int n, int unit) { return cluster_packet_index(n, unit); }

  __device__ ClusterBf16ForwardProduct(const float* w_hh, std::int64_t H, unsigned rank) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int part = warp / 2;
    if (part >= kParts) return;
    const auto weight = [&](std::int64_t unit, int gate, int k) {
      return unit < H && k < H ? w_hh[(unit * G + gate) * H + k] : 0.f;
    };
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      __syncwarp();  // bounds the loads in flight, and with them the registers
#pragma unroll
      for (int s = 0; s < 2; ++s)
#pragma unroll
        for (int tile = 0; tile < G; ++tile)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int row = 2 * tile + i % 2, gate = row % G;
            const int local = warp % 2 * 16 + row / G * 8 + lane / 4;
            const std::int64_t unit = static_cast<std::int64_t>(rank) * kClusterUnits + local;
            const int k = (part * kChunks + c) * 32 + lane % 4 * 8 + s * 4 + i / 2 * 2;
            weights[c][s][tile][i] = pack_bf16x2(weight(unit, gate, k), weight(unit, gate, k + 1));
          }
    }
  }

  __device__ void multiply(const Element* hidden, float* partial, int) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int part = warp / 2;
    if (part >= kParts) return;
    float sums[G][4] = {};
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int k = ((part * kChunks + c) * 4 + lane % 4) * 8;
      const uint4 b = *reinterpret_cast<const uint4*>(hidden + cluster_packet_index(lane / 4, k));
#pragma unroll
      for (int tile = 0; tile < G; ++tile) mma_m16n8k16_bf16(sums[tile], weights[c][0][tile], b.x, b.y);
#pragma unroll
      for (int tile = 0; tile < G; ++tile) mma_m16n8k16_bf16(sums[tile], weights[c][1][tile], b.z, b.w);
    }
#pragma unroll
    for (int tile = 0; tile < G; ++tile)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = 2 * tile + i / 2, n = lane % 4 * 2 + i % 2;
        const int unit = warp % 2 * 16 + row / G * 8 + lane / 4;
        partial[at(part, n, row % G, unit)] = sums[tile][i];
      }
  }

  __device__ static constexpr int at(int part, int n, int g, int unit) {
    return (part * kClusterTile + n) * cluster_sequence_stride(G) + g * kClusterGateStride + unit;
  }

  __device__ static float sum(const float* partial, int n, int g, int unit) {
    float sum = partial[at(0, n, g, unit)];
#pragma unroll
    for (int part = 1; part < kParts; ++part) sum += partial[at(part, n, g, unit)];
    return sum;
  }

  /// The values of 8 neighbouring lanes, in each of them.
  __device__ static uint4 gather(float value, int lane) {
    const float neighbour = __shfl_xor_sync(0xffffffffu, value, 1);
    const unsigned pair = lane % 2 == 0 ? pack_bf16x2(value, neighbour) : pack_bf16x2(neighbour, value);
    const auto from = [&](int i) { return __shfl_sync(0xffffffffu, pair, (lane & ~7) + 2 * i); };
    uint4 packet;
    packet.x = from(0);
    packet.y = from(1);
    packet.z = from(2);
    packet.w = from(3);
    return packet;
  }
};

template <int G, int padded>
struct ClusterBf16BackwardProduct {
  static constexpr int kGates = G, kPadded = padded, kBlocks = padded / kClusterUnits;
  static constexpr int kTiles = padded / 16;  // of 16 units
  static constexpr int kTilesPerWarp = kTiles < 8 ? 1 : kTiles / 8;
  using Element = std::uint16_t;

  unsigned weights[kTilesPerWarp][G][2][4];

  __device__ static Element element(float value) { return static_cast<Element>(pack_bf16x2(value, 0.f)); }
  /// Of d rh in shared memory; k is g * 32 + unit.
  __device__ static constexpr int index(int n, int g, int unit) {
    return cluster_packet_index(n, g * kClusterUnits + unit);
  }
  /// What a block receives in a step: all 8 columns, whatever the tile.
  __device__ static constexpr unsigned received_bytes(int) { return kPadded * kClusterTile * 4; }

  /// Of what one block sent: packets of the sums of one thread, tile by tile; q first, so that lanes that read one
  /// column meet different banks, and in odd tiles with the columns of a pair exchanged, so that tiles do too.
  __device__ static constexpr int packet_index(int tile, int lane) {
    return tile * 128 + (lane % 4 * 8 + lane / 4) * 4;
  }
  __device__ static constexpr int received_index(int n, int unit) {
    const int tile = unit / 16, row = unit % 16;
    return packet_index(tile, row % 8 * 4 + n / 2) + row / 8 * 2 + (n % 2 ^ tile);
  }

  __device__ ClusterBf16BackwardProduct(const float* w_hh, std::int64_t H, unsigned rank) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    if (warp >= kTiles) return;
    const auto weight = [&](int local, int gate, int k) {
      const std::int64_t unit = static_cast<std::int64_t>(rank) * kClusterUnits + local;
      return unit < H && k < H ? w_hh[(unit * G + gate) * H + k] : 0.f;
    };
#pragma unroll
    for (int m = 0; m < kTilesPerWarp; ++m) {
      __syncwarp();  // bounds the loads in flight, and with them the registers
#pragma unroll
      for (int g = 0; g < G; ++g)
#pragma unroll
        for (int s = 0; s < 2; ++s)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int column = (warp * kTilesPerWarp + m) * 16 + i % 2 * 8 + lane / 4;
            const int local = lane % 4 * 8 + s * 4 + i / 2 * 2;
            weights[m][g][s][i] = pack_bf16x2(weight(local, g, column), weight(local + 1, g, column));
          }
    }
  }

  /// Partial d h of all units, each to the block that owns the unit.
  __device__ void push(const Element* d_rh, float* received, std::uint64_t* full, int, unsigned rank) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    if (warp >= kTiles) return;
    float sums[kTilesPerWarp][4] = {};
#pragma unroll
    for (int g = 0; g < G; ++g) {
      const int k = (g * 4 + lane % 4) * 8;
      const uint4 b = *reinterpret_cast<const uint4*>(d_rh + cluster_packet_index(lane / 4, k));
#pragma unroll
      for (int m = 0; m < kTilesPerWarp; ++m) mma_m16n8k16_bf16(sums[m], weights[m][g][0], b.x, b.y);
#pragma unroll
      for (int m = 0; m < kTilesPerWarp; ++m) mma_m16n8k16_bf16(sums[m], weights[m][g][1], b.z, b.w);
    }
#pragma unroll
    for (int m = 0; m < kTilesPerWarp; ++m) {
      const int tile = warp * kTilesPerWarp + m, block = tile / 2, local = tile % 2;
      const bool odd = local != 0;
      uint4 packet;
      packet.x = __float_as_uint(odd ? sums[m][1] : sums[m][0]);
      packet.y = __float_as_uint(odd ? sums[m][0] : sums[m][1]);
      packet.z = __float_as_uint(odd ? sums[m][3] : sums[m][2]);
      packet.w = __float_as_uint(odd ? sums[m][2] : sums[m][3]);
      float* const to = received + rank * kClusterTile * kClusterUnits + packet_index(local, lane);
      store_async_16(map_shared(to, block), packet, map_shared(full, block));
    }
  }
};

}  // namespace seqgpu::kernels
