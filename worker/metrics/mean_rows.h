#ifndef ATTUNE_WORKER_METRICS_MEAN_ROWS_H_
#define ATTUNE_WORKER_METRICS_MEAN_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// One metric that is a mean of what rows add: a loss, or how well each row's
// answer agrees. Has no meaning for rows without weight.
class MeanRows : public RowMetrics {
 public:
  // sums: by row. weights: what the metric divides by, such as the tokens of a
  // row whose losses were added up; empty for 1 each.
  MeanRows(std::string name, std::vector<double> sums,
           std::vector<double> weights = {});

  size_t num_rows() const override { return sums_.size(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

 private:
  std::string name_;
  std::vector<double> sums_;
  std::vector<double> weights_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_MEAN_ROWS_H_
