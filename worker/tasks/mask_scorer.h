#ifndef ATTUNE_WORKER_TASKS_MASK_SCORER_H_
#define ATTUNE_WORKER_TASKS_MASK_SCORER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/encoder_model.h"
#include "worker/tasks/batch_loss.h"
#include "worker/tasks/mask_words.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// A text with a mask at which label words are weighed. Borrows what it points
// to.
struct MaskedText {
  absl::Span<const int64_t> text;    // token ids
  int64_t mask_place = 0;            // of the mask's token among them
  const MaskWords* words = nullptr;  // never null
};

// That of `input`, which is borrowed as `program` is. Only where
// program.scores_at_mask().
inline MaskedText MaskedTextOf(const TaskProgram& program,
                               const TaskInput& input) {
  return {.text = input.ids,
          .mask_place = input.mask_place,
          .words = &program.mask_words()};
}

// Rows of tokens that a text takes: once for every length of words.
int64_t NumMaskedRows(const MaskedText& text);

// One whose labels are asked for.
struct MaskQuery {
  MaskedText masked;
  const AttachedPrompt* prompt = nullptr;  // null: the bare base model
};

// Serving and evaluation: natural logarithms of the probabilities of all labels
// of each query, in one forward of the encoder, which must have the head
// kMaskedLanguage. Queries may have different words and prompts.
absl::StatusOr<std::vector<std::vector<double>>> ScoreAtMask(
    const EncoderModel& model, absl::Span<const MaskQuery> queries);

// Rows that ScoreAtMask runs for a query, for those who limit a batch.
int64_t NumMaskRows(const MaskQuery& query);

// One with its right label.
struct MaskSample {
  MaskedText masked;
  int label = 0;
};

// Training: all samples stand behind `prompt`, each behind its own copy of the
// rows if it has rows. The loss of a sample is -log P(label), differentiable
// with regard to the prompt and the model's trained weights; its weight is 1.
// label_smoothing: the share of the right label's probability mass that all
// labels get alike.
absl::StatusOr<BatchLoss> MaskLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const MaskSample> samples,
                                   double label_smoothing = 0);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_MASK_SCORER_H_
