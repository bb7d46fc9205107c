#include "worker/metrics/number_metrics.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

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

// What is not finite has the place 0.
std::vector<int32_t> PlacesOf(absl::Span<const double> numbers) {
  std::vector<double> sorted;
  std::copy_if(numbers.begin(), numbers.end(), std::back_inserter(sorted),
               [](double number) { return std::isfinite(number); });
  std::sort(sorted.begin(), sorted.end());
  std::vector<int32_t> places;
  for (const double number : numbers) {
    // Equal numbers find the same one.
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), number);
    places.push_back(std::isfinite(number)
                         ? static_cast<int32_t>(place - sorted.begin())
                         : 0);
  }
  return places;
}

// The ranks of `rows` among themselves, from the places of all rows. Counting
// and not sorting: intervals rank a thousand draws.
std::vector<double> RanksOf(absl::Span<const int32_t> rows,
                            const std::vector<int32_t>& places) {
  std::vector<int32_t> counts(places.size(), 0);
  for (const int32_t row : rows) ++counts[places[row]];
  std::vector<double> ranks(places.size());
  int64_t begin = 0;
  for (size_t place = 0; place < counts.size(); ++place) {
    const int64_t end = begin + counts[place];
    ranks[place] = static_cast<double>(begin + end - 1) / 2;
    begin = end;
  }
  std::vector<double> of_rows;
  of_rows.reserve(rows.size());
  for (const int32_t row : rows) of_rows.push_back(ranks[places[row]]);
  return of_rows;
}

}  // namespace

NumberRows::NumberRows(absl::Span<const double> right,
                       absl::Span<const double> given)
    : right_(right.begin(), right.end()),
      given_(given.begin(), given.end()),
      right_places_(PlacesOf(right)),
      given_places_(PlacesOf(given)) {}

void NumberRows::Measure(absl::Span<const int32_t> rows,
                         MetricValues& values) const {
  std::vector<double> right;
  std::vector<double> given;
  double squares = 0;
  double distances = 0;
  bool finite = true;
  for (const int32_t row : rows) {
    right.push_back(right_[row]);
    given.push_back(given_[row]);
    const double error = given_[row] - right_[row];
    squares += error * error;
    distances += std::abs(error);
    finite = finite && std::isfinite(given_[row]);
  }
  if (!finite) {
    for (const char* name : {"mse", "mae", "pearson", "spearman"}) {
      values[name] = std::nan("");
    }
    return;
  }
  const auto count = static_cast<double>(rows.size());
  values["mse"] = Ratio(squares, count);
  values["mae"] = Ratio(distances, count);
  values["pearson"] = Correlation(right, given);
  values["spearman"] =
      Correlation(RanksOf(rows, right_places_), RanksOf(rows, given_places_));
}

void AddNumberMetrics(absl::Span<const double> right,
                      absl::Span<const double> given,
                      attune::v1::EvaluationReport& report) {
  NumberRows(right, given).MeasureAll(*report.mutable_metrics());
}

}  // namespace attune::worker
