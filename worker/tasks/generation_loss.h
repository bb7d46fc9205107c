#ifndef ATTUNE_WORKER_TASKS_GENERATION_LOSS_H_
#define ATTUNE_WORKER_TASKS_GENERATION_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/language_model.h"
#include "worker/tasks/batch_loss.h"

namespace attune::worker {

// A text with its right answer, which ends in the end-of-text token. Borrows.
struct AnswerSample {
  absl::Span<const int64_t> text;    // at least one token
  absl::Span<const int64_t> answer;  // at least one token
  // Of AnswerLosses only; null: the bare base model.
  const AttachedPrompt* prompt = nullptr;
};

// hidden: [n, dim], targets: [n] token ids -> cross-entropy of each row, [n],
// fp32; differentiable with regard to hidden. The logits over the whole
// vocabulary exist for a few rows at a time only: with grad mode on, the
// gradient is worked out on the way forward and kept, [n, dim].
// label_smoothing: the share of the target's probability mass that the whole
// vocabulary gets alike.
at::Tensor CrossEntropyRows(const LanguageModel& model,
                            const at::Tensor& hidden, const at::Tensor& targets,
                            double label_smoothing = 0);

// Training: all samples share `prompt`, whose rows or prefix may be trained;
// rows stand in the batch once. The loss is the sum of -log P(token) over the
// answer tokens, smoothed as by CrossEntropyRows; the weight is their number.
absl::StatusOr<BatchLoss> AnswerLoss(const LanguageModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const AnswerSample> samples,
                                     const LossOptions& options = {});

// Evaluation: the sum of -log P(token) over each sample's answer.
absl::StatusOr<std::vector<double>> AnswerLosses(
    const LanguageModel& model, absl::Span<const AnswerSample> samples);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_GENERATION_LOSS_H_
