#ifndef ATTUNE_CLIENT_OUTPUT_LINE_PLOT_H_
#define ATTUNE_CLIENT_OUTPUT_LINE_PLOT_H_

#include <optional>
#include <string>
#include <vector>

#include "client/output/markup.h"
#include "client/output/svg_shapes.h"

namespace attune::client {

struct PlotCurve {
  std::string name;
  Tone tone = Tone::kBlue;
  // Ascending in x. Points that are not finite are left out.
  std::vector<Point> points;
  // Whether each point is a dot, too.
  bool dots = false;
};

struct LinePlotOptions {
  std::string title;
  std::string x_title;
  // Behind each number of y, for example "%".
  std::string y_unit;
  // A place on the x axis, with words for it.
  std::optional<double> marked_x;
  std::string mark;
  double height = 240;
};

// No curve is drawn with more points: more than a page can show.
constexpr size_t kMaxCurvePoints = 500;

// At most `max_points` of `points`, evenly spread, with the first and the last.
std::vector<Point> ThinnedOut(const std::vector<Point>& points,
                              size_t max_points);

// Curves over a common axis. A curve of one point is a dot. Nothing where no
// curve has a point. A pure function.
Markup LinePlot(const std::vector<PlotCurve>& curves,
                const LinePlotOptions& options);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_LINE_PLOT_H_
