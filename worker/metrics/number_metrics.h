#ifndef ATTUNE_WORKER_METRICS_NUMBER_METRICS_H_
#define ATTUNE_WORKER_METRICS_NUMBER_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// Fills metrics of `report` from right and given numbers of the same rows: mse,
// mae, pearson and spearman (ties share the mean of their ranks). The
// correlations are 0 where one side does not vary; no metric is a number if a
// given one is none.
void AddNumberMetrics(absl::Span<const double> right,
                      absl::Span<const double> given,
                      attune::v1::EvaluationReport& report);

// The metrics of AddNumberMetrics.
class NumberRows : public RowMetrics {
 public:
  NumberRows(absl::Span<const double> right, absl::Span<const double> given);

  size_t num_rows() const override { return right_.size(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

 private:
  std::vector<double> right_;
  std::vector<double> given_;
  // The place of each among the different numbers, ascending.
  std::vector<int32_t> right_places_;
  std::vector<int32_t> given_places_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_NUMBER_METRICS_H_
