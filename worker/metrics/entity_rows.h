#ifndef ATTUNE_WORKER_METRICS_ENTITY_ROWS_H_
#define ATTUNE_WORKER_METRICS_ENTITY_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "worker/metrics/class_counts.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// Entities and words of tagged rows. Metrics are accuracy, over words, and
// {micro,macro,weighted}_{precision,recall,f1}, over entities; means run over
// the types that occur among the right or the given ones.
class EntityRows : public RowMetrics {
 public:
  // types: those that occur, for reports.
  explicit EntityRows(std::vector<std::string> types);

  // Appends a row: its entities, by index into types(), and its words.
  void Add(absl::Span<const std::pair<int, ClassCount>> entities,
           int64_t num_words, int64_t num_right_words);

  size_t num_rows() const override { return entities_.num_rows(); }
  void Measure(absl::Span<const int32_t> rows,
               MetricValues& values) const override;

  const std::vector<std::string>& types() const { return types_; }
  const ClassCountRows& entities() const { return entities_; }

 private:
  std::vector<std::string> types_;
  ClassCountRows entities_;
  std::vector<int64_t> num_words_;        // by row
  std::vector<int64_t> num_right_words_;  // by row
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_ENTITY_ROWS_H_
