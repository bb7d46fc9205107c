#include "worker/tasks/metrics.h"

#include <cstdint>

#include "absl/strings/ascii.h"

namespace attune::worker {
namespace {

double Ratio(double numerator, double denominator) {
  return denominator == 0 ? 0 : numerator / denominator;
}

// A mean over labels of precision, recall and F1.
struct Mean {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  double weight = 0;

  void Add(const attune::v1::ClassReport& label, double label_weight) {
    precision += label_weight * label.precision();
    recall += label_weight * label.recall();
    f1 += label_weight * label.f1();
    weight += label_weight;
  }
  void Store(const std::string& prefix,
             attune::v1::EvaluationReport& report) const {
    auto& metrics = *report.mutable_metrics();
    metrics[prefix + "_precision"] = Ratio(precision, weight);
    metrics[prefix + "_recall"] = Ratio(recall, weight);
    metrics[prefix + "_f1"] = Ratio(f1, weight);
  }
};

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

  Mean macro;
  Mean weighted;
  for (size_t label = 0; label < n; ++label) {
    attune::v1::ClassReport& row = *report.add_classes();
    const double both = static_cast<double>(counts[label * n + label]);
    row.set_label(labels[label]);
    row.set_precision(Ratio(both, num_given[label]));
    row.set_recall(Ratio(both, num_right[label]));
    row.set_f1(Ratio(2 * both, num_given[label] + num_right[label]));
    row.set_support(num_right[label]);
    if (num_given[label] + num_right[label] > 0) {
      macro.Add(row, /*label_weight=*/1);
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

double ExactMatch(const std::vector<std::string>& right,
                  const std::vector<std::string>& given) {
  double hits = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    if (absl::StripAsciiWhitespace(right[i]) ==
        absl::StripAsciiWhitespace(given[i])) {
      ++hits;
    }
  }
  return Ratio(hits, static_cast<double>(right.size()));
}

}  // namespace attune::worker
