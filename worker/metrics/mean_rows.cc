#include "worker/metrics/mean_rows.h"

#include <utility>

namespace attune::worker {

MeanRows::MeanRows(std::string name, std::vector<double> sums,
                   std::vector<double> weights)
    : name_(std::move(name)),
      sums_(std::move(sums)),
      weights_(std::move(weights)) {
  if (weights_.empty()) weights_.assign(sums_.size(), 1);
}

void MeanRows::Measure(absl::Span<const int32_t> rows,
                       MetricValues& values) const {
  double sum = 0;
  double weight = 0;
  for (const int32_t row : rows) {
    sum += sums_[row];
    weight += weights_[row];
  }
  if (weight > 0) values[name_] = sum / weight;
}

}  // namespace attune::worker
