#ifndef ATTUNE_WORKER_METRICS_CALIBRATION_H_
#define ATTUNE_WORKER_METRICS_CALIBRATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// What the probabilities of answers are worth, where one of a row's labels or
// choices is right:
// - "ece": the expected calibration error (Guo et al. 2017): over the bins of
//   EvaluationReport.reliability, the mean distance of the answers' probability
//   and the share of right ones, weighted by rows. A probability between two
//   bins is in the lower one, as in the paper.
// - "brier": the squared error of the probabilities, summed over labels, mean
//   over rows (Brier 1950), 0 to 2.
class CalibrationRows : public RowMetrics {
 public:
  // right, given: places among a row's labels, for each row. probabilities:
  // [rows][labels]; rows may have different numbers of them.
  CalibrationRows(absl::Span<const int> right, absl::Span<const int> given,
                  absl::Span<const std::vector<double>> probabilities);

  size_t num_rows() const override { return bins_.size(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

  // Appends the bins of all rows to report.reliability.
  void AddReliability(attune::v1::EvaluationReport& report) const;

 private:
  struct Bin {
    double confidence = 0;  // sum
    int64_t num_right = 0;
    int64_t num_rows = 0;
  };

  std::vector<Bin> BinsOf(absl::Span<const int32_t> rows) const;

  // By row.
  std::vector<double> squared_errors_;
  std::vector<double> confidences_;
  std::vector<int> bins_;
  std::vector<char> is_right_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_CALIBRATION_H_
