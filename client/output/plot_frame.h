#ifndef ATTUNE_CLIENT_OUTPUT_PLOT_FRAME_H_
#define ATTUNE_CLIENT_OUTPUT_PLOT_FRAME_H_

#include <string>
#include <string_view>
#include <vector>

#include "client/output/axis.h"
#include "client/output/markup.h"
#include "client/output/svg_shapes.h"

// What all plots of a page have around them. Pure functions.
namespace attune::client {

// The width that plots are drawn in: two beside each other fill a page, one
// alone is still readable on a phone.
constexpr double kPlotWidth = 460;

// A colour and what it stands for.
struct PlotKey {
  std::string name;
  Tone tone;
};

// A drawing with its title and its keys.
Markup PlotFigure(std::string_view title, const std::vector<PlotKey>& keys,
                  const Markup& drawing);

// Grid lines and labels of both axes around `area`, y upwards.
struct PlotAxes {
  Axis x;
  Axis y;
  std::string x_title;
  // Behind each label, for example "%".
  std::string x_unit;
  std::string y_unit;
};
Markup DrawAxes(const Box& area, const PlotAxes& axes);

// Where (x, y) stands in `area`.
Point PlaceIn(const Box& area, const PlotAxes& axes, Point value);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_PLOT_FRAME_H_
