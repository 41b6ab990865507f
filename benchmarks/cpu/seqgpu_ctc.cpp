// CTC: the loss and its gradient by the logits, one program of two operations, as a training step holds them. Opens the
// device's table: a Trainer would update 80 million "parameters" in the largest row, which is no part of the loss.
#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {
namespace {

class Ctc final : public Prepared {
 public:
  Ctc(const Bench& bench, const Json& row) : backend_(bench.backend) {
    forward_.T = row.at("T"), forward_.N = row.at("N"), forward_.C = row.at("C"), forward_.L = row.at("U");
    forward_.training = true;
    forward_.reduction = op::CtcDesc::Reduction::sum;
    static_cast<op::CtcDesc&>(backward_) = forward_;
    descs_ = {forward_, backward_};
    const auto elements = static_cast<std::size_t>(forward_.T * forward_.N * forward_.C);
    const auto N = static_cast<std::size_t>(forward_.N), labels = N * static_cast<std::size_t>(forward_.L);
    void* x = filled(random_values("logits", elements, 2.f));
    void* targets = filled(random_integers("targets", labels, 1, static_cast<std::int32_t>(forward_.C)));
    void* d_loss = filled(std::vector<float>{1.f});
    loss_ = buffer(sizeof(float)), gradient_ = buffer(elements * sizeof(float));
    void *each = buffer(N * 4), *status = buffer(N * 4);
    for (const op::AnyDesc& desc : descs_) {
      device::Launch launch;
      launch.desc = &desc;
      launch.implementation = device::choose(backend_->table(), desc).implementation;
      launch.workspace = buffer(launch.implementation->workspace_bytes(desc, backend_->table().limits));
      work_.launches.push_back(launch);
    }
    void* kept = buffer(work_.launches[0].implementation->opaque_bytes(descs_[0], backend_->table().limits));
    work_.launches[0].inputs = {x, targets, nullptr, nullptr, nullptr};
    work_.launches[0].outputs = {loss_, each, status, nullptr, nullptr, kept};
    work_.launches[1].inputs = {x, targets, nullptr, nullptr, nullptr, kept, d_loss};
    work_.launches[1].outputs = {gradient_};
  }

  double run() override {
    backend_->run(work_);
    return backend_->last_seconds();
  }

  Results results() override {
    run();
    std::vector<float> loss(1), gradient(static_cast<std::size_t>(forward_.T * forward_.N * forward_.C));
    backend_->download(loss.data(), loss_, sizeof(float));
    backend_->download(gradient.data(), gradient_, static_cast<std::int64_t>(gradient.size() * sizeof(float)));
    return {{"loss", std::move(loss)}, {"gradient of logits", std::move(gradient)}};
  }

 private:
  void* buffer(std::size_t bytes) {
    buffers_.emplace_back(backend_, static_cast<std::int64_t>(std::max<std::size_t>(bytes, 64)));
    return buffers_.back().data();
  }
  template <class T>
  void* filled(const std::vector<T>& values) {
    void* to = buffer(values.size() * sizeof(T));
    backend_->upload(to, values.data(), static_cast<std::int64_t>(values.size() * sizeof(T)));
    return to;
  }

  std::shared_ptr<SteeredBackend> backend_;
  op::CtcForwardDesc forward_;
  op::CtcBackwardDesc backward_;
  std::vector<op::AnyDesc> descs_;
  std::vector<device::Buffer> buffers_;
  void *loss_ = nullptr, *gradient_ = nullptr;
  device::Work work_;
};

}  // namespace

std::unique_ptr<Prepared> prepare_ctc(const Bench& bench, const Json& row) { return std::make_unique<Ctc>(bench, row); }

}  // namespace seqgpu::benchmark
