#include "client/output/line_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "client/output/axis.h"
#include "client/output/plot_frame.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr Box kMargins = {56, 16, 16, 42};  // left, top, right, bottom

std::vector<PlotCurve> Drawable(const std::vector<PlotCurve>& curves) {
  std::vector<PlotCurve> drawable;
  for (PlotCurve curve : curves) {
    std::erase_if(curve.points, [](const Point& point) {
      return !std::isfinite(point.x) || !std::isfinite(point.y);
    });
    if (curve.points.empty()) continue;
    curve.points = ThinnedOut(curve.points, kMaxCurvePoints);
    drawable.push_back(std::move(curve));
  }
  return drawable;
}

PlotAxes AxesOf(const std::vector<PlotCurve>& curves,
                const LinePlotOptions& options) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Point least = {kInfinity, kInfinity};
  Point greatest = {-kInfinity, -kInfinity};
  for (const PlotCurve& curve : curves) {
    for (const Point& point : curve.points) {
      least = {std::min(least.x, point.x), std::min(least.y, point.y)};
      greatest = {std::max(greatest.x, point.x), std::max(greatest.y, point.y)};
    }
  }
  // Steps are counted from the beginning of training, whatever the first point.
  return PlotAxes{Axis::Exact(std::min(least.x, 0.0), greatest.x, 6),
                  Axis::Rounded(least.y, greatest.y, 6), options.x_title,
                  /*x_unit=*/"", options.y_unit};
}

Markup DrawMark(const Box& area, const PlotAxes& axes, double x,
                const std::string& words) {
  const double place = axes.x.Place(x, area.x, area.x + area.width);
  const bool left = place > area.x + area.width / 2;
  return SvgLine({place, area.y}, {place, area.y + area.height}, "mark") +
         SvgText({place + (left ? -6 : 6), area.y + 11}, words, "tick halo",
                 left ? Anchor::kEnd : Anchor::kStart);
}

Markup DrawCurve(const Box& area, const PlotAxes& axes,
                 const PlotCurve& curve) {
  const std::string_view tone = ToneClass(curve.tone);
  std::vector<Point> places;
  for (const Point& point : curve.points) {
    places.push_back(PlaceIn(area, axes, point));
  }
  Markup drawing;
  if (places.size() > 1) drawing += SvgCurve(places, Concat("curve ", tone));
  if (curve.dots || places.size() == 1) {
    for (const Point& place : places) {
      drawing += SvgDot(place, 3, Concat("fill ", tone));
    }
  }
  return drawing;
}

}  // namespace

std::vector<Point> ThinnedOut(const std::vector<Point>& points,
                              size_t max_points) {
  if (points.size() <= max_points || max_points < 2) return points;
  std::vector<Point> thin;
  for (size_t i = 0; i < max_points; ++i) {
    thin.push_back(points[i * (points.size() - 1) / (max_points - 1)]);
  }
  return thin;
}

Markup LinePlot(const std::vector<PlotCurve>& curves,
                const LinePlotOptions& options) {
  const std::vector<PlotCurve> drawable = Drawable(curves);
  if (drawable.empty()) return {};
  const Box area = {kMargins.x, kMargins.y,
                    kPlotWidth - kMargins.x - kMargins.width,
                    options.height - kMargins.y - kMargins.height};
  const PlotAxes axes = AxesOf(drawable, options);
  Markup drawing = DrawAxes(area, axes);
  if (options.marked_x) {
    drawing += DrawMark(area, axes, *options.marked_x, options.mark);
  }
  std::vector<PlotKey> keys;
  for (const PlotCurve& curve : drawable) {
    drawing += DrawCurve(area, axes, curve);
    if (!curve.name.empty()) keys.push_back({curve.name, curve.tone});
  }
  return PlotFigure(options.title, keys,
                    Svg(kPlotWidth, options.height, options.title, drawing));
}

}  // namespace attune::client
