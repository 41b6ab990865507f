#include "cudnn_layer.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>

namespace seqgpu::benchmark {

namespace {

template <class T, class Convert>
DeviceMemory upload(const std::vector<float>& values, Convert convert) {
  std::vector<T> converted;
  converted.reserve(values.size());
  for (const float v : values) converted.push_back(convert(v));
  DeviceMemory memory(values.size() * sizeof(T));
  check(cudaMemcpy(memory.data(), converted.data(), memory.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  return memory;
}

std::size_t size_of(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT ? 4 : 2; }

bool is_refusal(cudnnStatus_t status) {
  // Sub-codes of cuDNN 9: 2000s are bad parameters, 3000s not supported. The RNN calls use both to refuse.
  const int code = static_cast<int>(status);
  return status == CUDNN_STATUS_NOT_SUPPORTED || status == CUDNN_STATUS_BAD_PARAM || (code >= 2000 && code < 4000);
}

}  // namespace

CudnnError::CudnnError(cudnnStatus_t status, const char* what)
    : std::runtime_error(std::string(what) + ": " + cudnnGetErrorString(status)), unsupported(is_refusal(status)) {}

void check(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS) throw CudnnError(status, what);
}

RandomPool::RandomPool(std::size_t elements, float scale, std::uint32_t seed) {
  std::vector<float> values(elements);
  for (float& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = scale * (static_cast<float>(seed >> 8) * 0x1p-23f - 1.f);
  }
  f32_ = upload<float>(values, [](float v) { return v; });
  f16_ = upload<__half>(values, [](float v) { return __float2half(v); });
  bf16_ = upload<__nv_bfloat16>(values, [](float v) { return __float2bfloat16(v); });
}

const std::byte* RandomPool::in(cudnnDataType_t type) const {
  if (type == CUDNN_DATA_FLOAT) return f32_.data<std::byte>();
  return type == CUDNN_DATA_HALF ? f16_.data<std::byte>() : bf16_.data<std::byte>();
}

CudnnLayer::CudnnLayer(cudnnHandle_t handle, cudaStream_t stream, const Workload& w, const CudnnAlgorithm& algorithm,
                       const CudnnPrecision& precision, bool training, const RandomPool& x, const RandomPool& weights)
    : handle_(handle),
      stream_(stream),
      w_(w),
      type_(precision.data),
      element_(size_of(precision.data)),
      mode_(training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE),
      x_(x.in(precision.data)) {
  check(cudnnSetDropoutDescriptor(dropout_, handle, 0.f, nullptr, 0, 0), "cudnnSetDropoutDescriptor");
  check(cudnnSetRNNDescriptor_v8(rnn_, algorithm.algorithm, w.cell == "gru" ? CUDNN_GRU : CUDNN_LSTM,
                                 CUDNN_RNN_DOUBLE_BIAS, w.directions == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL,
                                 CUDNN_LINEAR_INPUT, type_, CUDNN_DATA_FLOAT, precision.math, w.I, w.H, w.H, 1,
                                 dropout_, CUDNN_RNN_PADDED_IO_DISABLED),
        "cudnnSetRNNDescriptor_v8");
  const std::vector<int> lengths(static_cast<std::size_t>(w.N), w.T);
  lengths_ = DeviceMemory(lengths.size() * sizeof(int));
  check(cudaMemcpy(lengths_.data(), lengths.data(), lengths_.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  const auto describe = [&](cudnnRNNDataDescriptor_t desc, int width) {
    check(cudnnSetRNNDataDescriptor(desc, type_, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED, w.T, w.N, width,
                                    lengths.data(), nullptr),
          "cudnnSetRNNDataDescriptor");
  };
  describe(x_desc_, w.I);
  describe(y_desc_, w.directions * w.H);
  const int extents[] = {w.directions, w.N, w.H}, strides[] = {w.N * w.H, w.H, 1};
  check(cudnnSetTensorNdDescriptor(state_desc_, type_, 3, extents, strides), "cudnnSetTensorNdDescriptor");
  if (algorithm.algorithm == CUDNN_RNN_ALGO_PERSIST_DYNAMIC) {
    check(cudnnBuildRNNDynamic(handle, rnn_, w.N), "cudnnBuildRNNDynamic");
  }

  std::size_t weight_bytes = 0, work_bytes = 0, reserve_bytes = 0;
  check(cudnnGetRNNWeightSpaceSize(handle, rnn_, &weight_bytes), "cudnnGetRNNWeightSpaceSize");
  check(cudnnGetRNNTempSpaceSizes(handle, rnn_, mode_, x_desc_, &work_bytes, &reserve_bytes),
        "cudnnGetRNNTempSpaceSizes");
  const std::size_t steps = static_cast<std::size_t>(w.T) * static_cast<std::size_t>(w.N);
  y_ = DeviceMemory(steps * static_cast<std::size_t>(w.directions * w.H) * element_);
  weights_ = DeviceMemory(weight_bytes);
  workspace_ = DeviceMemory(work_bytes);
  if (training) {
    dx_ = DeviceMemory(steps * static_cast<std::size_t>(w.I) * element_);
    gradients_ = DeviceMemory(weight_bytes);
    reserve_ = DeviceMemory(reserve_bytes);
  }
  place_weights(weights);
}

// Each matrix from its own place in the pool, so that all algorithms and types compute the same; biases are zero.
void CudnnLayer::place_weights(const RandomPool& weights) {
  check(cudaMemsetAsync(weights_.data(), 0, weights_.bytes(), stream_), "cudaMemsetAsync");
  const std::byte* source = weights.in(type_);
  const int matrices = w_.cell == "gru" ? 6 : 8;
  Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> matrix, bias;
  for (int direction = 0; direction < w_.directions; ++direction) {
    for (int i = 0; i < matrices; ++i) {
      void *at = nullptr, *bias_at = nullptr;
      check(cudnnGetRNNWeightParams(handle_, rnn_, direction, weights_.bytes(), weights_.data(), i, matrix, &at, bias,
                                    &bias_at),
            "cudnnGetRNNWeightParams");
      const std::size_t width = static_cast<std::size_t>(i < matrices / 2 ? w_.I : w_.H);
      const std::size_t bytes = static_cast<std::size_t>(w_.H) * width * element_;
      check(cudaMemcpyAsync(at, source, bytes, cudaMemcpyDeviceToDevice, stream_), "cudaMemcpyAsync");
      source += bytes;
    }
  }
  check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void CudnnLayer::forward() {
  check(cudnnRNNForward(handle_, rnn_, mode_, lengths_.data<int>(), x_desc_, x_, y_desc_, y_.data(), state_desc_,
                        nullptr, nullptr, state_desc_, nullptr, nullptr, weights_.bytes(), weights_.data(),
                        workspace_.bytes(), workspace_.data(), reserve_.bytes(), reserve_.data()),
        "cudnnRNNForward");
}

void CudnnLayer::train() {
  forward();
  const std::byte* dy = x_;  // any random numbers do
  check(cudnnRNNBackwardData_v8(handle_, rnn_, lengths_.data<int>(), y_desc_, y_.data(), dy, x_desc_, dx_.data(),
                                state_desc_, nullptr, nullptr, nullptr, state_desc_, nullptr, nullptr, nullptr,
                                weights_.bytes(), weights_.data(), workspace_.bytes(), workspace_.data(),
                                reserve_.bytes(), reserve_.data()),
        "cudnnRNNBackwardData_v8");
  check(cudaMemsetAsync(gradients_.data(), 0, gradients_.bytes(), stream_), "cudaMemsetAsync");  // cuDNN adds to them
  check(cudnnRNNBackwardWeights_v8(handle_, rnn_, CUDNN_WGRAD_MODE_ADD, lengths_.data<int>(), x_desc_, x_, state_desc_,
                                   nullptr, y_desc_, y_.data(), gradients_.bytes(), gradients_.data(),
                                   workspace_.bytes(), workspace_.data(), reserve_.bytes(), reserve_.data()),
        "cudnnRNNBackwardWeights_v8");
}

std::vector<float> CudnnLayer::first_and_last() const {
  const std::size_t row = static_cast<std::size_t>(w_.N) * static_cast<std::size_t>(w_.directions * w_.H);
  std::vector<std::byte> bytes(2 * row * element_);
  const std::byte* last = y_.data<std::byte>() + y_.bytes() - row * element_;
  check(cudaMemcpy(bytes.data(), y_.data(), row * element_, cudaMemcpyDeviceToHost), "cudaMemcpy");
  check(cudaMemcpy(bytes.data() + row * element_, last, row * element_, cudaMemcpyDeviceToHost), "cudaMemcpy");
  std::vector<float> values(2 * row);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::byte* at = bytes.data() + i * element_;
    if (type_ == CUDNN_DATA_FLOAT) {
      std::memcpy(&values[i], at, 4);
    } else if (type_ == CUDNN_DATA_HALF) {
      __half half;
      std::memcpy(&half, at, 2);
      values[i] = __half2float(half);
    } else {
      __nv_bfloat16 brain;
      std::memcpy(&brain, at, 2);
      values[i] = __bfloat162float(brain);
    }
  }
  return values;
}

}  // namespace seqgpu::benchmark
