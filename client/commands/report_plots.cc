#include "client/commands/report_plots.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/commands/report_figures.h"
#include "client/commands/spec_text.h"
#include "client/output/axis.h"
#include "client/output/cell_plots.h"
#include "client/output/figures.h"
#include "client/output/heat_map.h"
#include "client/output/html_page.h"
#include "client/output/html_table.h"
#include "client/output/line_plot.h"
#include "client/output/reliability_plot.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using CellKind = HtmlTable::Kind;
using Interval = std::optional<v1::MetricInterval>;

// The base is amber and the result blue wherever both are shown.
constexpr Tone kBaseTone = Tone::kAmber;
constexpr Tone kTunedTone = Tone::kBlue;
constexpr double kSmallPlotHeight = 190;
constexpr int kMaxReadableLabels = 12;
constexpr int kMaxFullRows = 30;
constexpr size_t kMaxListedConfusions = 15;

Markup ValueCell(const std::string& metric, const std::optional<double>& value,
                 const Interval& interval) {
  if (!value) return Markup::Text("-");
  Markup cell = Markup::Text(FormatMetric(metric, *value));
  if (interval) {
    cell += Markup::Element("small", {},
                            Markup::Text(IntervalText(metric, *interval)));
  }
  return cell;
}

Whisker WhiskerOf(double value, const Interval& interval, Tone tone) {
  Whisker whisker{value, {}, {}, tone};
  if (interval) {
    whisker.low = interval->low();
    whisker.high = interval->high();
  }
  return whisker;
}

// "0%", "2.5"
std::string EndText(const std::string& metric, const Axis& axis, double end) {
  return IsShare(metric) ? absl::StrFormat("%.0f%%", end * 100)
                         : axis.Label(end);
}

// Shares between 0 and 1, correlations down to -1, all else from 0 to what
// there is.
Markup MetricPlot(const MetricRow& row) {
  std::vector<Whisker> whiskers;
  if (row.base) {
    whiskers.push_back(WhiskerOf(*row.base, row.base_interval, kBaseTone));
  }
  whiskers.push_back(WhiskerOf(row.tuned, row.tuned_interval, kTunedTone));
  double low = 0;
  double high = IsShare(row.name) ? 1 : 0;
  for (const Whisker& whisker : whiskers) {
    low = std::min({low, whisker.value, whisker.low.value_or(0)});
    high = std::max({high, whisker.value, whisker.high.value_or(0)});
  }
  const Axis axis = Axis::Rounded(low, high, 6);
  const std::string low_label = EndText(row.name, axis, axis.low());
  const std::string high_label = EndText(row.name, axis, axis.high());
  return WhiskerCell(
      whiskers, {axis.low(), axis.high(), low_label, high_label},
      Concat(row.name, " between ", low_label, " and ", high_label));
}

std::vector<Point> PointsOf(const v1::TrainingSeries& series, double scale) {
  std::vector<Point> points;
  const int size = std::min(series.steps_size(), series.values_size());
  points.reserve(size);
  for (int i = 0; i < size; ++i) {
    points.push_back(
        {static_cast<double>(series.steps(i)), series.values(i) * scale});
  }
  return points;
}

// A plot of the series that the report has; empty names leave the key out.
struct SeriesLine {
  std::string_view series;
  std::string name;
  Tone tone;
  bool dots;
};

Markup SeriesPlot(const v1::TuningReport& report,
                  const std::vector<SeriesLine>& lines,
                  LinePlotOptions options) {
  const double scale = options.y_unit == "%" ? 100 : 1;
  std::vector<PlotCurve> curves;
  for (const SeriesLine& line : lines) {
    const v1::TrainingSeries* series = FindSeries(report, line.series);
    if (series == nullptr) continue;
    curves.push_back(
        {line.name, line.tone, PointsOf(*series, scale), line.dots});
  }
  options.x_title = "step";
  return LinePlot(curves, options);
}

