#ifndef ATTUNE_WORKER_METRICS_LABEL_METRICS_H_
#define ATTUNE_WORKER_METRICS_LABEL_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/class_counts.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// Fills classes, confusion_matrix and metrics of `report` from right and given
// labels, as indices into `labels`, of the same rows: accuracy, mcc and
// {macro,weighted}_{precision,recall,f1}. As in scikit-learn, a quotient
// without a denominator is 0, and means run over the labels that occur among
// the right or the given ones.
void AddClassificationMetrics(absl::Span<const int> right,
                              absl::Span<const int> given,
                              const std::vector<std::string>& labels,
                              attune::v1::EvaluationReport& report);

// The same for rows that have any number of labels, each in any order:
// {micro,macro,weighted}_{precision,recall,f1} over labels and exact_match over
// rows. As in scikit-learn, means run over all labels. No confusion_matrix.
void AddLabelSetMetrics(absl::Span<const std::vector<int>> right,
                        absl::Span<const std::vector<int>> given,
                        const std::vector<std::string>& labels,
                        attune::v1::EvaluationReport& report);

// The metrics of AddClassificationMetrics.
class ClassificationRows : public RowMetrics {
 public:
  ClassificationRows(absl::Span<const int> right, absl::Span<const int> given,
                     size_t num_labels);

  size_t num_rows() const override { return labels_.num_rows(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

  const ClassCountRows& labels() const { return labels_; }

 private:
  ClassCountRows labels_;
};

// The metrics of AddLabelSetMetrics.
class LabelSetRows : public RowMetrics {
 public:
  LabelSetRows(absl::Span<const std::vector<int>> right,
               absl::Span<const std::vector<int>> given, size_t num_labels);

  size_t num_rows() const override { return labels_.num_rows(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

  const ClassCountRows& labels() const { return labels_; }

 private:
  ClassCountRows labels_;
  std::vector<char> is_exact_;  // by row
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_LABEL_METRICS_H_
