#ifndef ATTUNE_WORKER_METRICS_CLASS_QUALITY_H_
#define ATTUNE_WORKER_METRICS_CLASS_QUALITY_H_

#include <cstdint>
#include <string_view>

#include "attune/v1/report.pb.h"
#include "worker/metrics/row_metrics.h"

namespace attune::worker {

// numerator / denominator, or 0 without a denominator.
double Ratio(double numerator, double denominator);

// Precision, recall, F1 and support of one class, or of all together, from how
// many are right, were given, and are both. A quotient without a denominator is
// 0.
attune::v1::ClassReport QualityOf(int64_t both, int64_t right, int64_t given);

// A mean over classes of precision, recall and F1.
class QualityMean {
 public:
  void Add(const attune::v1::ClassReport& one, double weight);
  // Sets "<name>_precision", "<name>_recall" and "<name>_f1"; 0 where nothing
  // was added.
  void Store(std::string_view name, MetricValues& values) const;

 private:
  double precision_ = 0;
  double recall_ = 0;
  double f1_ = 0;
  double weight_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_CLASS_QUALITY_H_
