#include "client/output/heat_map.h"

#include <algorithm>
#include <cmath>

#include "client/output/figures.h"
#include "client/output/plot_frame.h"
#include "client/output/svg_shapes.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr int kMaxNumbered = 12;
constexpr int kMaxNamed = 30;
constexpr int kLabelColumns = 20;
constexpr double kColumnWidth = 6.4;  // of a character of a label
constexpr double kTitleHeight = 20;
constexpr int kNumShades = 10;

// The labels, their counts and where they stand.
struct HeatMapLayout {
  const std::vector<std::string>& labels;
  const std::vector<int64_t>& counts;
  double margin;  // for labels, at the left and above
  double cell;

  size_t size() const { return labels.size(); }
  bool named() const { return size() <= kMaxNamed; }
  bool numbered() const { return size() <= kMaxNumbered; }
  double side() const { return cell * static_cast<double>(size()); }
  double Begin(size_t i) const {
    return margin + cell * static_cast<double>(i);
  }
};

HeatMapLayout LayOut(const std::vector<std::string>& labels,
                     const std::vector<int64_t>& counts) {
  HeatMapLayout layout{labels, counts, kTitleHeight, 0};
  if (layout.named()) {
    int widest = 0;
    for (const std::string& label : labels) {
      widest = std::max(widest, DisplayWidth(CutTo(label, kLabelColumns)));
    }
    layout.margin += 8 + kColumnWidth * widest;
  }
  layout.cell = std::min(
      (kPlotWidth - layout.margin) / static_cast<double>(labels.size()), 52.0);
  return layout;
}

std::string LabelClass(const HeatMapLayout& layout) {
  return layout.cell < 12 ? "tick tiny" : "tick";
}

Markup DrawLabels(const HeatMapLayout& layout, const HeatMapOptions& options) {
  const double middle = layout.margin + layout.side() / 2;
  Markup drawing = SvgText({middle, 12}, options.column_title, "tick title",
                           Anchor::kMiddle) +
                   SvgUpwardText({12, middle}, options.row_title, "tick title",
                                 Anchor::kMiddle);
  if (!layout.named()) return drawing;
  const std::string classes = LabelClass(layout);
  for (size_t i = 0; i < layout.size(); ++i) {
    const std::string label = CutTo(layout.labels[i], kLabelColumns);
    const double centre = layout.Begin(i) + layout.cell / 2 + 4;
    drawing +=
        SvgText({layout.margin - 6, centre}, label, classes, Anchor::kEnd);
    drawing += SvgUpwardText({centre, layout.margin - 6}, label, classes,
                             Anchor::kStart);
  }
  return drawing;
}

Markup DrawCell(const HeatMapLayout& layout, size_t row, size_t column,
                int64_t row_total) {
  const int64_t count = layout.counts[row * layout.size() + column];
  const double x = layout.Begin(column);
  const double y = layout.Begin(row);
  const double share =
      static_cast<double>(count) / static_cast<double>(row_total);
  // The least of them can be seen, too; many labels have only small shares.
  const double strength = layout.numbered() ? share : std::sqrt(share);
  const int shade = std::clamp(
      static_cast<int>(std::ceil(strength * kNumShades)), 1, kNumShades);
  const Tone tone = row == column ? Tone::kBlue : Tone::kRed;
  Markup drawing =
      SvgBox({x, y, layout.cell, layout.cell},
             Concat("fill shade-", shade, " ", ToneClass(tone)),
             Concat(layout.labels[row], " answered as ", layout.labels[column],
                    ": ", FormatCount(count), " (", FormatPercent(share), ")"));
  if (layout.numbered()) {
    drawing += SvgText(
        {x + layout.cell / 2, y + layout.cell / 2 + 4}, FormatCount(count),
        Concat("count on-", shade, layout.cell < 34 ? " tiny" : ""),
        Anchor::kMiddle);
  }
  return drawing;
}

}  // namespace

Markup HeatMap(const std::vector<std::string>& labels,
               const std::vector<int64_t>& counts,
               const HeatMapOptions& options) {
  const size_t size = labels.size();
  if (size == 0 || size > kMaxHeatMapLabels || counts.size() != size * size) {
    return {};
  }
  const HeatMapLayout layout = LayOut(labels, counts);
  Markup drawing = DrawLabels(layout, options);
  for (size_t row = 0; row < size; ++row) {
    int64_t total = 0;
    for (size_t i = 0; i < size; ++i) {
      total += std::max<int64_t>(counts[row * size + i], 0);
    }
    for (size_t column = 0; column < size; ++column) {
      // Empty cells stay paper: a thousand labels have a million of them.
      if (counts[row * size + column] <= 0) continue;
      drawing += DrawCell(layout, row, column, total);
    }
  }
  drawing += SvgBox(
      {layout.margin, layout.margin, layout.side(), layout.side()}, "outline");
  const double extent = layout.margin + layout.side() + 1;
  return PlotFigure(options.title, {},
                    Svg(extent, extent, options.title, drawing));
}

}  // namespace attune::client
