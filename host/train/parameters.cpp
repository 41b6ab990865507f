#include "seqgpu/parameters.hpp"

#include <cmath>
#include <cstring>
#include <numbers>

#include "graph/data.hpp"
#include "kernels/math/philox.hpp"
#include "seqgpu/error.hpp"
#include "train/store.hpp"

namespace seqgpu {
namespace {

constexpr std::int64_t kPad = 16;  // elements: no two parameters share a cache line

// Philox streams below 2^32 belong to graph nodes; initial values draw from above.
constexpr std::uint64_t kInitialStream = std::uint64_t{1} << 32;

float draw(const train::ParameterStore& store, std::uint64_t index, std::uint64_t element, const Initializer& init) {
  const std::uint64_t stream = kInitialStream + index;
  if (init.kind == Initializer::Kind::uniform) {
    return (2.f * math::uniform(store.seed, stream, 0, element) - 1.f) * init.scale;
  }
  // Box & Muller 1958; 1 - u is in (0, 1].
  const float u = 1.f - math::uniform(store.seed, stream, 0, 2 * element);
  const float v = math::uniform(store.seed, stream, 0, 2 * element + 1);
  return init.scale * std::sqrt(-2.f * std::log(u)) * std::cos(2.f * std::numbers::pi_v<float> * v);
}

template <class T>
void fill(const train::ParameterStore& store, std::size_t index, const Initializer& init, T* to) {
  const Shape& shape = store.entries[index].shape;
  const std::int64_t rows = shape.rank() > 0 ? shape[0] : 1, width = rows > 0 ? shape.elements() / rows : 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < width; ++col) {
      float value = 0.f;
      switch (init.kind) {
        case Initializer::Kind::zero: break;
        case Initializer::Kind::constant: value = init.scale; break;
        case Initializer::Kind::identity: value = row == col ? init.scale : 0.f; break;
        default: value = draw(store, index, static_cast<std::uint64_t>(row * width + col), init);
      }
      if (row >= init.rows_begin && row < init.rows_end) value = init.rows_value;
      to[row * width + col] = static_cast<T>(value);
    }
  }
}

}  // namespace

namespace train {

const ParameterStore::Entry& ParameterStore::find(const std::string& operation, const std::string& name) const {
  for (const Entry& entry : entries) {
    if (entry.name == name) return entry;
  }
  std::string have;
  for (const Entry& entry : entries) have += (have.empty() ? "" : ", ") + entry.name;
  throw Error(ErrorCode::invalid_argument, operation, name, "is no parameter; there are: " + have);
}

void ParameterStore::freeze() {
  if (frozen) return;
  buffer = device::Buffer(device.share(), flat_bytes());
  device.backend().upload(buffer.data(), staging.data(), flat_bytes());
  staging.clear();
  staging.shrink_to_fit();
  frozen = true;
}

}  // namespace train

Parameters::Parameters(const Device& device, std::uint64_t seed, DType dtype)
    : store_(new train::ParameterStore{device, seed, dtype, {}, 0, {}, {}, false, 1}) {
  if (dtype != DType::f32 && dtype != DType::f64) {
    throw Error(ErrorCode::invalid_argument, "Parameters", "dtype",
                std::string("must be f32 or f64, got ") + to_string(dtype));
  }
}
Parameters::~Parameters() = default;

int Parameters::add(const std::string& name, const Shape& shape, const Initializer& initializer) {
  train::ParameterStore& s = *store_;
  if (s.frozen) {
    throw Error(ErrorCode::invalid_argument, "Parameters::add", name,
                "comes too late: a Trainer or Session was already made with these parameters");
  }
  if (name.empty()) throw Error(ErrorCode::invalid_argument, "Parameters::add", "name", "is empty");
  for (const auto& entry : s.entries) {
    if (entry.name == name) {
      throw Error(ErrorCode::invalid_argument, "Parameters::add", name,
                  "exists already with shape " + to_string(entry.shape) + "; give each module its own name");
    }
  }
  s.entries.push_back({name, shape, s.flat_count});
  s.flat_count += (shape.elements() + kPad - 1) / kPad * kPad;
  s.staging.resize(static_cast<std::size_t>(s.flat_bytes()), std::byte{0});
  std::byte* to = s.staging.data() + s.byte_offset(s.entries.back());
  if (s.dtype == DType::f64) {
    fill(s, s.entries.size() - 1, initializer, reinterpret_cast<double*>(to));
  } else {
    fill(s, s.entries.size() - 1, initializer, reinterpret_cast<float*>(to));
  }
  return static_cast<int>(s.entries.size()) - 1;
}

