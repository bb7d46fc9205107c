#ifndef ATTUNE_CLIENT_OUTPUT_CELL_PLOTS_H_
#define ATTUNE_CLIENT_OUTPUT_CELL_PLOTS_H_

#include <optional>
#include <string>
#include <vector>

#include "client/output/markup.h"
#include "client/output/svg_shapes.h"

// Drawings that fit into a cell of a table. Pure functions.
namespace attune::client {

struct Whisker {
  double value;
  // Bounds around it.
  std::optional<double> low;
  std::optional<double> high;
  Tone tone;
};

// The ends of a cell's scale and their names.
struct CellScale {
  double low;
  double high;
  std::string low_label;
  std::string high_label;
};

// Dots with their bounds, one below the other, over their scale; what is not
// finite is left out.
Markup WhiskerCell(const std::vector<Whisker>& whiskers, const CellScale& scale,
                   const std::string& description);

// A bar of `share` of the width, and a mark at `other` to compare with.
Markup ShareCell(double share, std::optional<double> other,
                 const std::string& description);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_CELL_PLOTS_H_
