#include "cudnn_layer.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <array>
#include <cmath>
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

cudnnRNNMode_t mode_of(const Workload& w) {
  if (w.cell == "lstm") return CUDNN_LSTM;
  if (w.cell == "gru") return CUDNN_GRU;
  if (w.cell == "elman") return CUDNN_RNN_TANH;
  throw std::runtime_error("no such cell: " + w.cell);
}

/// The four tensors of one layer and direction, in the order of weight_numbers().
struct Tensor {
  std::string name;
  std::size_t rows, columns;
  std::size_t elements() const { return rows * columns; }
};
std::array<Tensor, 4> tensors_of(const Workload& w, int layer, int direction) {
  const std::string end = "_l" + std::to_string(layer) + (direction == 0 ? "" : "_reverse");
  const auto H = static_cast<std::size_t>(w.H), GH = static_cast<std::size_t>(w.gates()) * H;
  return {{{"rnn.weight_ih" + end, GH, static_cast<std::size_t>(w.inputs(layer))},
           {"rnn.weight_hh" + end, GH, H},
           {"rnn.bias_ih" + end, GH, 1},
           {"rnn.bias_hh" + end, GH, 1}}};
}

}  // namespace

std::vector<float> weight_numbers(const Workload& w) {
  std::vector<float> all;
  for (int layer = 0; layer < w.layers; ++layer) {
    for (int direction = 0; direction < w.directions; ++direction) {
      for (const Tensor& tensor : tensors_of(w, layer, direction)) {
        const auto values = random_values(tensor.name, tensor.elements(), 1.f / std::sqrt(static_cast<float>(w.H)));
        all.insert(all.end(), values.begin(), values.end());
      }
    }
  }
  return all;
}

CudnnError::CudnnError(cudnnStatus_t status, const char* what)
    : std::runtime_error(std::string(what) + ": " + cudnnGetErrorString(status)), unsupported(is_refusal(status)) {}

void check(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS) throw CudnnError(status, what);
}

NumberPool::NumberPool(const std::vector<float>& values) {
  f32_ = upload<float>(values, [](float v) { return v; });
  f16_ = upload<__half>(values, [](float v) { return __float2half(v); });
  bf16_ = upload<__nv_bfloat16>(values, [](float v) { return __float2bfloat16(v); });
}

const std::byte* NumberPool::in(cudnnDataType_t type) const {
  if (type == CUDNN_DATA_FLOAT) return f32_.data<std::byte>();
  return type == CUDNN_DATA_HALF ? f16_.data<std::byte>() : bf16_.data<std::byte>();
}

