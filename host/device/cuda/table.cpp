#include "device/cuda/table.hpp"

#include "device/cuda/recurrent.hpp"

namespace seqgpu::device::cuda {

// Weak until both exist.
[[gnu::weak]] void add_ops(OpTable& table);
[[gnu::weak]] void add_recurrent(OpTable& table);

OpTable make_table(const Limits& limits) {
  OpTable table;
  if (&add_ops) add_ops(table);
  if (&add_recurrent) add_recurrent(table);
  table.limits = limits;
  return table;
}

}  // namespace seqgpu::device::cuda
