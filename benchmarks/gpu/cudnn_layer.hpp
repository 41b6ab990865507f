#pragma once

#include <cudnn.h>

#include <memory>
#include <type_traits>

#include "cuda_timer.hpp"
#include "expected.hpp"
#include "support.hpp"

// Recurrent layers of cuDNN with algorithm, type and mathematics forced.
namespace seqgpu::benchmark {

/// What cuDNN answered; `unsupported` tells a refusal from a failure.
struct CudnnError : std::runtime_error {
  CudnnError(cudnnStatus_t status, const char* what);
  bool unsupported;
};
void check(cudnnStatus_t status, const char* what);

struct CudnnAlgorithm {
  const char* name;
  cudnnRNNAlgo_t algorithm;
};
inline constexpr CudnnAlgorithm kStandard{"STANDARD", CUDNN_RNN_ALGO_STANDARD};
inline constexpr CudnnAlgorithm kPersistStatic{"PERSIST_STATIC", CUDNN_RNN_ALGO_PERSIST_STATIC};
inline constexpr CudnnAlgorithm kPersistSmall{"PERSIST_STATIC_SMALL_H", CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H};
inline constexpr CudnnAlgorithm kPersistDynamic{"PERSIST_DYNAMIC", CUDNN_RNN_ALGO_PERSIST_DYNAMIC};

struct CudnnPrecision {
  const char* name;
  cudnnDataType_t data;
  cudnnMathType_t math;
  double tolerance;  // of each tensor's norm: gross faults only
};
inline constexpr CudnnPrecision kF32{"f32", CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, 1e-4};
inline constexpr CudnnPrecision kTf32{"tf32", CUDNN_DATA_FLOAT, CUDNN_DEFAULT_MATH, 1e-2};
inline constexpr CudnnPrecision kF16{"f16", CUDNN_DATA_HALF, CUDNN_TENSOR_OP_MATH, 2e-2};
inline constexpr CudnnPrecision kBf16{"bf16", CUDNN_DATA_BFLOAT16, CUDNN_DEFAULT_MATH, 6e-2};

/// Numbers on the device in each type: sources of x, dy and the weights.
class NumberPool {
 public:
  explicit NumberPool(const std::vector<float>& values);
  const std::byte* in(cudnnDataType_t type) const;

 private:
  DeviceMemory f32_, f16_, bf16_;
};

/// All weights of a workload, with the numbers that all contestants make by PyTorch's names of them: for each layer and
/// direction w_ih [G*H, inputs], w_hh [G*H, H], b_ih [G*H], b_hh [G*H].
std::vector<float> weight_numbers(const Workload& w);

/// A cuDNN object that destroys itself.
template <class Handle, cudnnStatus_t (*create)(Handle*), cudnnStatus_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() { check(create(&handle_), "cudnnCreate"); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { destroy(handle_); }
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using CudnnHandle = Owned<cudnnHandle_t, cudnnCreate, cudnnDestroy>;

/// What a layer reads, in all types. x and dy are as long as the longest workload needs; a shorter one takes the head.
struct CudnnNumbers {
  const NumberPool &x, &dy, &weights;
};

class CudnnLayer {
 public:
  /// @param numbers  outlive the layer
  /// @throws CudnnError where this combination is refused
  CudnnLayer(cudnnHandle_t handle, cudaStream_t stream, const Workload& w, const CudnnAlgorithm& algorithm,
             const CudnnPrecision& precision, bool training, const CudnnNumbers& numbers);

  /// Enqueues y = layer(x).
  void forward();
  /// Enqueues forward, dx and the weights' gradients.
  void train();
  /// y, or in training all gradients, once the stream is idle.
  Results results() const;

 private:
  /// body(name, host index of its first number, address in `space`, elements) for each part of a weight.
  template <class Body>
  void each_weight(const DeviceMemory& space, Body&& body) const;
  void place_weights(const NumberPool& weights);
  std::vector<float> download(const void* from, std::size_t elements) const;

  cudnnHandle_t handle_;
  cudaStream_t stream_;
  Workload w_;
  cudnnDataType_t type_;
  std::size_t element_;  // bytes
  cudnnForwardMode_t mode_;
  const std::byte *x_, *given_;
  Owned<cudnnRNNDescriptor_t, cudnnCreateRNNDescriptor, cudnnDestroyRNNDescriptor> rnn_;
  Owned<cudnnDropoutDescriptor_t, cudnnCreateDropoutDescriptor, cudnnDestroyDropoutDescriptor> dropout_;
  Owned<cudnnRNNDataDescriptor_t, cudnnCreateRNNDataDescriptor, cudnnDestroyRNNDataDescriptor> x_desc_, y_desc_;
  Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> state_desc_;
  DeviceMemory lengths_, y_, dx_, weights_, gradients_, workspace_, reserve_;
};

}  // namespace seqgpu::benchmark
