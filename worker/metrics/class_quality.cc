#include "worker/metrics/class_quality.h"

#include "proto/cc/text.h"

namespace attune::worker {

double Ratio(double numerator, double denominator) {
  return denominator == 0 ? 0 : numerator / denominator;
}

attune::v1::ClassReport QualityOf(int64_t both, int64_t right, int64_t given) {
  attune::v1::ClassReport report;
  const double hits = static_cast<double>(both);
  report.set_precision(Ratio(hits, static_cast<double>(given)));
  report.set_recall(Ratio(hits, static_cast<double>(right)));
  report.set_f1(Ratio(2 * hits, static_cast<double>(right + given)));
  report.set_support(right);
  return report;
}

void QualityMean::Add(const attune::v1::ClassReport& one, double weight) {
  precision_ += weight * one.precision();
  recall_ += weight * one.recall();
  f1_ += weight * one.f1();
  weight_ += weight;
}

void QualityMean::Store(std::string_view name, MetricValues& values) const {
  values[Concat(name, "_precision")] = Ratio(precision_, weight_);
  values[Concat(name, "_recall")] = Ratio(recall_, weight_);
  values[Concat(name, "_f1")] = Ratio(f1_, weight_);
}

}  // namespace attune::worker
