#include "client/commands/report_tables.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "client/commands/report_figures.h"
#include "client/commands/spec_text.h"
#include "client/commands/tuning_report.h"
#include "client/output/figures.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Align = Table::Align;
using Classes = google::protobuf::RepeatedPtrField<v1::ClassReport>;

// More labels than this make a matrix that nobody reads.
constexpr int kMaxMatrixLabels = 12;
constexpr size_t kMaxConfusions = 15;

void PrintHeading(std::string_view title, Stream& out) {
  *out.stream << '\n' << out.Paint(Style::kBold, title) << '\n';
}

// "91.3% (86.7% to 95.3%)"
std::string BoundedText(const std::string& metric, double value,
                        const std::optional<v1::MetricInterval>& interval) {
  const std::string text = FormatMetric(metric, value);
  return interval ? Concat(text, " (", IntervalText(metric, *interval), ")")
                  : text;
}

void PrintSummary(const v1::PromptVersion& version, Stream& out) {
  Details details;
  details.Add("version", version.name());
  details.Add("base model", version.base_model());
  details.Add("task", TaskText(version.task()));
  details.Add("method", MethodText(version.method()));
  details.AddIf("data", DataText(version));
  if (version.report().has_after()) {
    details.Add("measured on", RowsText(version.report().after()));
  }
  details.Print(out);
}

void PrintMetrics(const v1::TuningReport& report, Stream& out) {
  const std::vector<MetricRow> rows = MetricRows(report);
  if (rows.empty()) return;
  *out.stream << '\n';
  Table table({{"METRIC"},
               {"BASE", Align::kRight},
               {"TUNED", Align::kRight},
               {"CHANGE", Align::kRight}});
  bool intervals = false;
  for (const MetricRow& row : rows) {
    table.Add(
        {row.name,
         row.base ? BoundedText(row.name, *row.base, row.base_interval) : "-",
         BoundedText(row.name, row.tuned, row.tuned_interval),
         row.base ? FormatChange(row.name, *row.base, row.tuned) : "-"});
    intervals = intervals || row.tuned_interval || row.base_interval;
  }
  table.Print(out);
  if (intervals) {
    *out.stream << "in brackets: 95 % intervals, over draws of these rows\n";
  }
  *out.stream << '\n' << OneLine(VerdictText(report)) << '\n';
}

void PrintClasses(std::string_view title, const Classes& classes,
                  const Classes& base, Stream& out) {
  if (classes.empty()) return;
  PrintHeading(title, out);
  std::vector<Table::Column> columns = {{"LABEL"},
                                        {"PRECISION", Align::kRight},
                                        {"RECALL", Align::kRight},
                                        {"F1", Align::kRight},
                                        {"SUPPORT", Align::kRight}};
  if (!base.empty()) columns.push_back({"BASE F1", Align::kRight});
  Table table(columns);
  for (const v1::ClassReport& one : classes) {
    const v1::ClassReport* before = FindClass(base, one.label());
    table.Add({one.label(), FormatPercent(one.precision()),
               FormatPercent(one.recall()), FormatPercent(one.f1()),
               FormatCount(one.support()),
               before == nullptr ? "-" : FormatPercent(before->f1())});
  }
  table.Print(out);
}

// Columns by number: names would seldom fit beside each other.
void PrintMatrix(const v1::ConfusionMatrix& matrix, Stream& out) {
  PrintHeading("confusion matrix (rows: right answer, columns: answered)", out);
  const int size = matrix.labels_size();
  std::vector<Table::Column> columns = {{"", Align::kRight}, {"LABEL"}};
  for (int i = 0; i < size; ++i) {
    columns.push_back({std::to_string(i + 1), Align::kRight});
  }
  Table table(columns);
  for (int i = 0; i < size; ++i) {
    std::vector<std::string> cells = {std::to_string(i + 1), matrix.labels(i)};
    for (int j = 0; j < size; ++j) {
      const int64_t count = matrix.counts(i * size + j);
      cells.push_back(count == 0 ? "." : FormatCount(count));
    }
    table.Add(cells);
  }
  table.Print(out);
}

