#ifndef ATTUNE_WORKER_TASKS_MASK_WORDS_H_
#define ATTUNE_WORKER_TASKS_MASK_WORDS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/tasks/label_trie.h"

namespace attune::worker {

// The words of all labels of a classification, to be weighed at the mask of a
// text by a model that was trained to fill masks (Schick and Schütze 2021). A
// word of n tokens is weighed where n masks stand in the place of the one: by
// the mean of its tokens' log-probabilities, each at its mask, so that long
// words are not at a disadvantage. A label weighs what its words weigh
// together, and its probability is its share of what all labels weigh.
// Immutable.
class MaskWords {
 public:
  // Words of equally many tokens.
  struct Group {
    int64_t length = 0;           // tokens of each
    std::vector<int64_t> ids;     // [words, length]
    std::vector<int64_t> labels;  // of each word

    int64_t num_words() const { return static_cast<int64_t>(labels.size()); }
  };

  // Errors of CheckLabelWords.
  static absl::StatusOr<MaskWords> Build(
      const std::vector<LabelTrie::Word>& words, int num_labels);

  int num_labels() const { return num_labels_; }
  // By length, ascending.
  const std::vector<Group>& groups() const { return groups_; }
  int64_t max_length() const { return groups_.back().length; }

 private:
  MaskWords() = default;

  int num_labels_ = 0;
  std::vector<Group> groups_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_MASK_WORDS_H_
