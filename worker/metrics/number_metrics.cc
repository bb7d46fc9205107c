#include "worker/metrics/number_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "worker/metrics/class_quality.h"

namespace attune::worker {
namespace {

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

}  // namespace attune::worker
