#include "worker/metrics/class_counts.h"

#include "worker/metrics/class_quality.h"

namespace attune::worker {
namespace {

void AddTo(ClassCount& sum, const ClassCount& count) {
  sum.right += count.right;
  sum.given += count.given;
  sum.both += count.both;
}

attune::v1::ClassReport QualityOfCount(const ClassCount& count) {
  return QualityOf(count.both, count.right, count.given);
}

}  // namespace

void ClassCountRows::Add(absl::Span<const std::pair<int, ClassCount>> classes) {
  classes_.insert(classes_.end(), classes.begin(), classes.end());
  begins_.push_back(classes_.size());
}

std::vector<ClassCount> ClassCountRows::Sum(
    absl::Span<const int32_t> rows) const {
  std::vector<ClassCount> sums(num_classes_);
  for (const int32_t row : rows) {
    for (size_t i = begins_[row]; i < begins_[row + 1]; ++i) {
      AddTo(sums[classes_[i].first], classes_[i].second);
    }
  }
  return sums;
}

std::vector<ClassCount> ClassCountRows::Sum() const {
  std::vector<ClassCount> sums(num_classes_);
  for (const auto& [index, count] : classes_) AddTo(sums[index], count);
  return sums;
}

void SetClassMeans(absl::Span<const ClassCount> counts, MeanOf which,
                   MetricValues& values) {
  QualityMean macro;
  QualityMean weighted;
  for (const ClassCount& count : counts) {
    const attune::v1::ClassReport quality = QualityOfCount(count);
    if (which == MeanOf::kAllClasses || count.right + count.given > 0) {
      macro.Add(quality, /*weight=*/1);
    }
    weighted.Add(quality, static_cast<double>(count.right));
  }
  macro.Store("macro", values);
  weighted.Store("weighted", values);
}

void SetMicroMean(absl::Span<const ClassCount> counts, MetricValues& values) {
  ClassCount all;
  for (const ClassCount& count : counts) AddTo(all, count);
  QualityMean micro;
  micro.Add(QualityOfCount(all), /*weight=*/1);
  micro.Store("micro", values);
}

void AddClassReports(absl::Span<const ClassCount> counts,
                     const std::vector<std::string>& labels,
                     attune::v1::EvaluationReport& report) {
  for (size_t i = 0; i < counts.size(); ++i) {
    attune::v1::ClassReport& row = *report.add_classes();
    row = QualityOfCount(counts[i]);
    row.set_label(labels[i]);
  }
}

}  // namespace attune::worker
