#include "worker/tasks/entity_metrics.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "worker/metrics/class_counts.h"
#include "worker/metrics/label_metrics.h"

namespace attune::worker {
namespace {

// In the order of the types' bytes, which is that of their characters.
using CountsByType = std::map<std::string, ClassCount>;

CountsByType CountRow(const std::vector<TaggedSpan>& right,
                      const std::vector<TaggedSpan>& given) {
  CountsByType counts;
  for (const TaggedSpan& span : given) ++counts[span.type].given;
  // Both are in order and do not overlap.
  auto candidate = given.begin();
  for (const TaggedSpan& span : right) {
    ClassCount& of_type = counts[span.type];
    ++of_type.right;
    while (candidate != given.end() && candidate->begin < span.begin) {
      ++candidate;
    }
    if (candidate != given.end() && *candidate == span) ++of_type.both;
  }
  return counts;
}

int64_t CountRightWords(const std::vector<int>& right,
                        const std::vector<int>& given) {
  int64_t count = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    if (right[i] == given[i]) ++count;
  }
  return count;
}

// Quality of the tags and their confusion matrix, over words.
void AddTags(const std::vector<std::string>& tags,
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
}

}  // namespace

EntityRows CountEntities(const TagScheme& scheme,
                         absl::Span<const std::vector<int>> right,
                         absl::Span<const std::vector<int>> given) {
  std::vector<CountsByType> of_rows;
  std::map<std::string, int> indices;
  for (size_t row = 0; row < right.size(); ++row) {
    of_rows.push_back(
        CountRow(scheme.EntitiesOf(right[row]), scheme.EntitiesOf(given[row])));
    for (const auto& [type, count] : of_rows.back()) indices[type] = 0;
  }
  std::vector<std::string> types;
  for (auto& [type, index] : indices) {
    index = static_cast<int>(types.size());
    types.push_back(type);
  }

  EntityRows rows(std::move(types));
  for (size_t row = 0; row < right.size(); ++row) {
    std::vector<std::pair<int, ClassCount>> entities;
    for (const auto& [type, count] : of_rows[row]) {
      entities.emplace_back(indices.at(type), count);
    }
    rows.Add(entities, static_cast<int64_t>(right[row].size()),
             CountRightWords(right[row], given[row]));
  }
  return rows;
}

void AddEntityMetrics(const TagScheme& scheme,
                      const std::vector<std::string>& tags,
                      absl::Span<const std::vector<int>> right,
                      absl::Span<const std::vector<int>> given,
                      attune::v1::EvaluationReport& report) {
  const EntityRows rows = CountEntities(scheme, right, given);
  AddClassReports(rows.entities().Sum(), rows.types(), report);
  rows.MeasureAll(*report.mutable_metrics());
  AddTags(tags, right, given, report);
}

}  // namespace attune::worker
