#include "client/commands/report_tables.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/commands/data_summary.h"
#include "client/commands/report_figures.h"
#include "client/commands/spec_text.h"
#include "client/commands/template_candidates.h"
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
// Columns and lines that fit on a screen.
constexpr size_t kMaxValidations = 8;
constexpr int kMaxF1Lines = 24;

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

void PrintMetrics(const v1::TuningReport& report, const ReportColumns& columns,
                  std::string_view other, Stream& out) {
  const std::vector<MetricRow> rows = MetricRows(report);
  if (rows.empty()) return;
  *out.stream << '\n';
  const bool compares = !other.empty();
  std::vector<Table::Column> titles = {{"METRIC"},
                                       {columns.result, Align::kRight}};
  if (compares) {
    titles.insert(titles.begin() + 1, {columns.base, Align::kRight});
    titles.push_back({"CHANGE", Align::kRight});
  }
  Table table(titles);
  bool intervals = false;
  for (const MetricRow& row : rows) {
    std::vector<std::string> cells = {
        row.name, BoundedText(row.name, row.tuned, row.tuned_interval)};
    if (compares) {
      cells.insert(
          cells.begin() + 1,
          row.base ? BoundedText(row.name, *row.base, row.base_interval) : "-");
      cells.push_back(row.base ? FormatChange(row.name, *row.base, row.tuned)
                               : "-");
    }
    table.Add(cells);
    intervals = intervals || row.tuned_interval || row.base_interval;
  }
  table.Print(out);
  if (intervals) {
    *out.stream << "in brackets: 95 % intervals, over draws of these rows\n";
  }
  if (other.empty()) return;
  *out.stream << '\n' << OneLine(VerdictText(report, other)) << '\n';
}

void PrintClasses(std::string_view title, const Classes& classes,
                  const Classes& base, const std::string& base_name,
                  Stream& out) {
  if (classes.empty()) return;
  PrintHeading(title, out);
  std::vector<Table::Column> columns = {{"LABEL"},
                                        {"PRECISION", Align::kRight},
                                        {"RECALL", Align::kRight},
                                        {"F1", Align::kRight},
                                        {"SUPPORT", Align::kRight}};
  if (!base.empty()) columns.push_back({base_name + " F1", Align::kRight});
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

void PrintExamples(const v1::TuningReport& report, const ReportColumns& columns,
                   Stream& out) {
  for (const ExampleGroup& group : ExampleGroups(report)) {
    PrintHeading(group.title, out);
    Table table({{"ROW", Align::kRight},
                 {"RIGHT ANSWER"},
                 {columns.base},
                 {columns.result},
                 {"INPUT"}});
    for (const v1::ChangedExample* example : group.examples) {
      table.Add({FormatCount(example->row()), example->right_answer(),
                 example->before(), example->after(), example->input()});
    }
    table.Print(out);
  }
}

// A line of F1 for each label or tag, a column for each validation.
void AddF1Lines(const std::vector<const v1::ValidationReport*>& shown,
                const Classes& (v1::EvaluationReport::*classes)() const,
                Table& table) {
  for (const v1::ClassReport& one : (shown.back()->report().*classes)()) {
    std::vector<std::string> cells = {Concat("f1 of ", one.label())};
    for (const v1::ValidationReport* validation : shown) {
      const v1::ClassReport* then =
          FindClass((validation->report().*classes)(), one.label());
      cells.push_back(then == nullptr ? "-" : FormatPercent(then->f1()));
    }
    table.Add(cells);
  }
}

void PrintValidations(const v1::TuningReport& report, Stream& out) {
  if (report.validations_size() < 2) return;
  const std::vector<const v1::ValidationReport*> shown =
      ShownValidations(report, kMaxValidations);
  PrintHeading("validations", out);
  std::vector<Table::Column> columns = {{"AFTER STEP"}};
  for (const v1::ValidationReport* one : shown) {
    columns.push_back({FormatCount(one->step()), Align::kRight});
  }
  Table table(columns);
  const auto add = [&](const std::string& title, auto text_of) {
    std::vector<std::string> cells = {title};
    for (const v1::ValidationReport* one : shown)
      cells.push_back(text_of(*one));
    table.Add(cells);
  };
  add("passes", [](const v1::ValidationReport& one) {
    return absl::StrFormat("%.1f", one.epoch());
  });
  add("loss", [](const v1::ValidationReport& one) {
    return FormatMetric("loss", one.report().loss());
  });
  for (const auto& [name, value] : SortedMetrics(shown.back()->report())) {
    add(name, [&name = name](const v1::ValidationReport& one) {
      const auto found = one.report().metrics().find(name);
      return found == one.report().metrics().end()
                 ? std::string("-")
                 : FormatMetric(name, found->second);
    });
  }
  if (shown.back()->report().classes_size() <= kMaxF1Lines) {
    AddF1Lines(shown, &v1::EvaluationReport::classes, table);
  }
  if (shown.back()->report().tags_size() <= kMaxF1Lines) {
    AddF1Lines(shown, &v1::EvaluationReport::tags, table);
  }
  table.Print(out);
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

void PrintData(const v1::TuningReport& report, Stream& out) {
  if (report.splits().empty() && report.samples().empty()) return;
  PrintHeading("data", out);
  PrintSplits(report.splits(), out);
  PrintLabelBalance(report.splits(), out);
  PrintSamples(report.samples(), out);
}

}  // namespace

void PrintEvaluation(const v1::TuningReport& report,
                     const ReportColumns& columns, std::string_view other,
                     Stream& out) {
  const v1::EvaluationReport& after = report.after();
  PrintMetrics(report, columns, other, out);
  PrintClasses(after.tags_size() > 0 ? "per type of entity" : "per label",
               after.classes(), report.before().classes(), columns.base, out);
  PrintClasses("per tag, over words", after.tags(), report.before().tags(),
               columns.base, out);
  PrintConfusions(after.confusion_matrix(), out);
  PrintReliability(after, out);
  PrintExamples(report, columns, out);
}

void PrintReport(const v1::PromptVersion& version, Console& console) {
  PrintSummary(version, console.out);
  PrintEvaluation(version.report(), {}, "base", console.out);
  PrintData(version.report(), console.out);
  PrintTemplateCandidates(version.report(), console.out);
  PrintTraining(version.report(), console);
  PrintValidations(version.report(), console.out);
}

}  // namespace attune::client
