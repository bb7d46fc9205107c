#include "worker/metrics/entity_rows.h"

#include "worker/metrics/class_quality.h"

namespace attune::worker {

EntityRows::EntityRows(std::vector<std::string> types)
    : types_(std::move(types)), entities_(types_.size()) {}

void EntityRows::Add(absl::Span<const std::pair<int, ClassCount>> entities,
                     int64_t num_words, int64_t num_right_words) {
  entities_.Add(entities);
  num_words_.push_back(num_words);
  num_right_words_.push_back(num_right_words);
}

void EntityRows::Measure(absl::Span<const int32_t> rows,
                         MetricValues& values) const {
  const std::vector<ClassCount> counts = entities_.Sum(rows);
  SetMicroMean(counts, values);
  SetClassMeans(counts, MeanOf::kOccurringClasses, values);
  int64_t words = 0;
  int64_t right_words = 0;
  for (const int32_t row : rows) {
    words += num_words_[row];
    right_words += num_right_words_[row];
  }
  values["accuracy"] =
      Ratio(static_cast<double>(right_words), static_cast<double>(words));
}

}  // namespace attune::worker
