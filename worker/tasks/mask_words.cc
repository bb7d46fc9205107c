#include "worker/tasks/mask_words.h"

#include <map>
#include <utility>

#include "proto/cc/status_macros.h"

namespace attune::worker {
absl::StatusOr<MaskWords> MaskWords::Build(
    const std::vector<LabelTrie::Word>& words, int num_labels) {
  ATTUNE_RETURN_IF_ERROR(CheckLabelWords(words, num_labels, /*end_token=*/-1));
  std::map<int64_t, Group> by_length;
  for (const LabelTrie::Word& word : words) {
    const auto length = static_cast<int64_t>(word.ids.size());
    Group& group = by_length[length];
    group.length = length;
    group.ids.insert(group.ids.end(), word.ids.begin(), word.ids.end());
    group.labels.push_back(word.label);
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
