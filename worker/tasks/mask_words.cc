#include "worker/tasks/mask_words.h"

#include <algorithm>
#include <map>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr char kLabelsField[] = "task.labels";

}  // namespace

absl::StatusOr<MaskWords> MaskWords::Build(
    const std::vector<LabelTrie::Word>& words, int num_labels) {
  FieldViolations violations;
  std::map<std::vector<int64_t>, const LabelTrie::Word*> by_ids;
  std::map<int64_t, Group> by_length;
  std::vector<bool> has_words(num_labels, false);
  for (const LabelTrie::Word& word : words) {
    if (word.ids.empty()) {
      violations.Add(kLabelsField, Concat("the word '", word.text,
                                          "' has no tokens in this model"));
      continue;
    }
    const auto [known, is_new] = by_ids.emplace(word.ids, &word);
    if (!is_new) {
      violations.Add(
          kLabelsField,
          Concat("the words '", known->second->text, "' and '", word.text,
                 "' become the same tokens in this model"));
      continue;
    }
    Group& group = by_length[static_cast<int64_t>(word.ids.size())];
    group.length = static_cast<int64_t>(word.ids.size());
    group.ids.insert(group.ids.end(), word.ids.begin(), word.ids.end());
    group.labels.push_back(word.label);
    has_words[word.label] = true;
  }
  if (!violations.empty()) return violations.ToStatus();
  const auto without = std::find(has_words.begin(), has_words.end(), false);
  if (without != has_words.end()) {
    return InvalidField(
        kLabelsField,
        Concat("label ", without - has_words.begin(), " has no words"));
  }
  MaskWords built;
  built.num_labels_ = num_labels;
  built.groups_.reserve(by_length.size());
  for (auto& [length, group] : by_length) {
    built.groups_.push_back(std::move(group));
  }
  return built;
}

}  // namespace attune::worker
