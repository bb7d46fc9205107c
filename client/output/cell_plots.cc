#include "client/output/cell_plots.h"

#include <cmath>

#include "client/output/axis.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr double kWhiskerWidth = 200;
constexpr double kWhiskerRow = 15;
constexpr double kScaleHeight = 14;
constexpr double kShareWidth = 200;
constexpr double kShareHeight = 14;
constexpr double kEdge = 5;  // for half a dot

bool HasBounds(const Whisker& whisker) {
  return whisker.low && whisker.high && std::isfinite(*whisker.low) &&
         std::isfinite(*whisker.high);
}

Markup DrawWhisker(const Whisker& whisker, const Axis& axis, double y) {
  const auto place = [&axis](double value) {
    return axis.Place(value, kEdge, kWhiskerWidth - kEdge);
  };
  const std::string tone(ToneClass(whisker.tone));
  Markup drawing;
  if (HasBounds(whisker)) {
    const double from = place(*whisker.low);
    const double to = place(*whisker.high);
    const std::string classes = Concat("curve ", tone);
    drawing += SvgLine({from, y}, {to, y}, classes);
    drawing += SvgLine({from, y - 4}, {from, y + 4}, classes);
    drawing += SvgLine({to, y - 4}, {to, y + 4}, classes);
  }
  return drawing + SvgDot({place(whisker.value), y}, 4, Concat("fill ", tone));
}

}  // namespace

Markup WhiskerCell(const std::vector<Whisker>& whiskers, const CellScale& scale,
                   const std::string& description) {
  const Axis axis = Axis::Exact(scale.low, scale.high, 5);
  const double bottom = kWhiskerRow * static_cast<double>(whiskers.size()) + 4;
  Markup drawing;
  for (int i = 0; i <= 4; ++i) {
    const double x = kEdge + (kWhiskerWidth - 2 * kEdge) * i / 4;
    drawing += SvgLine({x, 0}, {x, bottom}, "grid");
  }
  drawing +=
      SvgText({0, bottom + 11}, scale.low_label, "tick tiny", Anchor::kStart) +
      SvgText({kWhiskerWidth, bottom + 11}, scale.high_label, "tick tiny",
              Anchor::kEnd);
  double y = kWhiskerRow / 2 + 2;
  for (const Whisker& whisker : whiskers) {
    if (std::isfinite(whisker.value)) drawing += DrawWhisker(whisker, axis, y);
    y += kWhiskerRow;
  }
  return Svg(kWhiskerWidth, bottom + kScaleHeight, description, drawing);
}

Markup ShareCell(double share, std::optional<double> other,
                 const std::string& description) {
  const Axis axis = Axis::Exact(0, 1, 2);
  Markup drawing = SvgBox({0, 3, kShareWidth, 8}, "track") +
                   SvgBox({0, 3, axis.Place(share, 0, kShareWidth), 8},
                          Concat("fill ", ToneClass(Tone::kBlue)));
  if (other && std::isfinite(*other)) {
    const double x = axis.Place(*other, 1, kShareWidth - 1);
    drawing += SvgLine({x, 0}, {x, kShareHeight},
                       Concat("curve ", ToneClass(Tone::kAmber)));
  }
  return Svg(kShareWidth, kShareHeight, description, drawing);
}

}  // namespace attune::client
