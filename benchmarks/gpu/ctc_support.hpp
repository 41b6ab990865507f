#pragma once

#include <cmath>
#include <memory>

#include "benchmarks/support/random_data.hpp"
#include "device/device.hpp"
#include "support.hpp"

// What the CTC contestants share: the list of shapes, inputs, records, and our own loss and gradient on any device,
// which on the CPU is what all are held against.
namespace seqgpu::benchmark {

/// Logits [T, N, C], U labels a sequence, all sequences full.
struct CtcWorkload {
  std::int64_t T = 0, N = 0, C = 0, U = 0;

  std::string name() const {
    return "ctc_T" + std::to_string(T) + "_N" + std::to_string(N) + "_C" + std::to_string(C) + "_U" + std::to_string(U);
  }
  std::size_t logits() const { return static_cast<std::size_t>(T * N * C); }
  /// PyTorch's alpha and beta, in f32.
  std::size_t table_bytes() const { return static_cast<std::size_t>(2 * T * N * (2 * U + 1)) * sizeof(float); }
};

inline std::vector<CtcWorkload> read_ctc_workloads(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<CtcWorkload> workloads;
  for (const Json& row : Json::parse(file)) {
    if (row.value("kind", "layer") != "ctc" || row.value("on", "gpu") != "gpu") continue;
    workloads.push_back({row.at("T"), row.at("N"), row.at("C"), row.at("U")});
  }
  return workloads;
}

struct CtcInputs {
  std::vector<float> x;
  std::vector<std::int32_t> targets;  // [N, U]; blank 0

  explicit CtcInputs(const CtcWorkload& w)
      : x(random_values("logits", w.logits(), 3.f)),
        targets(random_integers("targets", static_cast<std::size_t>(w.N * w.U), 1, static_cast<std::int32_t>(w.C))) {}
};

/// @param variant  algorithm or strategy, and how it was launched
inline Json ctc_record(const char* contestant, const CtcWorkload& w, const std::string& variant) {
  return Json{
      {"kind", "ctc time"}, {"contestant", contestant}, {"workload", w.name()}, {"T", w.T}, {"N", w.N}, {"C", w.C},
      {"U", w.U},           {"variant", variant}};
}
/// @param status  unsupported, failed, disagrees, no time
inline Json ctc_left_out(const char* contestant, const CtcWorkload& w, const std::string& variant, const char* status,
                         const std::string& why) {
  Json record = ctc_record(contestant, w, variant);
  record["kind"] = "ctc left out";
  record["status"] = status;
  record["why"] = why;
  return record;
}

struct CtcResults {
  std::vector<float> losses;    // [N]
  std::vector<float> gradient;  // of their sum, [T, N, C]
};

/// The largest difference of a loss, relative, and of the gradient, absolute: the greater of the two.
inline double ctc_error(const CtcResults& got, const CtcResults& want) {
  double worst = 0;
  const auto note = [&](double error) { worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error); };
  for (std::size_t i = 0; i < want.losses.size(); ++i) {
    const double loss = static_cast<double>(want.losses[i]);
    note(std::abs(static_cast<double>(got.losses[i]) - loss) / std::max(1.0, std::abs(loss)));
  }
  for (std::size_t i = 0; i < want.gradient.size(); ++i) {
    note(std::abs(static_cast<double>(got.gradient[i]) - static_cast<double>(want.gradient[i])));
  }
  return worst;
}

/// Our forward and backward as two launches of one program.
class CtcProgram {
 public:
  CtcProgram(std::shared_ptr<device::Backend> backend, const CtcWorkload& w, const CtcInputs& inputs)
      : backend_(std::move(backend)), w_(w) {
    op::CtcForwardDesc forward;
    forward.T = w.T, forward.N = w.N, forward.C = w.C, forward.L = w.U;
    forward.training = true;
    forward.reduction = op::CtcDesc::Reduction::sum;
    op::CtcBackwardDesc backward;
    static_cast<op::CtcDesc&>(backward) = forward;
    descs_[0] = forward;
    descs_[1] = backward;
    const float one = 1;
    const void* x = upload(inputs.x.data(), inputs.x.size() * sizeof(float));
    const void* targets = upload(inputs.targets.data(), inputs.targets.size() * sizeof(std::int32_t));
    const void* d_loss = upload(&one, sizeof one);
    losses_ = buffer(static_cast<std::size_t>(w.N) * sizeof(float));
    gradient_ = buffer(inputs.x.size() * sizeof(float));
    device::Launch& there = add(0);
    const auto* row = there.implementation;
    const std::size_t kept_bytes = row->opaque_bytes(descs_[0], backend_->table().limits);
    std::byte* kept = buffer(kept_bytes);
    there.inputs = {x, targets, nullptr, nullptr, nullptr};
    there.outputs = {buffer(sizeof(float)), losses_, nullptr, nullptr, nullptr, kept};
    variant_ = row->name;
    device::Launch& back = add(1);
    back.inputs = {x, targets, nullptr, nullptr, nullptr, kept, d_loss};
    back.outputs = {gradient_};
    peak_ = kept_bytes + std::max(workspace_bytes(0), workspace_bytes(1));
  }

  void run() { backend_->run(work_); }
  CtcResults results() const {
    CtcResults r;
    r.losses.resize(static_cast<std::size_t>(w_.N));
    r.gradient.resize(w_.logits());
    backend_->download(r.losses.data(), losses_, static_cast<std::int64_t>(r.losses.size() * sizeof(float)));
    backend_->download(r.gradient.data(), gradient_, static_cast<std::int64_t>(r.gradient.size() * sizeof(float)));
    return r;
  }
  const std::string& variant() const { return variant_; }
  /// Beside logits and gradient: the larger of the two workspaces, and what forward keeps for backward.
  std::size_t peak_bytes() const { return peak_; }

 private:
  std::byte* buffer(std::size_t bytes) {
    buffers_.emplace_back(backend_, static_cast<std::int64_t>(std::max<std::size_t>(bytes, 64)));
    return buffers_.back().data();
  }
  std::byte* upload(const void* from, std::size_t bytes) {
    std::byte* to = buffer(bytes);
    backend_->upload(to, from, static_cast<std::int64_t>(bytes));
    return to;
  }
  device::Launch& add(int i) {
    device::Launch& launch = work_.launches.emplace_back();
    launch.desc = &descs_[i];
    launch.implementation = device::choose(backend_->table(), descs_[i]).implementation;
    launch.workspace = buffer(workspace_bytes(i));
    return launch;
  }
  std::size_t workspace_bytes(int i) const {
    return device::choose(backend_->table(), descs_[i])
        .implementation->workspace_bytes(descs_[i], backend_->table().limits);
  }

  std::shared_ptr<device::Backend> backend_;
  CtcWorkload w_;
  op::AnyDesc descs_[2];
  std::vector<device::Buffer> buffers_;
  device::Work work_;
  std::byte *losses_ = nullptr, *gradient_ = nullptr;
  std::size_t peak_ = 0;
  std::string variant_;
};

/// On the CPU, which the tests hold against the equations.
inline CtcResults ctc_reference(const CtcWorkload& w, const CtcInputs& inputs) {
  CtcProgram program(cpu_device().share(), w, inputs);
  program.run();
  return program.results();
}

}  // namespace seqgpu::benchmark
