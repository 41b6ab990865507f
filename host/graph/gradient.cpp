#include <functional>

#include "graph/data.hpp"
#include "seqgpu/error.hpp"

// Reverse-mode differentiation over nodes: one rule per operation, which adds backward nodes.
namespace seqgpu::graph {
namespace {

class Backward {
 public:
  Backward(Data& data, std::size_t values) : data_(data), gradient_(values, -1), needed_(values, false) {}

  /// Marks what lies between the wanted leaves and the loss.
  void mark(std::span<const int> wanted) {
    for (const int w : wanted) needed_[at(w)] = true;
    for (const Node& node : data_.nodes) {
      bool any = false;
      for (const int in : node.inputs) any = any || (in >= 0 && needed_[at(in)]);
      if (!any) continue;
      for (const int out : node.outputs) {
        if (out >= 0) needed_[at(out)] = true;
      }
    }
  }

  void seed(int value, int given) { gradient_[at(value)] = given; }

  void visit(const Node& node) {
    bool any = false;
    for (const int out : node.outputs) any = any || (out >= 0 && gradient_[at(out)] >= 0);
    bool wanted = false;
    for (const int in : node.inputs) wanted = wanted || needs(in);
    if (!any || !wanted) return;
    std::visit([&](const auto& desc) { rule(node, desc); }, node.desc);
  }

  int gradient_of(int value) const { return gradient_[at(value)]; }

 private:
  static std::size_t at(int id) { return static_cast<std::size_t>(id); }
  bool needs(int id) const { return id >= 0 && needed_[at(id)]; }
  int like(int id) {
    const ValueInfo info = data_.values[at(id)];
    return add_value(data_, info.shape, info.dtype);
  }
  int dy(const Node& node, std::size_t slot = 0) const {
    return node.outputs[slot] < 0 ? -1 : gradient_[at(node.outputs[slot])];
  }

  /// Adds `part` to the gradient of `value`.
  void accumulate(int value, int part) {
    int& total = gradient_[at(value)];
    if (total < 0) {
      total = part;
      return;
    }
    const ValueInfo info = data_.values[at(value)];
    const int sum = add_value(data_, info.shape, info.dtype);
    const std::int64_t count = info.shape.elements();
    add_node(data_, op::BinaryDesc{op::BinaryDesc::Kind::add, info.dtype, count, count}, {total, part}, {sum});
    total = sum;
  }

  /// One node that yields the gradient of one input.
  void emit(op::AnyDesc desc, std::vector<int> inputs, int target) {
    const int d = like(target);
    add_node(data_, std::move(desc), std::move(inputs), {d});
    accumulate(target, d);
  }

  void rule(const Node& n, const op::CopyDesc&) { accumulate(n.inputs[0], dy(n)); }
  void rule(const Node& n, const op::GatherDesc& d) {
    emit(op::GatherBackwardDesc{d.dtype, d.vocabulary, d.width, d.count}, {n.inputs[1], dy(n)}, n.inputs[0]);
  }

  // Y = op(A) op(B):  dA = dY op(B)',  dB = op(A)' dY, each transposed if its argument was.
  void rule(const Node& n, const op::MatmulDesc& d) {
    const int a = n.inputs[0], b = n.inputs[1], g = dy(n);
    if (needs(a)) {
      if (d.transpose_a) {
        emit(op::MatmulDesc{d.dtype, d.k, d.m, d.n, d.transpose_b, true}, {b, g, -1}, a);
      } else {
        emit(op::MatmulDesc{d.dtype, d.m, d.k, d.n, false, !d.transpose_b}, {g, b, -1}, a);
      }
    }
    if (needs(b)) {
      if (d.transpose_b) {
        emit(op::MatmulDesc{d.dtype, d.n, d.k, d.m, true, d.transpose_a}, {g, a, -1}, b);
      } else {
        emit(op::MatmulDesc{d.dtype, d.k, d.n, d.m, !d.transpose_a, false}, {a, g, -1}, b);
      }
    }
    if (needs(n.inputs[2])) {
      emit(op::ReduceDesc{op::ReduceDesc::Kind::sum, d.dtype, 1, d.m, d.n}, {g}, n.inputs[2]);
    }
  }

