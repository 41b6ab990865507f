#pragma once

#include "kernels/cells/elman_cell.hpp"
#include "kernels/cells/gru_cell.hpp"
#include "kernels/cells/gru_reset_before_cell.hpp"
#include "kernels/cells/lstm_cell.hpp"

// The one list that everything walks, in the order of the enum CellKind.
namespace seqgpu::cells {

using AllCells = CellList<ElmanCell, LstmCell, GruCell, GruResetBeforeCell>;

namespace detail {
template <class... Cells>
constexpr bool in_enum_order(CellList<Cells...>) {
  int position = 0;
  return ((static_cast<int>(Cells::kKind) == position++) && ...);
}
}  // namespace detail
static_assert(detail::in_enum_order(AllCells{}), "AllCells and CellKind disagree");
static_assert(AllCells::kSize == static_cast<int>(CellKind::gru_reset_before) + 1, "AllCells lacks a CellKind");

/// A cell's numbers as values.
struct CellTraits {
  const char* name = "";
  int gates = 0, states = 0, saved = 0, unit_parameters = 0;
  bool reads_hidden = false, split_gradient = false, two_phase = false;
};

/// Calls visit(Cell{}) for the cell of this kind.
/// @return whether there is one
template <class Visit, class... Cells>
constexpr bool with_cell(CellKind kind, Visit&& visit, CellList<Cells...>) {
  return ((Cells::kKind == kind ? (visit(Cells{}), true) : false) || ...);
}

template <class Visit>
constexpr bool with_cell(CellKind kind, Visit&& visit) {
  return with_cell(kind, visit, AllCells{});
}

constexpr CellTraits traits_of(CellKind kind) {
  CellTraits traits;
  with_cell(kind, [&](auto cell) {
    using Cell = decltype(cell);
    traits = {Cell::kName,           Cell::kGates,       Cell::kStates,        Cell::kSaved,
              Cell::kUnitParameters, Cell::kReadsHidden, Cell::kSplitGradient, Cell::kTwoPhase};
  });
  return traits;
}

}  // namespace seqgpu::cells