// Marks the best step.
LinePlotOptions BestMarked(const v1::TuningReport& report, std::string title) {
  LinePlotOptions options;
  options.title = std::move(title);
  if (report.best_step() > 0) {
    options.marked_x = report.best_step();
    options.mark = Concat("best: step ", FormatCount(report.best_step()));
  }
  return options;
}

Markup ValidationPlot(const v1::TuningReport& report) {
  const std::string& metric = report.validation_metric_name();
  if (metric.empty() || metric == "loss") return {};
  LinePlotOptions options =
      BestMarked(report, Concat("Validation ", LowerWords(metric)));
  if (IsShare(metric)) options.y_unit = "%";
  return SeriesPlot(
      report, {{Concat("validation_", metric), "", kTunedTone, true}}, options);
}

Markup SmallPlot(const v1::TuningReport& report, std::string_view series,
                 std::string title) {
  LinePlotOptions options;
  options.title = std::move(title);
  options.height = kSmallPlotHeight;
  return SeriesPlot(report, {{series, "", Tone::kGrey, false}}, options);
}

Markup MatrixPlot(const v1::ConfusionMatrix& matrix, std::string title) {
  return HeatMap({matrix.labels().begin(), matrix.labels().end()},
                 {matrix.counts().begin(), matrix.counts().end()},
                 {std::move(title), "right answer", "answered"});
}

Markup ConfusionTable(const v1::ConfusionMatrix& matrix) {
  HtmlTable table({{"right answer"},
                   {"answered"},
                   {"count", CellKind::kNumber},
                   {"of its label", CellKind::kNumber}});
  for (const Confusion& confusion :
       LargestConfusions(matrix, kMaxListedConfusions)) {
    table.Add({Markup::Text(confusion.label), Markup::Text(confusion.answered),
               Markup::Text(FormatCount(confusion.count)),
               Markup::Text(FormatPercent(confusion.share))});
  }
  if (table.empty()) return {};
  return Markup::Element("h3", {}, Markup::Text("Largest confusions")) +
         table.Make();
}

ReliabilityCurve CurveOf(const v1::EvaluationReport& evaluation,
                         std::string name, Tone tone) {
  ReliabilityCurve curve{std::move(name), tone, {}};
  for (const v1::ReliabilityBin& bin : evaluation.reliability()) {
    curve.points.push_back({bin.confidence(), bin.accuracy(), bin.num_rows()});
  }
  return curve;
}

std::string ReliabilityNote(const v1::TuningReport& report) {
  const auto after = CalibrationError(report.after());
  if (!after) return "";
  const auto before = CalibrationError(report.before());
  return Concat(
      "On the dashed line a model is as often right as it is sure; below it "
      "the model is too sure. Mean distance from it: ",
      FormatPercent(*after),
      before ? Concat(" (base: ", FormatPercent(*before), ").") : ".");
}

}  // namespace

Markup MetricFigures(const v1::TuningReport& report) {
  const bool base = report.has_before();
  std::vector<HtmlTable::Column> columns = {{"metric"}};
  if (base) columns.push_back({"base", CellKind::kNumber});
  columns.push_back({"tuned", CellKind::kNumber});
  if (base) columns.push_back({"change", CellKind::kNumber});
  columns.push_back(
      {base ? "base (amber) and tuned (blue)" : "tuned", CellKind::kPlot});
  HtmlTable table(columns);
  bool intervals = false;
  for (const MetricRow& row : MetricRows(report)) {
    std::vector<Markup> cells = {Markup::Text(LowerWords(row.name))};
    if (base) cells.push_back(ValueCell(row.name, row.base, row.base_interval));
    cells.push_back(ValueCell(row.name, row.tuned, row.tuned_interval));
    if (base) {
      cells.push_back(Markup::Text(
          row.base ? FormatChange(row.name, *row.base, row.tuned) : "-"));
    }
    cells.push_back(MetricPlot(row));
    table.Add(std::move(cells));
    intervals = intervals || row.base_interval || row.tuned_interval;
  }
  if (table.empty()) return {};
  Markup figures = table.Make();
  if (intervals) {
    figures += HtmlParagraph(
        "Small numbers and whiskers are 95 % intervals: where the metric lies "
        "in 95 of 100 draws of these rows, with replacement. Each metric has a "
        "scale of its own.",
        "note");
  }
  return figures;
}