void PrintConfusions(const v1::ConfusionMatrix& matrix, Stream& out) {
  if (!IsMatrix(matrix)) return;
  if (matrix.labels_size() <= kMaxMatrixLabels) {
    PrintMatrix(matrix, out);
    return;
  }
  const std::vector<Confusion> confusions =
      LargestConfusions(matrix, kMaxConfusions);
  if (confusions.empty()) return;
  PrintHeading("largest confusions", out);
  Table table({{"RIGHT ANSWER"},
               {"ANSWERED"},
               {"COUNT", Align::kRight},
               {"OF ITS LABEL", Align::kRight}});
  for (const Confusion& confusion : confusions) {
    table.Add({confusion.label, confusion.answered,
               FormatCount(confusion.count), FormatPercent(confusion.share)});
  }
  table.Print(out);
}

void PrintReliability(const v1::EvaluationReport& evaluation, Stream& out) {
  const std::optional<double> error = CalibrationError(evaluation);
  if (!error) return;
  PrintHeading("how right the answers are, by how sure the model is", out);
  Table table({{"SURE", Align::kRight},
               {"RIGHT", Align::kRight},
               {"ROWS", Align::kRight}});
  for (const v1::ReliabilityBin& bin : evaluation.reliability()) {
    table.Add({FormatPercent(bin.confidence()), FormatPercent(bin.accuracy()),
               FormatCount(bin.num_rows())});
  }
  table.Print(out);
  *out.stream << "mean distance of the two: " << FormatPercent(*error) << '\n';
}

void PrintExamples(const v1::TuningReport& report, Stream& out) {
  for (const ExampleGroup& group : ExampleGroups(report)) {
    PrintHeading(group.title, out);
    Table table({{"ROW", Align::kRight},
                 {"RIGHT ANSWER"},
                 {"BASE"},
                 {"TUNED"},
                 {"INPUT"}});
    for (const v1::ChangedExample* example : group.examples) {
      table.Add({FormatCount(example->row()), example->right_answer(),
                 example->before(), example->after(), example->input()});
    }
    table.Print(out);
  }
}

void PrintTraining(const v1::TuningReport& report, Console& console) {
  Stream& out = console.out;
  PrintHeading("training", out);
  Details details;
  if (report.stop_reason() == v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN) {
    details.Add("steps", StepsText(report));
  } else {
    details.Add("steps", FormatCount(report.num_steps()));
    details.Add("best step", FormatCount(report.best_step()));
    details.AddIf("ended by", StopText(report));
    details.Add("time",
                ShortDuration(absl::Seconds(report.training_seconds())));
  }
  if (report.num_trained_tokens() > 0) {
    details.Add("tokens", FormatCount(report.num_trained_tokens()));
  }
  if (report.num_truncated_rows() > 0) {
    details.Add("rows cut to fit", FormatCount(report.num_truncated_rows()));
  }
  if (report.num_nonfinite_steps() > 0) {
    details.Add("steps left out", FormatCount(report.num_nonfinite_steps()));
  }
  details.Print(out);
  PrintCurves(report, console);
}

}  // namespace

void PrintReport(const v1::PromptVersion& version, Console& console) {
  Stream& out = console.out;
  const v1::TuningReport& report = version.report();
  const v1::EvaluationReport& after = report.after();
  PrintSummary(version, out);
  PrintMetrics(report, out);
  PrintClasses(after.tags_size() > 0 ? "per type of entity" : "per label",
               after.classes(), report.before().classes(), out);
  PrintClasses("per tag, over words", after.tags(), report.before().tags(),
               out);
  PrintConfusions(after.confusion_matrix(), out);
  PrintReliability(after, out);
  PrintExamples(report, out);
  PrintTraining(report, console);
}

}  // namespace attune::client
