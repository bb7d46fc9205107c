#ifndef ATTUNE_WORKER_METRICS_ROW_METRICS_H_
#define ATTUNE_WORKER_METRICS_ROW_METRICS_H_

#include <google/protobuf/map.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace attune::worker {

// Metrics by name: what EvaluationReport.metrics is.
using MetricValues = google::protobuf::Map<std::string, double>;

// The outcomes of rows, one by one, so that metrics can be had of any of them:
// the same code measures a report and the draws of its intervals. Does not
// change, so any thread may use it.
class RowMetrics {
 public:
  virtual ~RowMetrics() = default;

  virtual size_t num_rows() const = 0;

  // Sets the metrics of `rows`, which are indices, in any order, some perhaps
  // more than once. A metric that has no meaning for them is not set.
  virtual void Measure(absl::Span<const int32_t> rows,
                       MetricValues& values) const = 0;

  void MeasureAll(MetricValues& values) const {
    std::vector<int32_t> rows(num_rows());
    std::iota(rows.begin(), rows.end(), 0);
    Measure(rows, values);
  }
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_ROW_METRICS_H_
