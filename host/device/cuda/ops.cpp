#include "device/cuda/ops.hpp"

#include <string>

#include "device/cuda/table.hpp"
#include "kernels/gather/launch.hpp"
#include "kernels/loss/launch.hpp"
#include "kernels/optimizer/launch.hpp"
#include "kernels/reduce/launch.hpp"

namespace seqgpu::device::cuda {
namespace {

constexpr std::int64_t kFaultIndices = std::int64_t{1} << 32;  // kernels/block/fault.cuh

std::string limit(const char* name, std::int64_t value, std::int64_t most) {
  return value < most ? "" : std::string(name) + " " + std::to_string(value) + " >= " + std::to_string(most);
}

// Of what a kernel's indices do not reach; one overload for each description that has such a thing.
template <class D>
std::string beyond_limits(const D&) {
  return "";
}
std::string beyond_limits(const op::GatherDesc& d) { return limit("ids", d.count, kFaultIndices); }
std::string beyond_limits(const op::GatherBackwardDesc& d) {
  const std::string ids = limit("ids", d.count, kernels::kGatherBackwardMost);
  return ids.empty() ? limit("V", d.vocabulary, kernels::kGatherBackwardMost) : ids;
}
std::string beyond_limits(const op::CrossEntropyDesc& d) { return limit("rows", d.rows, kFaultIndices); }

template <class D>
std::string accepts(const op::AnyDesc& any, const Limits&) {
  const D& desc = std::get<D>(any);
  if (desc.dtype == DType::f64) return "f64 runs on the CPU only";
  if (desc.dtype != DType::f32) return std::string(to_string(desc.dtype)) + " is not computed with";
  return beyond_limits(desc);
}

template <class D>
void launch(const op::AnyDesc& any, const Arguments& a) {
  compute(std::get<D>(any), a);
}

template <class D, std::size_t kBytes = 0>
std::size_t workspace(const op::AnyDesc&, const Limits&) {
  return kBytes;
}
std::size_t gather_backward_workspace(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::GatherBackwardDesc>(any);
  return kernels::gather_backward_workspace(d.vocabulary, d.count);
}
std::size_t reduce_workspace(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::ReduceDesc>(any);
  return kernels::reduce_workspace(d.outer, d.extent, d.inner);
}

template <class D>
void add(OpTable& table, const char* name,
         std::size_t (*workspace_bytes)(const op::AnyDesc&, const Limits&) = workspace<D>) {
  table.of<D>().push_back({name, accepts<D>, workspace_bytes, nullptr, launch<D>});
}

}  // namespace

void add_ops(OpTable& table) {
  add<op::FillDesc>(table, "elements");
  table.of<op::CopyDesc>().push_back({"copy", nullptr, workspace<op::CopyDesc>, nullptr, launch<op::CopyDesc>});
  add<op::GatherDesc>(table, "rows");
  add<op::GatherBackwardDesc>(table, "sorted runs", gather_backward_workspace);
  add<op::MatmulDesc>(table, "cublas");
  add<op::BinaryDesc>(table, "elements");
  add<op::AffineDesc>(table, "elements");
  add<op::ActivationDesc>(table, "elements");
  add<op::ActivationBackwardDesc>(table, "elements");
  add<op::ConcatDesc>(table, "rows");
  add<op::SliceDesc>(table, "rows");
  add<op::SliceBackwardDesc>(table, "rows");
  add<op::WindowDesc>(table, "rows");
  add<op::WindowBackwardDesc>(table, "rows");
  add<op::DropoutDesc>(table, "philox");
  add<op::SoftmaxDesc>(table, "rows");
  add<op::SoftmaxBackwardDesc>(table, "rows");
  add<op::ReduceDesc>(table, "strided lanes", reduce_workspace);
  add<op::ReduceBackwardDesc>(table, "strided lanes");
  constexpr std::size_t kLoss = kernels::kLossWorkspace;
  add<op::CrossEntropyDesc>(table, "rows", workspace<op::CrossEntropyDesc, kLoss>);
  add<op::CrossEntropyBackwardDesc>(table, "rows", workspace<op::CrossEntropyBackwardDesc, kLoss>);
  add<op::SquaredErrorDesc>(table, "elements", workspace<op::SquaredErrorDesc, kLoss>);
  add<op::SquaredErrorBackwardDesc>(table, "elements", workspace<op::SquaredErrorBackwardDesc, kLoss>);
  add<op::GradientNormDesc>(table, "one pass", workspace<op::GradientNormDesc, kernels::kGradientNormWorkspace>);
  add<op::OptimizerDesc>(table, "one fused pass", workspace<op::OptimizerDesc, kernels::kUpdateWorkspace>);
}

}  // namespace seqgpu::device::cuda
