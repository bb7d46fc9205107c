#ifndef ATTUNE_WORKER_TASKS_LABEL_SCORER_H_
#define ATTUNE_WORKER_TASKS_LABEL_SCORER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/language_model.h"
#include "worker/tasks/batch_loss.h"
#include "worker/tasks/label_trie.h"

namespace attune::worker {

// A text whose labels are to be weighed. Borrows what it points to.
struct LabelQuery {
  absl::Span<const int64_t> text;          // token ids, at least one
  const LabelTrie* trie = nullptr;         // never null
  const AttachedPrompt* prompt = nullptr;  // null: the bare base model
};

// Serving and evaluation: natural logarithms of the probabilities of all labels
// of each query, in one forward. Queries may have different tries and prompts.
absl::StatusOr<std::vector<std::vector<double>>> ScoreLabels(
    const LanguageModel& model, absl::Span<const LabelQuery> queries);

// Rows that ScoreLabels runs for a query, for those who limit a batch.
int64_t NumScoringRows(const LabelQuery& query);

// A text with its right label.
struct LabelSample {
  absl::Span<const int64_t> text;
  const LabelTrie* trie = nullptr;
  int label = 0;
};

// Training: all samples share `prompt`, whose rows or prefix may be trained;
// rows stand in the batch once; only the nodes on the way to the right label
// are asked. The loss of a sample is -log P(label); its weight is 1. With label
// smoothing the other labels count in the loss, too, and all nodes are asked.
absl::StatusOr<BatchLoss> LabelLoss(const LanguageModel& model,
                                    const AttachedPrompt& prompt,
                                    absl::Span<const LabelSample> samples,
                                    const LossOptions& options = {});

// -> [texts, labels], fp32: log-probabilities of all labels of every text,
// differentiable with regard to `prompt`.
absl::StatusOr<at::Tensor> LabelLogProbabilities(
    const LanguageModel& model, const AttachedPrompt& prompt,
    const LabelTrie& trie, absl::Span<const absl::Span<const int64_t>> texts);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LABEL_SCORER_H_
