#include "emulated/tensor.hpp"

#include "emulator/grid.hpp"

namespace emulator {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

struct MmaRequest {
  float d[4];
  std::uint32_t a[4], b[2];
};

const MmaRequest& request_of(void* const* payloads, int lane) { return *static_cast<MmaRequest*>(payloads[lane]); }

std::uint16_t half_of(std::uint32_t pair, int half) { return static_cast<std::uint16_t>(pair >> (16 * half)); }

// D += A B for all lanes; A[16][K] and B[K][8] have been gathered.
template <int K>
void multiply(void* const* payloads, const float (&a)[16][K], const float (&b)[K][8]) {
  for (int lane = 0; lane < 32; ++lane) {
    MmaRequest& mine = *static_cast<MmaRequest*>(payloads[lane]);
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      for (int k = 0; k < K; ++k) mine.d[i] += a[row][k] * b[k][column];
    }
  }
}

void answer_bf16(void* const* payloads, unsigned) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const MmaRequest& from = request_of(payloads, lane);
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][2 * t + 8 * (i / 2) + half] = from_bf16(half_of(from.a[i], half));
      for (int i = 0; i < 2; ++i) b[2 * t + 8 * i + half][g] = from_bf16(half_of(from.b[i], half));
    }
  }
  multiply<16>(payloads, a, b);
}

void answer_tf32(void* const* payloads, unsigned) {
  const auto value = [](std::uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000u); };
  float a[16][8], b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const MmaRequest& from = request_of(payloads, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = value(from.a[i]);
    for (int i = 0; i < 2; ++i) b[t + 4 * i][g] = value(from.b[i]);
  }
  multiply<8>(payloads, a, b);
}

void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1, const char* name,
         Answer answer, const Where& where) {
  MmaRequest request{{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b0, b1}};
  warp_collective(kAllLanes, name, &request, answer, here(where));
  for (int i = 0; i < 4; ++i) d[i] = request.d[i];
}

struct TransposeRequest {
  std::uint32_t pair, transposed;
};

void answer_transpose(void* const* payloads, unsigned) {
  const auto element = [&](int row, int column) {
    return half_of(static_cast<TransposeRequest*>(payloads[row * 4 + column / 2])->pair, column % 2);
  };
  for (int lane = 0; lane < 32; ++lane) {
    const int row = lane / 4, column = 2 * (lane % 4);
    static_cast<TransposeRequest*>(payloads[lane])->transposed =
        element(column, row) | std::uint32_t{element(column + 1, row)} << 16;
  }
}

}  // namespace

void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                       const Where& where) {
  mma(d, a, b0, b1, "mma.m16n8k16", answer_bf16, where);
}

void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                      const Where& where) {
  mma(d, a, b0, b1, "mma.m16n8k8", answer_tf32, where);
}

std::uint32_t movmatrix_trans(std::uint32_t pair, const Where& where) {
  TransposeRequest request{pair, 0};
  warp_collective(kAllLanes, "movmatrix", &request, answer_transpose, here(where));
  return request.transposed;
}

}  // namespace emulator
