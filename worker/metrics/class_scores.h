#ifndef ATTUNE_WORKER_METRICS_CLASS_SCORES_H_
#define ATTUNE_WORKER_METRICS_CLASS_SCORES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/calibration.h"
#include "worker/metrics/roc_auc.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// What a classification's labels and their probabilities tell beside
// AddClassificationMetrics: "auc", as RocAuc, not set where that is absent, and
// what CalibrationRows measure.
class ClassScoreRows : public RowMetrics {
 public:
  // right, given: indices of labels, for each row. probabilities:
  // [rows][labels].
  ClassScoreRows(absl::Span<const int> right, absl::Span<const int> given,
                 absl::Span<const std::vector<double>> probabilities);

  size_t num_rows() const override { return calibration_.num_rows(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

  // As of CalibrationRows.
  void AddReliability(attune::v1::EvaluationReport& report) const {
    calibration_.AddReliability(report);
  }

 private:
  RocAuc auc_;
  CalibrationRows calibration_;
};

// Fills metrics and reliability of `report`.
void AddClassScores(const ClassScoreRows& rows,
                    attune::v1::EvaluationReport& report);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_CLASS_SCORES_H_