  void rule(const Node& n, const op::BinaryDesc& d) {
    const int a = n.inputs[0], b = n.inputs[1], g = dy(n);
    const bool product = d.kind == op::BinaryDesc::Kind::mul;
    if (needs(a)) {
      if (product) {
        emit(op::BinaryDesc{d.kind, d.dtype, d.count, d.inner}, {g, b}, a);
      } else {
        accumulate(a, g);
      }
    }
    if (!needs(b)) return;
    int part = g;
    if (product) {
      part = like(a);
      add_node(data_, op::BinaryDesc{d.kind, d.dtype, d.count, d.count}, {g, a}, {part});
    }
    if (d.inner == d.count) {
      accumulate(b, part);
    } else {
      emit(op::ReduceDesc{op::ReduceDesc::Kind::sum, d.dtype, 1, d.inner == 0 ? 0 : d.count / d.inner, d.inner}, {part},
           b);
    }
  }

  void rule(const Node& n, const op::AffineDesc& d) {
    emit(op::AffineDesc{d.dtype, d.count, d.scale, 0.f}, {dy(n)}, n.inputs[0]);
  }
  void rule(const Node& n, const op::ActivationDesc& d) {
    emit(op::ActivationBackwardDesc{d.dtype, d.count, d.activation}, {dy(n), n.outputs[0]}, n.inputs[0]);
  }
  void rule(const Node& n, const op::ConcatDesc& d) {
    std::int64_t total = 0;
    for (const std::int64_t extent : d.extents) total += extent;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < d.extents.size(); ++i) {
      if (needs(n.inputs[i])) {
        emit(op::SliceDesc{d.dtype, d.outer, total, d.inner, begin, begin + d.extents[i]}, {dy(n)}, n.inputs[i]);
      }
      begin += d.extents[i];
    }
  }
  void rule(const Node& n, const op::SliceDesc& d) {
    emit(op::SliceBackwardDesc{d.dtype, d.outer, d.extent, d.inner, d.begin, d.end}, {dy(n)}, n.inputs[0]);
  }
  void rule(const Node& n, const op::WindowDesc& d) {
    emit(op::WindowBackwardDesc{d.dtype, d.T, d.N, d.E, d.radius}, {dy(n), n.inputs[1]}, n.inputs[0]);
  }
  void rule(const Node& n, const op::DropoutDesc& d) { emit(d, {dy(n), n.inputs[1]}, n.inputs[0]); }
  void rule(const Node& n, const op::SoftmaxDesc& d) {
    emit(op::SoftmaxBackwardDesc{d.dtype, d.rows, d.cols, d.log}, {n.outputs[0], dy(n)}, n.inputs[0]);
  }
  void rule(const Node& n, const op::ReduceDesc& d) {
    const int x = d.kind == op::ReduceDesc::Kind::max ? n.inputs[0] : -1;
    emit(op::ReduceBackwardDesc{d.kind, d.dtype, d.outer, d.extent, d.inner}, {x, dy(n)}, n.inputs[0]);
  }
  void rule(const Node& n, const op::CrossEntropyDesc& d) {
    emit(op::CrossEntropyBackwardDesc{d.dtype, d.rows, d.N, d.K, d.ignore_index, d.smoothing},
         {n.inputs[0], n.inputs[1], n.inputs[2], n.outputs[1], dy(n)}, n.inputs[0]);
  }
  void rule(const Node& n, const op::SquaredErrorDesc& d) {
    const op::SquaredErrorBackwardDesc back{d.dtype, d.rows, d.N, d.width};
    if (needs(n.inputs[0])) emit(back, {n.inputs[0], n.inputs[1], n.inputs[2], dy(n)}, n.inputs[0]);
    if (needs(n.inputs[1])) emit(back, {n.inputs[1], n.inputs[0], n.inputs[2], dy(n)}, n.inputs[1]);
  }

