#include "client/commands/report_figures.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_format.h"
#include "client/commands/spec_text.h"
#include "client/output/figures.h"
#include "client/output/text_width.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr double kSignificance = 0.05;

// The metrics of `evaluation` and its loss.
std::map<std::string, double> MetricsOf(
    const v1::EvaluationReport& evaluation) {
  std::map<std::string, double> metrics(evaluation.metrics().begin(),
                                        evaluation.metrics().end());
  metrics["loss"] = evaluation.loss();
  return metrics;
}

std::optional<v1::MetricInterval> IntervalOf(
    const v1::EvaluationReport& evaluation, const std::string& metric) {
  const auto found = evaluation.intervals().find(metric);
  if (found == evaluation.intervals().end()) return std::nullopt;
  return found->second;
}

bool IncludesZero(const v1::MetricInterval& interval) {
  return interval.low() <= 0 && interval.high() >= 0;
}

// "p < 0.001 (McNemar)"
std::string PValueText(const v1::VersionComparison& comparison) {
  const double p = comparison.p_value();
  std::string text =
      p < 0.001 ? "p < 0.001" : absl::StrFormat("p = %.*f", p < 0.1 ? 3 : 2, p);
  if (comparison.test() == v1::VersionComparison::SIGNIFICANCE_TEST_MCNEMAR) {
    text += " (McNemar)";
  }
  return text;
}

// A change of `metric` with its sign, without a unit.
std::string SignedText(std::string_view metric, double change) {
  if (IsShare(metric)) return absl::StrFormat("%+.1f", change * 100);
  return Concat(change < 0 ? "" : "+", FormatNumber(change));
}

// "accuracy +82.7 points (95 % interval +78.0 to +88.1)": as the metric
// changes, which for a loss is against the improvement.
std::string ChangeText(const v1::VersionComparison& comparison) {
  const std::string& metric = comparison.metric();
  const bool lower = LowerIsBetter(metric);
  const double change =
      lower ? -comparison.improvement() : comparison.improvement();
  std::string text =
      Concat(LowerWords(metric), " ", FormatChange(metric, 0, change));
  if (!comparison.has_interval()) {
    return Concat(text, ", without an interval");
  }
  const v1::MetricInterval& interval = comparison.interval();
  return Concat(text, " (95 % interval ",
                SignedText(metric, lower ? -interval.high() : interval.low()),
                " to ",
                SignedText(metric, lower ? -interval.low() : interval.high()),
                IncludesZero(interval) ? ", which includes no change)" : ")");
}

std::string CountedRows(int64_t count) {
  return Concat(FormatCount(count), count == 1 ? " row" : " rows");
}

}  // namespace

std::vector<MetricRow> MetricRows(const v1::TuningReport& report) {
  std::vector<MetricRow> rows;
  if (!report.has_after()) return rows;
  const auto base = MetricsOf(report.before());
  for (const auto& [name, value] : MetricsOf(report.after())) {
    MetricRow row;
    row.name = name;
    row.tuned = value;
    row.tuned_interval = IntervalOf(report.after(), name);
    const auto found = base.find(name);
    if (report.has_before() && found != base.end()) {
      row.base = found->second;
      row.base_interval = IntervalOf(report.before(), name);
    }
    rows.push_back(std::move(row));
  }
  std::stable_partition(rows.begin(), rows.end(), [&](const MetricRow& row) {
    return row.name == report.validation_metric_name();
  });
  return rows;
}

std::string IntervalText(std::string_view metric,
                         const v1::MetricInterval& interval) {
  return Concat(FormatMetric(metric, interval.low()), " to ",
                FormatMetric(metric, interval.high()));
}

Verdict VerdictOf(const v1::TuningReport& report) {
  if (!report.has_comparison()) return Verdict::kNotCompared;
  const v1::VersionComparison& comparison = report.comparison();
  if (comparison.test() ==
      v1::VersionComparison::SIGNIFICANCE_TEST_UNSPECIFIED) {
    return Verdict::kUntested;
  }
  const bool includes_zero =
      comparison.has_interval() && IncludesZero(comparison.interval());
  if (includes_zero || comparison.p_value() >= kSignificance) {
    return Verdict::kUnclear;
  }
  return comparison.improvement() > 0 ? Verdict::kBetter : Verdict::kWorse;
}

std::string VerdictText(const v1::TuningReport& report,
                        std::string_view other) {
  std::string text;
  switch (VerdictOf(report)) {
    case Verdict::kNotCompared:
      return report.has_before()
                 ? Concat("The report has no comparison with the ", other,
                          " row by row: whether the difference is more than "
                          "chance is open.")
                 : Concat("Not compared with the ", other,
                          ", which was not measured.");
    case Verdict::kUntested:
      text = "Not held against chance: ";
      break;
    case Verdict::kUnclear:
      text = Concat("No clear difference from the ", other, ": ");
      break;
    case Verdict::kBetter:
      text = Concat("Better than the ", other, ": ");
      break;
    case Verdict::kWorse:
      text = Concat("Worse than the ", other, ": ");
      break;
  }
  const v1::VersionComparison& comparison = report.comparison();
  text += ChangeText(comparison);
  if (comparison.num_gained_rows() + comparison.num_lost_rows() > 0) {
    text += Concat("; better on ", CountedRows(comparison.num_gained_rows()),
                   ", worse on ", FormatCount(comparison.num_lost_rows()));
  }
  if (VerdictOf(report) == Verdict::kUntested) return Concat(text, ".");
  return Concat(text, "; ", PValueText(comparison), ".");
}

