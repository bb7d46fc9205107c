#include "worker/tasks/label_trie.h"

#include <algorithm>
#include <map>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// Position of the child that `token` leads to, or -1.
int FindChild(const std::vector<LabelTrie::Node>& nodes, int node,
              int64_t token) {
  const std::vector<int>& children = nodes[node].children;
  for (size_t i = 0; i < children.size(); ++i) {
    if (nodes[children[i]].token == token) return static_cast<int>(i);
  }
  return -1;
}

int AddChild(std::vector<LabelTrie::Node>& nodes, int node, int64_t token) {
  const int child = static_cast<int>(nodes.size());
  nodes.push_back({.parent = node,
                   .token = token,
                   .children = {},
                   .depth = nodes[node].depth + 1});
  nodes[node].children.push_back(child);
  return child;
}

constexpr char kLabelsPath[] = "task.labels";

// Whether a word can stand in the tree.
bool CheckWord(const LabelTrie::Word& word, int64_t end_token,
               FieldViolations& violations) {
  if (word.ids.empty()) {
    violations.Add(kLabelsPath, Concat("the word '", word.text,
                                       "' has no tokens in this model"));
    return false;
  }
  if (std::find(word.ids.begin(), word.ids.end(), end_token) !=
      word.ids.end()) {
    violations.Add(kLabelsPath,
                   Concat("the word '", word.text,
                          "' contains the model's end-of-text token"));
    return false;
  }
  return true;
}

}  // namespace

absl::Status CheckLabelWords(const std::vector<LabelTrie::Word>& words,
                             int num_labels, int64_t end_token) {
  FieldViolations violations;
  std::map<std::vector<int64_t>, const LabelTrie::Word*> by_ids;
  std::vector<bool> has_words(num_labels, false);
  for (const LabelTrie::Word& word : words) {
    if (!CheckWord(word, end_token, violations)) continue;
    const auto [known, is_new] = by_ids.emplace(word.ids, &word);
    if (!is_new) {
      violations.Add(
          kLabelsPath,
          Concat("the words '", known->second->text, "' and '", word.text,
                 "' become the same tokens in this model"));
      continue;
    }
    has_words[word.label] = true;
  }
  if (!violations.empty()) return violations.ToStatus();
  const auto without = std::find(has_words.begin(), has_words.end(), false);
  if (without == has_words.end()) return absl::OkStatus();
  return InvalidField(kLabelsPath, Concat("label ", without - has_words.begin(),
                                          " has no words"));
}

absl::StatusOr<LabelTrie> LabelTrie::Build(const std::vector<Word>& words,
                                           int num_labels, int64_t end_token) {
  ATTUNE_RETURN_IF_ERROR(CheckLabelWords(words, num_labels, end_token));
  LabelTrie trie;
  trie.num_labels_ = num_labels;
  trie.label_words_.resize(num_labels);
  trie.nodes_.emplace_back();
  std::vector<int> last_node(words.size());
  for (size_t w = 0; w < words.size(); ++w) {
    int node = 0;
    for (int64_t token : words[w].ids) {
      const int position = FindChild(trie.nodes_, node, token);
      node = position >= 0 ? trie.nodes_[node].children[position]
                           : AddChild(trie.nodes_, node, token);
    }
    last_node[w] = node;
    trie.label_words_[words[w].label].push_back(static_cast<int>(w));
  }
  for (int& node : last_node) {
    if (!trie.nodes_[node].children.empty()) {
      node = AddChild(trie.nodes_, node, end_token);
    }
  }
  trie.CollectChoices(last_node);
  trie.MakePlans();
  return trie;
}

void LabelTrie::CollectChoices(const std::vector<int>& last_node) {
  word_choices_.resize(last_node.size());
  for (size_t w = 0; w < last_node.size(); ++w) {
    for (int node = last_node[w]; node != 0; node = nodes_[node].parent) {
      const int parent = nodes_[node].parent;
      const std::vector<int>& siblings = nodes_[parent].children;
      if (siblings.size() < 2) continue;
      const auto place = std::find(siblings.begin(), siblings.end(), node);
      word_choices_[w].push_back(
          {.node = parent,
           .child = static_cast<int>(place - siblings.begin())});
    }
    std::reverse(word_choices_[w].begin(), word_choices_[w].end());
  }
}

void LabelTrie::MakePlans() {
  std::vector<bool> wanted(nodes_.size());
  for (size_t node = 0; node < nodes_.size(); ++node) {
    wanted[node] = nodes_[node].children.size() >= 2;
  }
  full_plan_ = MakePlan(wanted);
  for (int label = 0; label < num_labels_; ++label) {
    wanted.assign(nodes_.size(), false);
    for (int word : label_words_[label]) {
      for (const Choice& choice : word_choices_[word]) {
        wanted[choice.node] = true;
      }
    }
    label_plans_.push_back(MakePlan(wanted));
  }
}

LabelTrie::Plan LabelTrie::MakePlan(const std::vector<bool>& wanted) const {
  // Nodes on the way to a wanted one. Children come after their parents.
  std::vector<bool> needed = wanted;
  for (int node = static_cast<int>(nodes_.size()) - 1; node > 0; --node) {
    if (needed[node]) needed[nodes_[node].parent] = true;
  }
  std::vector<int> num_needed(nodes_.size(), 0);
  for (size_t node = 1; node < nodes_.size(); ++node) {
    if (needed[node]) ++num_needed[nodes_[node].parent];
  }
  Plan plan;
  std::vector<int> branch_of(nodes_.size(), -1);
  if (wanted[0]) plan.questions.push_back({.node = 0});
  for (int node = 1; node < static_cast<int>(nodes_.size()); ++node) {
    if (!needed[node]) continue;
    const int parent = nodes_[node].parent;
    if (parent == 0 || num_needed[parent] > 1) {
      branch_of[node] = static_cast<int>(plan.branches.size());
      plan.branches.push_back({.parent = branch_of[parent], .ids = {}});
    } else {
      branch_of[node] = branch_of[parent];
    }
    std::vector<int64_t>& ids = plan.branches[branch_of[node]].ids;
    ids.push_back(nodes_[node].token);
    if (wanted[node]) {
      plan.questions.push_back(
          {.node = node,
           .branch = branch_of[node],
           .offset = static_cast<int64_t>(ids.size()) - 1});
    }
  }
  return plan;
}

}  // namespace attune::worker
