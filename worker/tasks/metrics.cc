#include "worker/tasks/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>

#include "absl/strings/ascii.h"
#include "worker/tasks/class_quality.h"

namespace attune::worker {
namespace {

int64_t Sum(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

bool Varies(absl::Span<const double> numbers) {
  const auto [least, most] =
      std::minmax_element(numbers.begin(), numbers.end());
  return least != numbers.end() && *least < *most;
}

// Pearson's.
double Correlation(absl::Span<const double> a, absl::Span<const double> b) {
  if (!Varies(a) || !Varies(b)) return 0;
  const double count = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / count;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / count;
  double product = 0;
  double square_a = 0;
  double square_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += (a[i] - mean_a) * (b[i] - mean_b);
    square_a += (a[i] - mean_a) * (a[i] - mean_a);
    square_b += (b[i] - mean_b) * (b[i] - mean_b);
  }
  const double both = std::sqrt(square_a) * std::sqrt(square_b);
  return std::clamp(Ratio(product, both), -1.0, 1.0);
}

std::vector<double> Ranks(absl::Span<const double> numbers) {
  std::vector<size_t> order(numbers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
  std::vector<double> ranks(numbers.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && numbers[order[end]] == numbers[order[begin]]) {
      ++end;
    }
    for (size_t i = begin; i < end; ++i) {
      ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    }
    begin = end;
  }
  return ranks;
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

void AddNumberMetrics(absl::Span<const double> right,
                      absl::Span<const double> given,
                      attune::v1::EvaluationReport& report) {
  auto& metrics = *report.mutable_metrics();
  if (!std::all_of(given.begin(), given.end(),
                   [](double number) { return std::isfinite(number); })) {
    for (const char* name : {"mse", "mae", "pearson", "spearman"}) {
      metrics[name] = std::nan("");
    }
    return;
  }
  double squares = 0;
  double distances = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    const double error = given[i] - right[i];
    squares += error * error;
    distances += std::abs(error);
  }
  const double count = static_cast<double>(right.size());
  metrics["mse"] = Ratio(squares, count);
  metrics["mae"] = Ratio(distances, count);
  metrics["pearson"] = Correlation(right, given);
  metrics["spearman"] = Correlation(Ranks(right), Ranks(given));
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
