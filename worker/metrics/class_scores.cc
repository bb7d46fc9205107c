#include "worker/metrics/class_scores.h"

#include <optional>

namespace attune::worker {

ClassScoreRows::ClassScoreRows(
    absl::Span<const int> right, absl::Span<const int> given,
    absl::Span<const std::vector<double>> probabilities)
    : auc_(right, probabilities), calibration_(right, given, probabilities) {}

void ClassScoreRows::Measure(absl::Span<const int32_t> rows,
                             MetricValues& values) const {
  const std::optional<double> auc = auc_.Of(rows);
  if (auc.has_value()) values["auc"] = *auc;
  calibration_.Measure(rows, values);
}

void AddClassScores(const ClassScoreRows& rows,
                    attune::v1::EvaluationReport& report) {
  rows.MeasureAll(*report.mutable_metrics());
  rows.AddReliability(report);
}

}  // namespace attune::worker