std::string RowsText(const v1::EvaluationReport& evaluation) {
  return Concat(FormatCount(evaluation.num_rows()), " rows of ",
                evaluation.split().empty() ? "the test split"
                                           : OneLine(evaluation.split()));
}

std::string StepsText(const v1::TuningReport& report) {
  if (report.stop_reason() == v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN) {
    return "nothing trained";
  }
  return Concat("after ", FormatCount(report.num_steps()),
                " steps (best: step ", FormatCount(report.best_step()), ")");
}

std::string StopText(const v1::TuningReport& report) {
  if (report.stop_reason() == v1::TuningReport::STOP_REASON_UNSPECIFIED) {
    return "";
  }
  constexpr std::string_view kPrefix = "STOP_REASON_";
  std::string_view name =
      v1::TuningReport::StopReason_Name(report.stop_reason());
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  return LowerWords(name);
}

std::string DataText(const v1::PromptVersion& version) {
  if (!version.has_snapshot()) return "";
  const std::string text = SnapshotText(version.snapshot());
  if (!version.report().has_split_counts()) return text;
  const v1::SplitCounts& counts = version.report().split_counts();
  return Concat(text, " (", FormatCount(counts.train()), " train, ",
                FormatCount(counts.validation()), " validation, ",
                FormatCount(counts.test()), " test)");
}

bool IsMatrix(const v1::ConfusionMatrix& matrix) {
  const int64_t size = matrix.labels_size();
  return size > 0 && matrix.counts_size() == size * size;
}

std::vector<Confusion> LargestConfusions(const v1::ConfusionMatrix& matrix,
                                         size_t max_confusions) {
  std::vector<Confusion> confusions;
  if (!IsMatrix(matrix)) return confusions;
  const int size = matrix.labels_size();
  for (int i = 0; i < size; ++i) {
    int64_t total = 0;
    for (int j = 0; j < size; ++j) total += matrix.counts(i * size + j);
    for (int j = 0; j < size; ++j) {
      const int64_t count = matrix.counts(i * size + j);
      if (i == j || count <= 0) continue;
      confusions.push_back(
          {matrix.labels(i), matrix.labels(j), count,
           static_cast<double>(count) / static_cast<double>(total)});
    }
  }
  std::stable_sort(
      confusions.begin(), confusions.end(),
      [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  if (confusions.size() > max_confusions) confusions.resize(max_confusions);
  return confusions;
}

std::optional<double> CalibrationError(const v1::EvaluationReport& evaluation) {
  double distance = 0;
  double num_rows = 0;
  for (const v1::ReliabilityBin& bin : evaluation.reliability()) {
    const double weight = static_cast<double>(bin.num_rows());
    distance += weight * std::abs(bin.accuracy() - bin.confidence());
    num_rows += weight;
  }
  if (num_rows <= 0) return std::nullopt;
  return distance / num_rows;
}

std::vector<const v1::ValidationReport*> ShownValidations(
    const v1::TuningReport& report, size_t max_shown) {
  const size_t count = report.validations_size();
  const size_t num_shown = std::min(count, max_shown);
  std::vector<const v1::ValidationReport*> shown;
  shown.reserve(num_shown);
  for (size_t i = 1; i <= num_shown; ++i) {
    const size_t place = i * count / num_shown - 1;
    shown.push_back(&report.validations(static_cast<int>(place)));
  }
  return shown;
}

std::map<std::string, double> SortedMetrics(
    const v1::EvaluationReport& report) {
  return {report.metrics().begin(), report.metrics().end()};
}

const v1::TrainingSeries* FindSeries(const v1::TuningReport& report,
                                     std::string_view name) {
  for (const v1::TrainingSeries& series : report.series()) {
    if (series.name() == name) return &series;
  }
  return nullptr;
}

const v1::ClassReport* FindClass(
    const google::protobuf::RepeatedPtrField<v1::ClassReport>& classes,
    std::string_view label) {
  for (const v1::ClassReport& one : classes) {
    if (one.label() == label) return &one;
  }
  return nullptr;
}

std::vector<ExampleGroup> ExampleGroups(const v1::TuningReport& report) {
  std::vector<ExampleGroup> groups = {
      {"became right", {}}, {"became wrong", {}}, {"answered differently", {}}};
  for (const v1::ChangedExample& example : report.changed_examples()) {
    const bool gained = !example.was_right() && example.is_right();
    const bool lost = example.was_right() && !example.is_right();
    groups[gained ? 0 : lost ? 1 : 2].examples.push_back(&example);
  }
  std::erase_if(
      groups, [](const ExampleGroup& group) { return group.examples.empty(); });
  return groups;
}

}  // namespace attune::client