CudnnLayer::CudnnLayer(cudnnHandle_t handle, cudaStream_t stream, const Workload& w, const CudnnAlgorithm& algorithm,
                       const CudnnPrecision& precision, bool training, const CudnnNumbers& numbers)
    : handle_(handle),
      stream_(stream),
      w_(w),
      type_(precision.data),
      element_(size_of(precision.data)),
      mode_(training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE),
      x_(numbers.x.in(precision.data)),
      given_(numbers.dy.in(precision.data)) {
  check(cudnnSetDropoutDescriptor(dropout_, handle, 0.f, nullptr, 0, 0), "cudnnSetDropoutDescriptor");
  check(cudnnSetRNNDescriptor_v8(rnn_, algorithm.algorithm, mode_of(w), CUDNN_RNN_DOUBLE_BIAS,
                                 w.directions == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT,
                                 type_, CUDNN_DATA_FLOAT, precision.math, w.I, w.H, w.H, w.layers, dropout_,
                                 w.ragged ? CUDNN_RNN_PADDED_IO_ENABLED : CUDNN_RNN_PADDED_IO_DISABLED),
        "cudnnSetRNNDescriptor_v8");
  const std::vector<std::int32_t> lengths = w.lengths();
  lengths_ = DeviceMemory(lengths.size() * sizeof(std::int32_t));
  check(cudaMemcpy(lengths_.data(), lengths.data(), lengths_.bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  // Sequences of any length in any order take the padded layout, which cuDNN fills with zeros past each length.
  const auto layout = w.ragged ? CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED : CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED;
  float zero = 0;  // all types' zero
  const auto describe = [&](cudnnRNNDataDescriptor_t desc, int width) {
    check(cudnnSetRNNDataDescriptor(desc, type_, layout, w.T, w.N, width, lengths.data(), &zero),
          "cudnnSetRNNDataDescriptor");
  };
  describe(x_desc_, w.I);
  describe(y_desc_, w.directions * w.H);
  const int extents[] = {w.layers * w.directions, w.N, w.H}, strides[] = {w.N * w.H, w.H, 1};
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
  place_weights(numbers.weights);
}

// cuDNN keeps a matrix and a bias for each gate: gates of the input first, then those of h, in PyTorch's order.
template <class Body>
void CudnnLayer::each_weight(const DeviceMemory& space, Body&& body) const {
  Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> matrix, bias;
  const int gates = w_.gates();
  const auto H = static_cast<std::size_t>(w_.H);
  for (int layer = 0; layer < w_.layers; ++layer) {
    for (int direction = 0; direction < w_.directions; ++direction) {
      const auto tensors = tensors_of(w_, layer, direction);
      for (int i = 0; i < 2 * gates; ++i) {
        void *at = nullptr, *bias_at = nullptr;
        check(cudnnGetRNNWeightParams(handle_, rnn_, layer * w_.directions + direction, space.bytes(), space.data(), i,
                                      matrix, &at, bias, &bias_at),
              "cudnnGetRNNWeightParams");
        const std::size_t kind = i < gates ? 0 : 1, row = static_cast<std::size_t>(i % gates) * H;
        const std::size_t width = tensors[kind].columns;
        body(tensors[kind].name, row * width, at, H * width);
        body(tensors[2 + kind].name, row, bias_at, H);
      }
    }
  }
}

void CudnnLayer::place_weights(const NumberPool& weights) {
  std::vector<std::pair<std::string, std::size_t>> begins;  // of each tensor among the numbers
  std::size_t begin = 0;
  for (int layer = 0; layer < w_.layers; ++layer) {
    for (int direction = 0; direction < w_.directions; ++direction) {
      for (const Tensor& tensor : tensors_of(w_, layer, direction)) {
        begins.emplace_back(tensor.name, begin);
        begin += tensor.elements();
      }
    }
  }
  const auto begin_of = [&](const std::string& name) {
    return std::find_if(begins.begin(), begins.end(), [&](const auto& b) { return b.first == name; })->second;
  };
  check(cudaMemsetAsync(weights_.data(), 0, weights_.bytes(), stream_), "cudaMemsetAsync");
  each_weight(weights_, [&](const std::string& name, std::size_t first, void* at, std::size_t elements) {
    const std::byte* from = weights.in(type_) + (begin_of(name) + first) * element_;
    check(cudaMemcpyAsync(at, from, elements * element_, cudaMemcpyDeviceToDevice, stream_), "cudaMemcpyAsync");
  });
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
  check(cudnnRNNBackwardData_v8(handle_, rnn_, lengths_.data<int>(), y_desc_, y_.data(), given_, x_desc_, dx_.data(),
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

std::vector<float> CudnnLayer::download(const void* from, std::size_t elements) const {
  std::vector<std::byte> bytes(elements * element_);
  check(cudaMemcpy(bytes.data(), from, bytes.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  std::vector<float> values(elements);
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

Results CudnnLayer::results() const {
  const bool training = mode_ == CUDNN_FWD_MODE_TRAINING;
  const DeviceMemory& steps = training ? dx_ : y_;
  Results found{{training ? "gradient of x" : "y", download(steps.data(), steps.bytes() / element_)}};
  clear_padding(found[0].second, w_, training ? w_.I : w_.directions * w_.H);
  if (!training) return found;
  for (int layer = 0; layer < w_.layers; ++layer) {
    for (int direction = 0; direction < w_.directions; ++direction) {
      for (const Tensor& tensor : tensors_of(w_, layer, direction)) {
        found.emplace_back("gradient of " + tensor.name, std::vector<float>(tensor.elements()));
      }
    }
  }
  each_weight(gradients_, [&](const std::string& name, std::size_t first, const void* at, std::size_t elements) {
    const std::vector<float> part = download(at, elements);
    for (auto& [title, values] : found) {
      if (title == "gradient of " + name) {
        std::copy(part.begin(), part.end(), values.begin() + static_cast<std::ptrdiff_t>(first));
      }
    }
  });
  return found;
}

}  // namespace seqgpu::benchmark
