#include "client/output/reliability_plot.h"

#include <algorithm>
#include <cmath>

#include "client/output/axis.h"
#include "client/output/figures.h"
#include "client/output/plot_frame.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr Box kCurveArea = {56, 10, 388, 240};
constexpr Box kCountArea = {56, 304, 388, 60};
constexpr double kPlotHeight = 406;
constexpr int kNumBins = 10;

bool IsFinite(const ReliabilityPoint& point) {
  return std::isfinite(point.confidence) && std::isfinite(point.accuracy);
}

PlotAxes PercentAxes() {
  return PlotAxes{Axis::Exact(0, 100, 6), Axis::Exact(0, 100, 6),
                  "how sure the model is", "%", "%"};
}

std::string Tooltip(const std::string& name, const ReliabilityPoint& point) {
  return Concat(name, ": ", FormatPercent(point.confidence), " sure, ",
                FormatPercent(point.accuracy), " right, ",
                FormatCount(point.count), point.count == 1 ? " row" : " rows");
}

Markup DrawReliability(const ReliabilityCurve& curve, const PlotAxes& axes) {
  std::vector<Point> places;
  Markup dots;
  for (const ReliabilityPoint& point : curve.points) {
    if (!IsFinite(point)) continue;
    places.push_back(PlaceIn(kCurveArea, axes,
                             {point.confidence * 100, point.accuracy * 100}));
    dots += SvgDot(places.back(), 4, Concat("fill ", ToneClass(curve.tone)),
                   Tooltip(curve.name, point));
  }
  if (places.size() < 2) return dots;
  return SvgCurve(places, Concat("curve ", ToneClass(curve.tone))) + dots;
}

// A bar for each bin, those of all curves beside each other.
Markup DrawCounts(const std::vector<ReliabilityCurve>& curves) {
  int64_t most = 1;
  for (const ReliabilityCurve& curve : curves) {
    for (const ReliabilityPoint& point : curve.points) {
      most = std::max(most, point.count);
    }
  }
  const PlotAxes axes{Axis::Exact(0, 100, 6),
                      Axis::Exact(0, static_cast<double>(most), 3),
                      "number of rows", "%", ""};
  Markup drawing = DrawAxes(kCountArea, axes);
  const double bin = kCountArea.width / kNumBins;
  const double bar =
      (bin - 8) / static_cast<double>(std::max<size_t>(curves.size(), 1));
  for (size_t i = 0; i < curves.size(); ++i) {
    for (const ReliabilityPoint& point : curves[i].points) {
      if (!IsFinite(point)) continue;
      const int index = std::clamp(
          static_cast<int>(std::ceil(point.confidence * kNumBins)) - 1, 0,
          kNumBins - 1);
      const double top =
          PlaceIn(kCountArea, axes, {0, static_cast<double>(point.count)}).y;
      drawing +=
          SvgBox({kCountArea.x + bin * index + 4 + bar * static_cast<double>(i),
                  top, bar, kCountArea.y + kCountArea.height - top},
                 Concat("fill ", ToneClass(curves[i].tone)),
                 Tooltip(curves[i].name, point));
    }
  }
  return drawing;
}

}  // namespace

Markup ReliabilityPlot(const std::string& title,
                       const std::vector<ReliabilityCurve>& curves) {
  std::vector<ReliabilityCurve> drawn;
  std::vector<PlotKey> keys;
  for (const ReliabilityCurve& curve : curves) {
    if (std::none_of(curve.points.begin(), curve.points.end(), IsFinite)) {
      continue;
    }
    drawn.push_back(curve);
    keys.push_back({curve.name, curve.tone});
  }
  if (drawn.empty()) return {};
  const PlotAxes axes = PercentAxes();
  Markup drawing = DrawAxes(kCurveArea, axes);
  drawing += SvgLine(PlaceIn(kCurveArea, axes, {0, 0}),
                     PlaceIn(kCurveArea, axes, {100, 100}), "mark");
  for (const ReliabilityCurve& curve : drawn) {
    drawing += DrawReliability(curve, axes);
  }
  drawing += DrawCounts(drawn);
  return PlotFigure(title, keys, Svg(kPlotWidth, kPlotHeight, title, drawing));
}

}  // namespace attune::client
