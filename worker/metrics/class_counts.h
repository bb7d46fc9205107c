#ifndef ATTUNE_WORKER_METRICS_CLASS_COUNTS_H_
#define ATTUNE_WORKER_METRICS_CLASS_COUNTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/report.pb.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// How often a class is right, was given, and is both.
struct ClassCount {
  int64_t right = 0;
  int64_t given = 0;
  int64_t both = 0;
};

// The counts of many rows, each of which has few of the classes.
class ClassCountRows {
 public:
  explicit ClassCountRows(size_t num_classes) : num_classes_(num_classes) {}

  // Appends a row. A class may stand in it more than once.
  void Add(absl::Span<const std::pair<int, ClassCount>> classes);

  size_t num_rows() const { return begins_.size() - 1; }

  // -> of each class, over `rows`
  std::vector<ClassCount> Sum(absl::Span<const int32_t> rows) const;
  // Over all rows.
  std::vector<ClassCount> Sum() const;

 private:
  size_t num_classes_;
  // The classes of all rows, and where each row's begin; the last is the end.
  std::vector<std::pair<int, ClassCount>> classes_;
  std::vector<size_t> begins_ = {0};
};

// Which classes a mean is of.
enum class MeanOf {
  kAllClasses,
  kOccurringClasses,  // right or given
};

// Sets {macro,weighted}_{precision,recall,f1}.
void SetClassMeans(absl::Span<const ClassCount> counts, MeanOf which,
                   MetricValues& values);

// Sets micro_{precision,recall,f1}: of all classes together.
void SetMicroMean(absl::Span<const ClassCount> counts, MetricValues& values);

// Appends the quality of each class to report.classes.
void AddClassReports(absl::Span<const ClassCount> counts,
                     const std::vector<std::string>& labels,
                     attune::v1::EvaluationReport& report);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_CLASS_COUNTS_H_
