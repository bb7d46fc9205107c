#ifndef ATTUNE_CLIENT_OUTPUT_HEAT_MAP_H_
#define ATTUNE_CLIENT_OUTPUT_HEAT_MAP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/output/markup.h"

namespace attune::client {

// More labels than this make no picture.
constexpr int kMaxHeatMapLabels = 200;

struct HeatMapOptions {
  std::string title;
  std::string row_title;
  std::string column_title;
};

// A square matrix of counts, row by row: the diagonal in one colour, all else
// in another, each cell the stronger the greater its share of its row. Few
// labels have their counts in the cells, more of them only their names, many
// neither, but all of it where a reader points. Nothing for no label, more than
// kMaxHeatMapLabels or counts that are no square. A pure function.
Markup HeatMap(const std::vector<std::string>& labels,
               const std::vector<int64_t>& counts,
               const HeatMapOptions& options);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_HEAT_MAP_H_
