#pragma once

// Both number types of one operation.
#define SEQGPU_INSTANTIATE(Desc)                                   \
  template void compute<float>(const op::Desc&, const Arguments&); \
  template void compute<double>(const op::Desc&, const Arguments&);
