#include "worker/metrics/label_metrics.h"

#include <cstdint>
#include <numeric>
#include <set>

#include "worker/metrics/class_quality.h"

namespace attune::worker {
namespace {

int64_t Sum(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

}  // namespace

void AddClassificationMetrics(absl::Span<const int> right,
                              absl::Span<const int> given,
                              const std::vector<std::string>& labels,
                              attune::v1::EvaluationReport& report) {
  const size_t n = labels.size();
  std::vector<int64_t> counts(n * n, 0);
  std::vector<int64_t> num_right(n, 0);
  std::vector<int64_t> num_given(n, 0);
  int64_t hits = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    ++counts[right[i] * n + given[i]];
    ++num_right[right[i]];
    ++num_given[given[i]];
    if (right[i] == given[i]) ++hits;
  }

  QualityMean macro;
  QualityMean weighted;
  for (size_t label = 0; label < n; ++label) {
    attune::v1::ClassReport& row = *report.add_classes();
    row = QualityOf(counts[label * n + label], num_right[label],
                    num_given[label]);
    row.set_label(labels[label]);
    if (num_given[label] + num_right[label] > 0) {
      macro.Add(row, /*weight=*/1);
    }
    weighted.Add(row, num_right[label]);
    report.mutable_confusion_matrix()->add_labels(labels[label]);
  }
  report.mutable_confusion_matrix()->mutable_counts()->Assign(counts.begin(),
                                                              counts.end());
  (*report.mutable_metrics())["accuracy"] =
      Ratio(static_cast<double>(hits), static_cast<double>(right.size()));
  macro.Store("macro", report);
  weighted.Store("weighted", report);
}

void AddLabelSetMetrics(absl::Span<const std::vector<int>> right,
                        absl::Span<const std::vector<int>> given,
                        const std::vector<std::string>& labels,
                        attune::v1::EvaluationReport& report) {
  const size_t n = labels.size();
  std::vector<int64_t> num_right(n, 0);
  std::vector<int64_t> num_given(n, 0);
  std::vector<int64_t> num_both(n, 0);
  int64_t exact = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    const std::set<int> is_right(right[i].begin(), right[i].end());
    const std::set<int> is_given(given[i].begin(), given[i].end());
    for (const int label : is_right) {
      ++num_right[label];
      if (is_given.contains(label)) ++num_both[label];
    }
    for (const int label : is_given) ++num_given[label];
    if (is_right == is_given) ++exact;
  }
  QualityMean macro;
  QualityMean weighted;
  for (size_t label = 0; label < n; ++label) {
    attune::v1::ClassReport& row = *report.add_classes();
    row = QualityOf(num_both[label], num_right[label], num_given[label]);
    row.set_label(labels[label]);
    macro.Add(row, /*weight=*/1);
    weighted.Add(row, static_cast<double>(num_right[label]));
  }
  QualityMean micro;
  micro.Add(QualityOf(Sum(num_both), Sum(num_right), Sum(num_given)),
            /*weight=*/1);
  micro.Store("micro", report);
  macro.Store("macro", report);
  weighted.Store("weighted", report);
  (*report.mutable_metrics())["exact_match"] =
      Ratio(static_cast<double>(exact), static_cast<double>(right.size()));
}

}  // namespace attune::worker