  void rule(const Node& n, const op::RecurrentForwardDesc& d) {
    std::vector<int> inputs = n.inputs;
    inputs.resize(op::kBackwardInputs, -1);
    inputs[op::kInOutput] = n.outputs[op::kOutY];
    inputs[op::kInReserve] = n.outputs[op::kOutReserve];
    inputs[op::kInDOutput] = dy(n, op::kOutY);
    for (std::size_t s = 0; s < op::kMaxStates; ++s) {
      inputs[op::kInDFinal0 + s] = dy(n, op::kOutFinal0 + s);
      if (s > 0) inputs[op::kInDStates0 + s - 1] = dy(n, op::kOutStates0 + s - 1);
    }
    static constexpr int kTargets[op::kBackwardOutputs] = {
        op::kInX,    op::kInWih,   op::kInWhh,    op::kInBih,        op::kInBhh,       op::kInUnit,
        op::kInProj, op::kInProjB, op::kInState0, op::kInState0 + 1, op::kInState0 + 2};
    std::vector<int> outputs(op::kBackwardOutputs, -1);
    for (std::size_t g = 0; g < op::kBackwardOutputs; ++g) {
      const int target = n.inputs[at(kTargets[g])];
      if (needs(target)) outputs[g] = like(target);
    }
    const std::vector<int> forward_inputs = n.inputs;
    op::RecurrentBackwardDesc back;
    static_cast<op::RecurrentDesc&>(back) = d;
    const std::vector<int> made = outputs;
    add_node(data_, back, std::move(inputs), std::move(outputs));
    for (std::size_t g = 0; g < op::kBackwardOutputs; ++g) {
      if (made[g] >= 0) accumulate(forward_inputs[at(kTargets[g])], made[g]);
    }
  }

  void rule(const Node& n, const op::CtcForwardDesc& d) {
    for (const std::size_t slot : {op::kCtcPerSequence, op::kCtcPosteriors, op::kCtcAlignment}) {
      if (dy(n, slot) >= 0) {
        throw Error(ErrorCode::unsupported, "gradients", "ctc_loss",
                    "only the loss itself has a gradient; use CtcReduction::none for one loss a sequence");
      }
    }
    if (n.inputs[op::kCtcWeights] >= 0 && needs(n.inputs[op::kCtcWeights])) {
      throw Error(ErrorCode::unsupported, "gradients", "ctc_loss", "has no gradient by weights");
    }
    op::CtcBackwardDesc back;
    static_cast<op::CtcDesc&>(back) = d;
    std::vector<int> inputs = n.inputs;
    inputs.resize(op::kCtcBackwardInputs, -1);
    inputs[op::kCtcReserve] = n.outputs[op::kCtcKept];
    inputs[op::kCtcDLoss] = dy(n, op::kCtcLoss);
    emit(back, std::move(inputs), n.inputs[op::kCtcX]);
  }

  template <class D>
  void rule(const Node& n, const D&) {
    throw Error(ErrorCode::unsupported, "gradients", op::name_of(n.desc), "has no gradient rule");
  }

  Data& data_;
  std::vector<int> gradient_;
  std::vector<char> needed_;
};

}  // namespace

std::vector<int> gradients(Data& data, int loss, std::span<const int> wanted) {
  const ValueInfo info = data.values[static_cast<std::size_t>(loss)];
  const int one = add_value(data, info.shape, info.dtype);
  add_node(data, op::FillDesc{info.dtype, info.shape.elements(), 1.0}, {}, {one});
  return gradients_from(data, loss, one, wanted);
}

std::vector<int> gradients_from(Data& data, int value, int given, std::span<const int> wanted) {
  const std::size_t forward_nodes = data.nodes.size();
  Backward backward(data, data.values.size());
  backward.mark(wanted);
  backward.seed(value, given);
  for (std::size_t i = forward_nodes; i-- > 0;) {
    const Node node = data.nodes[i];  // a copy: rules add nodes
    backward.visit(node);
  }
  std::vector<int> result;
  for (const int w : wanted) result.push_back(backward.gradient_of(w));
  return result;
}

}  // namespace seqgpu::graph
