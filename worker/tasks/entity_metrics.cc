#include "worker/tasks/entity_metrics.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "worker/metrics/class_quality.h"
#include "worker/metrics/label_metrics.h"

namespace attune::worker {
namespace {

struct EntityCounts {
  int64_t right = 0;
  int64_t given = 0;
  int64_t both = 0;

  attune::v1::ClassReport ToReport() const {
    return QualityOf(both, right, given);
  }
};

// In the order of the types' bytes, which is that of their characters.
using CountsByType = std::map<std::string, EntityCounts>;

void CountRow(const std::vector<TaggedSpan>& right,
              const std::vector<TaggedSpan>& given, CountsByType& counts) {
  for (const TaggedSpan& span : given) ++counts[span.type].given;
  // Both are in order and do not overlap.
  auto candidate = given.begin();
  for (const TaggedSpan& span : right) {
    EntityCounts& of_type = counts[span.type];
    ++of_type.right;
    while (candidate != given.end() && candidate->begin < span.begin) {
      ++candidate;
    }
    if (candidate != given.end() && *candidate == span) ++of_type.both;
  }
}

void AddWordMetrics(const std::vector<std::string>& tags,
                    absl::Span<const std::vector<int>> right,
                    absl::Span<const std::vector<int>> given,
                    attune::v1::EvaluationReport& report) {
  std::vector<int> right_words;
  std::vector<int> given_words;
  for (size_t row = 0; row < right.size(); ++row) {
    right_words.insert(right_words.end(), right[row].begin(), right[row].end());
    given_words.insert(given_words.end(), given[row].begin(), given[row].end());
  }
  attune::v1::EvaluationReport words;
  AddClassificationMetrics(right_words, given_words, tags, words);
  report.mutable_tags()->Swap(words.mutable_classes());
  report.mutable_confusion_matrix()->Swap(words.mutable_confusion_matrix());
  (*report.mutable_metrics())["accuracy"] = words.metrics().at("accuracy");
}

}  // namespace

void AddEntityMetrics(const TagScheme& scheme,
                      const std::vector<std::string>& tags,
                      absl::Span<const std::vector<int>> right,
                      absl::Span<const std::vector<int>> given,
                      attune::v1::EvaluationReport& report) {
  CountsByType counts;
  for (size_t row = 0; row < right.size(); ++row) {
    CountRow(scheme.EntitiesOf(right[row]), scheme.EntitiesOf(given[row]),
             counts);
  }

  EntityCounts all;
  QualityMean micro;
  QualityMean macro;
  QualityMean weighted;
  for (const auto& [type, of_type] : counts) {
    all.right += of_type.right;
    all.given += of_type.given;
    all.both += of_type.both;
    attune::v1::ClassReport& row = *report.add_classes();
    row = of_type.ToReport();
    row.set_label(type);
    macro.Add(row, /*weight=*/1);
    weighted.Add(row, static_cast<double>(of_type.right));
  }
  micro.Add(all.ToReport(), /*weight=*/1);
  micro.Store("micro", report);
  macro.Store("macro", report);
  weighted.Store("weighted", report);
  AddWordMetrics(tags, right, given, report);
}

}  // namespace attune::worker
