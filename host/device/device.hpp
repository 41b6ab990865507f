#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "device/implementation.hpp"
#include "op/desc.hpp"
#include "seqgpu/device.hpp"

// A device as the scheduler sees it: memory, a table of implementations, and a way to run a list of launches.
namespace seqgpu::device {

/// What a device can hold at once; all zero on the CPU.
struct Limits {
  int device = -1;             // the CUDA device that may be asked what its kernels need; -1: none
  int compute_capability = 0;  // 90 for 9.0
  int multiprocessors = 0;
  std::int64_t shared_bytes_per_block = 0;  // with the opt-in
  std::int64_t registers_per_multiprocessor = 0;
  int cluster_blocks = 0;  // the largest cluster; 0 where there are none
  std::string only;        // tests: take the row of this name wherever an operation has one
};

/// What a launch first makes of some of its inputs alone, such as weights in the layout of its kernels. Where these
/// inputs stay what they are from run to run, it is made once and kept. A row of CUDA must have none: a captured
/// program repeats whatever its first run did.
struct Preparation {
  std::uint32_t inputs = 0;                                           // bit i: input i is read
  std::size_t (*bytes)(const op::AnyDesc&, const Limits&) = nullptr;  // null: nothing to prepare
  void (*run)(const op::AnyDesc&, const Arguments&) = nullptr;      // fills Arguments::prepared, may use the workspace
  bool (*alike)(const op::AnyDesc&, const op::AnyDesc&) = nullptr;  // of the same inputs they make the same bytes
};

/// One way to compute one operation. Each function is a pure one of the description and the limits; accepts() may also
/// ask the device that the limits name whether a launch fits.
struct Implementation {
  const char* name;
  std::string (*accepts)(const op::AnyDesc&, const Limits&);  // empty: yes; else the reason why not. Null: always
  std::size_t (*workspace_bytes)(const op::AnyDesc&, const Limits&);
  std::size_t (*opaque_bytes)(const op::AnyDesc&, const Limits&);  // of the opaque output; null if there is none
  void (*launch)(const op::AnyDesc&, const Arguments&);
  /// Two operations that do not depend on each other in one launch, such as the two directions of a layer; null: never.
  /// The queues of the arguments share a stream.
  bool (*pairs)(const op::AnyDesc&, const op::AnyDesc&) = nullptr;
  void (*launch_pair)(const op::AnyDesc&, const Arguments&, const op::AnyDesc&, const Arguments&) = nullptr;
  std::uint32_t unread = 0;  // bit i: input i is never looked at, and need not be kept for this operation
  Preparation preparation = {};
};

struct OpTable {
  std::array<std::vector<Implementation>, std::variant_size_v<op::AnyDesc>> rows;  // best first, by alternative
  Limits limits;

  template <class D>
  std::vector<Implementation>& of() {
    return rows[op::AnyDesc(D{}).index()];
  }
};

struct Choice {
  const Implementation* implementation = nullptr;
  std::string rejected;  // "persistent: H > 512; ..."
};
/// The first row that accepts. @throws Error{unsupported} with every row's reason
Choice choose(const OpTable& table, const op::AnyDesc& desc);

/// A bound operation: pointers are final.
struct Launch {
  const Implementation* implementation = nullptr;
  const op::AnyDesc* desc = nullptr;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  void* workspace = nullptr;
  int stream = 0;
  std::vector<int> waits;  // indices of launches on other streams that must have ended
  void* prepared = nullptr;
  bool prepare = false;  // run the preparation first
};

struct Work {
  std::vector<Launch> launches;  // in an order that respects `waits` and each stream's own order
  int streams = 1;
  double cost = std::numeric_limits<double>::infinity();  // of all launches, as op::cost_of; infinite: not known
  /// Small results, copied to the host when run() ends: cheaper than a download of each.
  struct Fetch {
    void* to = nullptr;
    const void* from = nullptr;
    std::int64_t bytes = 0;
  };
  std::vector<Fetch> fetches;
  std::shared_ptr<void> replay;  // the device's: what it prepared for exactly these launches and fetches; reset it
                                 // where they change
  bool record = false;           // fill `timeline`
  struct Interval {
    double begin_us = 0, end_us = 0;
    int thread = 0;  // or stream
  };
  std::vector<Interval> timeline;  // as long as launches
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual DeviceKind kind() const = 0;
  virtual std::string name() const = 0;
  virtual MemoryUse memory() const = 0;
  virtual int streams() const = 0;
  virtual const OpTable& table() const = 0;

  /// 64-byte aligned, uninitialised. @throws Error{out_of_memory}
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory, std::int64_t bytes) noexcept = 0;
  virtual void upload(void* to, const void* from, std::int64_t bytes) = 0;
  virtual void download(void* to, const void* from, std::int64_t bytes) const = 0;
  virtual void zero(void* to, std::int64_t bytes) = 0;

  /// Runs all launches, waits for them and fills what is to be fetched. Allocates nothing once a Work has run twice. An
  /// exception of a launch is rethrown here, after which the backend is usable again.
  virtual void run(Work& work) = 0;
};

/// Device memory that frees itself.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Backend> backend, std::int64_t bytes);
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { reset(); }

  void reset() noexcept;
  std::byte* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Backend> backend_;
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// In the unit of op::cost_of. A step of one sequence of an LSTM of 256 units, some 25 us, is half of it; to wake a
// sleeping thread takes as long, and milliseconds on a machine with other work.
inline constexpr double kLeastShared = 2e6;

/// The CPU; threads >= 1.
/// @param least_shared  a Work of a smaller cost runs on the caller's thread alone
std::shared_ptr<Backend> make_cpu_backend(int threads, double least_shared = kLeastShared);
struct CudaOptions {
  int device = 0;
  int streams = 4;
  bool graphs = true;     // capture a program at its second run, replay it from then on
  bool marks = true;      // in graphs too, note which launches have ended: names the one that broke the device
  std::string only = "";  // as in Limits
};
/// A GPU, or null with a reason of one line in `why`.
std::shared_ptr<Backend> make_cuda_backend(const CudaOptions& options, std::string& why);
CudaInfo find_cuda();

}  // namespace seqgpu::device
