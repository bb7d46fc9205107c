#ifndef ATTUNE_WORKER_TASKS_LABEL_TRIE_H_
#define ATTUNE_WORKER_TASKS_LABEL_TRIE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attune::worker {

// The words of all labels of a classification as a tree of tokens. An answer
// walks it from the root: where a node has several children the model chooses
// among them only, where it has one there is nothing to choose. A word's
// probability is the product of its choices, a label's the sum over its words,
// so the probabilities of all labels add up to exactly 1 and long words are not
// at a disadvantage. A word that is the beginning of another gets the
// end-of-text token as a last child. Immutable.
class LabelTrie {
 public:
  // A word of a label as tokens.
  struct Word {
    int label = 0;  // index of the label
    std::string text;
    std::vector<int64_t> ids;
  };

  // A node; node 0 is the root, children come after their parents.
  struct Node {
    int parent = -1;
    int64_t token = -1;         // that leads here; -1 at the root
    std::vector<int> children;  // in order of their first word
    int depth = 0;              // tokens from the root
  };

  // One choice on the way to a word: `child` among the children of `node`.
  struct Choice {
    int node = 0;
    int child = 0;  // position among the node's children
  };

  // num_labels >= 2. `end_token` ends a word that another one continues. Errors
  // of CheckLabelWords.
  static absl::StatusOr<LabelTrie> Build(const std::vector<Word>& words,
                                         int num_labels, int64_t end_token);

  int num_labels() const { return num_labels_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  // Choices on the way to each word, from the root.
  const std::vector<std::vector<Choice>>& word_choices() const {
    return word_choices_;
  }
  // The words of each label, as indices into word_choices().
  const std::vector<std::vector<int>>& label_words() const {
    return label_words_;
  }

  // Tokens that stand behind a text so that the model can be asked at more
  // nodes than the root, and the nodes to ask at. Branches are runs of tokens;
  // a branch continues its parent branch or the text.
  struct Branch {
    int parent = -1;  // index of an earlier branch; -1: the text
    std::vector<int64_t> ids;
  };
  // A node to ask at: the row of the last token before it.
  struct Question {
    int node = 0;
    int branch = -1;     // -1: the text's last row
    int64_t offset = 0;  // row of the branch
  };
  struct Plan {
    std::vector<Branch> branches;
    std::vector<Question> questions;
  };

  // What it takes to know the probabilities of all labels.
  const Plan& full_plan() const { return full_plan_; }
  // What it takes to know the probability of one label: the questions on the
  // way to its words.
  const Plan& label_plan(int label) const { return label_plans_[label]; }

 private:
  LabelTrie() = default;
  // `last_node`: where each word ends.
  void CollectChoices(const std::vector<int>& last_node);
  void MakePlans();
  // A plan that asks at every node of `wanted`, a flag for each node.
  Plan MakePlan(const std::vector<bool>& wanted) const;

  int num_labels_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::vector<Choice>> word_choices_;
  std::vector<std::vector<int>> label_words_;
  Plan full_plan_;
  std::vector<Plan> label_plans_;
};

// INVALID_ARGUMENT naming all of `words` without tokens, with those of another
// one or with `end_token` (-1: there is none), or a label among 0 ..
// num_labels - 1 without words.
absl::Status CheckLabelWords(const std::vector<LabelTrie::Word>& words,
                             int num_labels, int64_t end_token);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LABEL_TRIE_H_
