#include "device/cuda/table.hpp"

#include "device/cuda/recurrent.hpp"

namespace seqgpu::device::cuda {

OpTable make_table(const Limits& limits) {
  OpTable table;
  add_ops(table);
  add_recurrent(table);
  add_ctc(table);
  table.limits = limits;
  return table;
}

}  // namespace seqgpu::device::cuda
