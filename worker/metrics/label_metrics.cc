#include "worker/metrics/label_metrics.h"

#include <cmath>
#include <set>
#include <utility>

#include "worker/metrics/class_quality.h"

namespace attune::worker {
namespace {

constexpr ClassCount kOnlyRight = {.right = 1};
constexpr ClassCount kOnlyGiven = {.given = 1};
constexpr ClassCount kRightAndGiven = {.right = 1, .given = 1, .both = 1};

// Covariances of right and given labels, as indicators, over those of each with
// itself; all times the square of the rows' number.
double MatthewsOf(absl::Span<const ClassCount> counts, size_t num_rows) {
  const auto n = static_cast<double>(num_rows);
  double hits = 0;
  double both = 0;
  double right_squares = 0;
  double given_squares = 0;
  for (const ClassCount& count : counts) {
    const auto right = static_cast<double>(count.right);
    const auto given = static_cast<double>(count.given);
    hits += static_cast<double>(count.both);
    both += right * given;
    right_squares += right * right;
    given_squares += given * given;
  }
  return Ratio(hits * n - both, std::sqrt(n * n - right_squares) *
                                    std::sqrt(n * n - given_squares));
}

}  // namespace

ClassificationRows::ClassificationRows(absl::Span<const int> right,
                                       absl::Span<const int> given,
                                       size_t num_labels)
    : labels_(num_labels) {
  for (size_t i = 0; i < right.size(); ++i) {
    if (right[i] == given[i]) {
      labels_.Add({{right[i], kRightAndGiven}});
    } else {
      labels_.Add({{right[i], kOnlyRight}, {given[i], kOnlyGiven}});
    }
  }
}

void ClassificationRows::Measure(absl::Span<const int32_t> rows,
                                 MetricValues& values) const {
  const std::vector<ClassCount> counts = labels_.Sum(rows);
  int64_t hits = 0;
  for (const ClassCount& count : counts) hits += count.both;
  values["accuracy"] =
      Ratio(static_cast<double>(hits), static_cast<double>(rows.size()));
  values["mcc"] = MatthewsOf(counts, rows.size());
  SetClassMeans(counts, MeanOf::kOccurringClasses, values);
}

LabelSetRows::LabelSetRows(absl::Span<const std::vector<int>> right,
                           absl::Span<const std::vector<int>> given,
                           size_t num_labels)
    : labels_(num_labels) {
  for (size_t i = 0; i < right.size(); ++i) {
    const std::set<int> is_right(right[i].begin(), right[i].end());
    const std::set<int> is_given(given[i].begin(), given[i].end());
    std::vector<std::pair<int, ClassCount>> row;
    row.reserve(is_right.size() + is_given.size());
    for (const int label : is_right) {
      row.emplace_back(label,
                       is_given.contains(label) ? kRightAndGiven : kOnlyRight);
    }
    for (const int label : is_given) {
      if (!is_right.contains(label)) row.emplace_back(label, kOnlyGiven);
    }
    labels_.Add(row);
    is_exact_.push_back(is_right == is_given);
  }
}

void LabelSetRows::Measure(absl::Span<const int32_t> rows,
                           MetricValues& values) const {
  const std::vector<ClassCount> counts = labels_.Sum(rows);
  SetMicroMean(counts, values);
  SetClassMeans(counts, MeanOf::kAllClasses, values);
  int64_t exact = 0;
  for (const int32_t row : rows) exact += is_exact_[row];
  values["exact_match"] =
      Ratio(static_cast<double>(exact), static_cast<double>(rows.size()));
}

void AddClassificationMetrics(absl::Span<const int> right,
                              absl::Span<const int> given,
                              const std::vector<std::string>& labels,
                              attune::v1::EvaluationReport& report) {
  const size_t n = labels.size();
  std::vector<int64_t> counts(n * n, 0);
  for (size_t i = 0; i < right.size(); ++i) ++counts[right[i] * n + given[i]];
  attune::v1::ConfusionMatrix& matrix = *report.mutable_confusion_matrix();
  for (const std::string& label : labels) matrix.add_labels(label);
  matrix.mutable_counts()->Assign(counts.begin(), counts.end());

  const ClassificationRows rows(right, given, n);
  AddClassReports(rows.labels().Sum(), labels, report);
  rows.MeasureAll(*report.mutable_metrics());
}

void AddLabelSetMetrics(absl::Span<const std::vector<int>> right,
                        absl::Span<const std::vector<int>> given,
                        const std::vector<std::string>& labels,
                        attune::v1::EvaluationReport& report) {
  const LabelSetRows rows(right, given, labels.size());
  AddClassReports(rows.labels().Sum(), labels, report);
  rows.MeasureAll(*report.mutable_metrics());
}

}  // namespace attune::worker
