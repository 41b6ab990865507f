#include "kernels/cells/all_cells.hpp"
#include "seqgpu/cell.hpp"

namespace seqgpu {

const char* to_string(CellKind cell) { return cells::traits_of(cell).name; }
int gate_count(CellKind cell) { return cells::traits_of(cell).gates; }
int state_count(CellKind cell) { return cells::traits_of(cell).states; }
int unit_parameter_count(CellKind cell) { return cells::traits_of(cell).unit_parameters; }

}  // namespace seqgpu
