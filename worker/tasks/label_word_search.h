#ifndef ATTUNE_WORKER_TASKS_LABEL_WORD_SEARCH_H_
#define ATTUNE_WORKER_TASKS_LABEL_WORD_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/tasks/prepared_example.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// Of all words that could be found these many count: those that the model
// expects most on the whole. Rarer ones score well by chance.
inline constexpr size_t kMaxLikelyWords = 1000;

// How label words are looked for.
struct LabelWordOptions {
  int words_per_label = 3;
  // Rows of text that go through the model at once.
  int64_t max_rows = 1024;
  // Called before every pass through the model with how many examples have been
  // through it; an error ends the search with it. May be empty.
  std::function<absl::Status(int64_t done)> before_pass = nullptr;
};

// Looks for words that stand for labels better than their own (Schick, Schmid
// and Schütze 2020). A word scores for a label the mean of its log-probability
// over the label's examples less that over all others, where the answer stands,
// among the whole vocabulary of the base model. `examples`: of `program`, with
// their labels; only of a classification by label words.
// -> for each label of the task the words found, best first; of some labels
// fewer than asked for, or none. Errors of before_pass and of the model.
//
// A word has two letters or more, nothing else, and is one token where the
// answers to all examples stand: behind a space of its own, bare, or, if there
// are inputs of both kinds, either way. With a tokenizer that makes more of
// every word there are none. Words that the task has, or that become the same
// token, are not found. Those that are left compete as ChooseLabelWords says;
// where there are more than 2^23 sums to keep, one for each word and label with
// examples, those with the lowest tokens do, the commonest in usual
// vocabularies. Equal arguments give equal results with as many compute
// threads.
absl::StatusOr<std::vector<std::vector<std::string>>> FindLabelWords(
    const TaskProgram& program, absl::Span<const PreparedExample> examples,
    const LabelWordOptions& options);

// What examples say of words that could stand for labels.
struct LabelWordEvidence {
  std::vector<int64_t> num_examples;  // of each label
  // Of each label, and of each word: the sum of its log-probabilities over the
  // label's examples. A label without examples has none.
  std::vector<std::vector<double>> sums;
  // Of each word: its mean probability, where all labels weigh the same.
  std::vector<double> likelihoods;
};

// The places of the words of each label, best first, at most `words_per_label`.
// The kMaxLikelyWords likeliest words count; each goes to the label that it
// scores best for, the first of equals, and only where it scores above 0. Of
// words that score the same the first is better. There are none unless two
// labels have examples.
std::vector<std::vector<size_t>> ChooseLabelWords(
    const LabelWordEvidence& evidence, int words_per_label);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LABEL_WORD_SEARCH_H_