Markup TrainingFigures(const v1::TuningReport& report) {
  return HtmlColumns(
      {SeriesPlot(report,
                  {{"loss", "training", Tone::kGrey, false},
                   {"validation_loss", "validation", kTunedTone, true}},
                  BestMarked(report, "Loss")),
       ValidationPlot(report),
       SmallPlot(report, "learning_rate", "Learning rate"),
       SmallPlot(report, "grad_norm", "Norm of the gradient")});
}

Markup ConfusionFigures(const v1::TuningReport& report) {
  const v1::ConfusionMatrix& after = report.after().confusion_matrix();
  if (!IsMatrix(after)) return {};
  Markup figures =
      HtmlColumns({MatrixPlot(report.before().confusion_matrix(), "Base"),
                   MatrixPlot(after, "Tuned")});
  figures += HtmlParagraph(
      "Blue cells are right, red ones wrong; the stronger, the larger the "
      "share of its row.",
      "note");
  if (after.labels_size() > kMaxReadableLabels) {
    figures += ConfusionTable(after);
  }
  return figures;
}

Markup ReliabilityFigures(const v1::TuningReport& report) {
  const Markup plot =
      ReliabilityPlot("Right answers by confidence",
                      {CurveOf(report.before(), "base", kBaseTone),
                       CurveOf(report.after(), "tuned", kTunedTone)});
  if (plot.empty()) return {};
  HtmlTable table({{"sure", CellKind::kNumber},
                   {"right", CellKind::kNumber},
                   {"rows", CellKind::kNumber}});
  for (const v1::ReliabilityBin& bin : report.after().reliability()) {
    table.Add({Markup::Text(FormatPercent(bin.confidence())),
               Markup::Text(FormatPercent(bin.accuracy())),
               Markup::Text(FormatCount(bin.num_rows()))});
  }
  const Markup numbers =
      table.empty()
          ? Markup()
          : Markup::Element(
                "div", {},
                Markup::Element("h3", {}, Markup::Text("Tuned, in numbers")) +
                    table.Make() +
                    HtmlParagraph(ReliabilityNote(report), "note"));
  return HtmlColumns({plot, numbers});
}

Markup ClassFigures(const ClassReports& classes, const ClassReports& base,
                    std::string_view title) {
  std::vector<HtmlTable::Column> columns = {{std::string(title)},
                                            {"precision", CellKind::kNumber},
                                            {"recall", CellKind::kNumber},
                                            {"F1", CellKind::kNumber}};
  if (!base.empty()) columns.push_back({"base F1", CellKind::kNumber});
  columns.push_back(
      {base.empty() ? "" : "the line is the base's F1", CellKind::kPlot});
  columns.push_back({"support", CellKind::kNumber});
  HtmlTable table(columns, classes.size() > kMaxFullRows
                               ? HtmlTable::Height::kLimited
                               : HtmlTable::Height::kFull);
  for (const v1::ClassReport& one : classes) {
    const v1::ClassReport* before = FindClass(base, one.label());
    const std::string f1 = FormatPercent(one.f1());
    std::vector<Markup> cells = {
        Markup::Text(one.label()), Markup::Text(FormatPercent(one.precision())),
        Markup::Text(FormatPercent(one.recall())), Markup::Text(f1)};
    std::optional<double> mark;
    if (before != nullptr) mark = before->f1();
    if (!base.empty()) {
      cells.push_back(Markup::Text(mark ? FormatPercent(*mark) : "-"));
    }
    cells.push_back(ShareCell(one.f1(), mark, Concat("F1 ", f1)));
    cells.push_back(Markup::Text(FormatCount(one.support())));
    table.Add(std::move(cells));
  }
  return table.empty() ? Markup() : table.Make();
}

}  // namespace attune::client
