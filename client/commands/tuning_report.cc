#include "client/commands/tuning_report.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/commands/report_figures.h"
#include "client/commands/spec_text.h"
#include "client/commands/template_candidates.h"
#include "client/output/figures.h"
#include "client/output/sparkline.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr int kMaxCurveColumns = 40;

}  // namespace

void PrintTuningReport(const v1::TuningReport& report, Console& console) {
  Stream& out = console.out;
  const std::vector<MetricRow> rows = MetricRows(report);
  if (!report.has_before()) {
    Table table({{"METRIC"}, {"TUNED", Table::Align::kRight}});
    for (const MetricRow& row : rows) {
      table.Add({row.name, FormatMetric(row.name, row.tuned)});
    }
    table.Print(out);
  } else {
    Table table({{"METRIC"},
                 {"BEFORE", Table::Align::kRight},
                 {"AFTER", Table::Align::kRight},
                 {"CHANGE", Table::Align::kRight}});
    for (const MetricRow& row : rows) {
      table.Add(
          {row.name, row.base ? FormatMetric(row.name, *row.base) : "-",
           FormatMetric(row.name, row.tuned),
           row.base ? FormatChange(row.name, *row.base, row.tuned) : "-"});
    }
    table.Print(out);
  }
  *out.stream << "on " << RowsText(report.after()) << ", " << StepsText(report)
              << '\n';
  PrintCurves(report, console);
  PrintTemplateCandidates(report, out);
}

void PrintCurves(const v1::TuningReport& report, Console& console) {
  std::vector<std::pair<std::string, const v1::TrainingSeries*>> curves;
  for (const v1::TrainingSeries& series : report.series()) {
    if (series.values_size() < 2) continue;
    if (series.name() == "loss") curves.emplace_back("training loss", &series);
    if (series.name().starts_with("validation_")) {
      curves.emplace_back(OneLine(LowerWords(series.name())), &series);
    }
  }
  int title_columns = 0;
  int plot_columns = 0;
  for (const auto& [title, series] : curves) {
    title_columns = std::max(title_columns, DisplayWidth(title));
    plot_columns = std::max(plot_columns,
                            std::min(kMaxCurveColumns, series->values_size()));
  }
  const bool unicode = console.unicode && console.out.terminal;
  for (const auto& [title, series] : curves) {
    const std::string metric =
        series->name().substr(series->name().find('_') + 1);
    const std::vector<double> values(series->values().begin(),
                                     series->values().end());
    *console.out.stream << PadRight(title, title_columns) << "  "
                        << PadRight(
                               Sparkline(values, kMaxCurveColumns, unicode),
                               plot_columns)
                        << "  " << FormatMetric(metric, values.front())
                        << " -> " << FormatMetric(metric, values.back())
                        << '\n';
  }
}

}  // namespace attune::client
