#pragma once

#include <cstddef>
#include <vector>

#include "device/cuda/resources.hpp"

namespace seqgpu::device::cuda {

/// The streams of a backend, each with a cuBLAS of its own. Stream 0 is the main one: copies go there, and a
/// program starts and ends on it.
class Streams {
 public:
  Streams(int count, std::size_t blas_workspace_bytes);

  int size() const { return static_cast<int>(lanes_.size()); }
  cudaStream_t main() const { return lanes_.front().stream.get(); }
  cudaStream_t operator[](int i) const { return lanes_[static_cast<std::size_t>(i)].stream.get(); }
  Blas& blas(int i) { return lanes_[static_cast<std::size_t>(i)].blas; }

  /// While captured: a stream beside stream i that now waits for all that i holds, and that i does not wait for.
  cudaStream_t fork_beside(int i) const;
  /// The main stream waits for what was put beside stream i; a capture must end with that.
  void join_beside(int i) const;

  /// Waits for all, whatever they answer.
  void drain() noexcept;

 private:
  struct Lane {
    Stream stream;
    Blas blas;  // destroyed before it
    Stream beside;
    Event forked;
  };
  std::vector<Lane> lanes_;
};

/// Pinned memory for small copies to the device: they go without waiting for the stream, and the source may change at
/// once. Empty again when the stream was waited for.
class Staging {
 public:
  explicit Staging(std::size_t bytes) : memory_(make_pinned_memory(bytes)), bytes_(bytes) {}

  void upload(void* to, const void* from, std::size_t bytes, cudaStream_t stream);
  void was_waited_for() { used_ = 0; }

 private:
  PinnedMemory memory_;
  std::size_t bytes_, used_ = 0;
};

}  // namespace seqgpu::device::cuda