Value Parameters::use(Graph& graph, int index) const {
  graph::Data& data = graph.data();
  data.seed = store_->seed;
  if (const auto known = data.parameters.find(index); known != data.parameters.end()) return {&graph, known->second};
  const auto& entry = store_->entries.at(static_cast<std::size_t>(index));
  const int id = graph::add_leaf(data, entry.shape, store_->dtype, graph::Storage::parameters,
                                 store_->byte_offset(entry), entry.name);
  data.parameters[index] = id;
  return {&graph, id};
}

Value Parameters::use(Graph& graph, const std::string& name) const {
  return use(graph, static_cast<int>(&store_->find("Parameters::use", name) - store_->entries.data()));
}

std::vector<std::string> Parameters::names() const {
  std::vector<std::string> names;
  for (const auto& entry : store_->entries) names.push_back(entry.name);
  return names;
}

DType Parameters::dtype() const { return store_->dtype; }

std::int64_t Parameters::elements() const {
  std::int64_t total = 0;
  for (const auto& entry : store_->entries) total += entry.shape.elements();
  return total;
}

HostTensor Parameters::get(const std::string& name) const {
  const auto& entry = store_->find("Parameters::get", name);
  HostTensor value(store_->dtype, entry.shape);
  const std::int64_t offset = store_->byte_offset(entry), bytes = store_->bytes(entry);
  if (store_->frozen) {
    store_->device.backend().download(value.bytes.data(), store_->buffer.data() + offset, bytes);
  } else if (bytes > 0) {
    std::memcpy(value.bytes.data(), store_->staging.data() + offset, static_cast<std::size_t>(bytes));
  }
  return value;
}

void Parameters::set(const std::string& name, const HostTensor& value) {
  const auto& entry = store_->find("Parameters::set", name);
  if (value.dtype != store_->dtype || !(value.shape == entry.shape)) {
    throw Error(ErrorCode::invalid_argument, "Parameters::set", name,
                std::string("must be ") + to_string(store_->dtype) + " " + to_string(entry.shape) + ", got " +
                    to_string(value.dtype) + " " + to_string(value.shape));
  }
  const std::int64_t offset = store_->byte_offset(entry), bytes = store_->bytes(entry);
  if (static_cast<std::int64_t>(value.bytes.size()) != bytes) {
    throw Error(ErrorCode::invalid_argument, "Parameters::set", name,
                "must hold " + std::to_string(bytes) + " bytes, got " + std::to_string(value.bytes.size()));
  }
  ++store_->version;
  if (store_->frozen) {
    store_->device.backend().upload(store_->buffer.data() + offset, value.bytes.data(), bytes);
  } else if (bytes > 0) {
    std::memcpy(store_->staging.data() + offset, value.bytes.data(), static_cast<std::size_t>(bytes));
  }
}

TensorMap Parameters::all() const {
  TensorMap values;
  for (const auto& entry : store_->entries) values[entry.name] = get(entry.name);
  return values;
}

void Parameters::set_all(const TensorMap& values) {
  for (const auto& [name, value] : values) {
    const auto& entry = store_->find("Parameters::set_all", name);
    if (value.dtype != store_->dtype || !(value.shape == entry.shape)) {
      throw Error(ErrorCode::invalid_argument, "Parameters::set_all", name,
                  std::string("must be ") + to_string(store_->dtype) + " " + to_string(entry.shape) + ", got " +
                      to_string(value.dtype) + " " + to_string(value.shape));
    }
  }
  for (const auto& entry : store_->entries) {
    if (!values.contains(entry.name)) {
      throw Error(ErrorCode::invalid_argument, "Parameters::set_all", entry.name,
                  "is missing; expected " + to_string(entry.shape));
    }
  }
  for (const auto& [name, value] : values) set(name, value);
}

}  // namespace seqgpu
