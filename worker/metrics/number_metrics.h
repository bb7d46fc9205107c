#ifndef ATTUNE_WORKER_METRICS_NUMBER_METRICS_H_
#define ATTUNE_WORKER_METRICS_NUMBER_METRICS_H_

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"

namespace attune::worker {

// Fills metrics of `report` from right and given numbers of the same rows: mse,
// mae, pearson and spearman (ties share the mean of their ranks). The
// correlations are 0 where one side does not vary; no metric is a number if a
// given one is none.
void AddNumberMetrics(absl::Span<const double> right,
                      absl::Span<const double> given,
                      attune::v1::EvaluationReport& report);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_NUMBER_METRICS_H_
