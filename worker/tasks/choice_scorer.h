#ifndef ATTUNE_WORKER_TASKS_CHOICE_SCORER_H_
#define ATTUNE_WORKER_TASKS_CHOICE_SCORER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/language_model.h"
#include "worker/tasks/batch_loss.h"

namespace attune::worker {

// Choices as the tokens that would follow on a text: at least two, each of at
// least one token.
using ChoiceTokens = absl::Span<const std::vector<int64_t>>;

// A text whose choices are to be weighed. Borrows what it points to.
struct ChoiceQuery {
  absl::Span<const int64_t> text;  // token ids, at least one
  ChoiceTokens choices;
  const AttachedPrompt* prompt = nullptr;  // null: the bare base model
};

// Serving and evaluation: natural logarithms of the probabilities of each
// query's choices, in one forward. A choice's score is the mean log-probability
// of its tokens among the whole vocabulary (Brown et al. 2020), so that long
// ones are not at a disadvantage; the probabilities are the softmax of the
// scores of a query. Queries may have different numbers of choices and prompts.
absl::StatusOr<std::vector<std::vector<double>>> ScoreChoices(
    const LanguageModel& model, absl::Span<const ChoiceQuery> queries);

// Rows that choices add to their text: the last token of each predicts nothing,
// so it is not run.
int64_t NumBranchRows(ChoiceTokens choices);
// Rows that ScoreChoices runs for a query, for those who limit a batch.
int64_t NumChoiceRows(const ChoiceQuery& query);

// A text with its right choice.
struct ChoiceSample {
  absl::Span<const int64_t> text;
  ChoiceTokens choices;
  int right = 0;
};

// Training: all samples share `prompt`, whose rows or prefix may be trained;
// rows stand in the batch once. The loss of a sample is -log P(right choice);
// its weight is 1. With label smoothing the other choices of the sample count,
// too.
absl::StatusOr<BatchLoss> ChoiceLoss(const LanguageModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const ChoiceSample> samples,
                                     const LossOptions& options = {});

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_CHOICE_SCORER_H_
