#ifndef ATTUNE_WORKER_TASKS_HEAD_SCORER_H_
#define ATTUNE_WORKER_TASKS_HEAD_SCORER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/classifier_head.h"
#include "worker/models/encoder_model.h"
#include "worker/tasks/batch_loss.h"

namespace attune::worker {

// A text whose labels a head is to weigh. Borrows what it points to.
struct HeadQuery {
  absl::Span<const int64_t> text;          // token ids, at least one
  const AttachedPrompt* prompt = nullptr;  // with a head; never null
};

// Serving and evaluation: natural logarithms of the probabilities of all labels
// of each query, in one forward of the encoder. A head weighs the mean of the
// last hidden states of the text's own rows. Queries may have different
// prompts and heads.
absl::StatusOr<std::vector<std::vector<double>>> ScoreByHead(
    const EncoderModel& model, absl::Span<const HeadQuery> queries);

// The same before they become probabilities of one label each: what the head
// gives, [queries][outputs].
absl::StatusOr<std::vector<std::vector<double>>> HeadOutputs(
    const EncoderModel& model, absl::Span<const HeadQuery> queries);

// Rows that ScoreByHead runs for a query, for those who limit a batch.
int64_t NumHeadRows(const HeadQuery& query);

// A text with its right label.
struct HeadSample {
  absl::Span<const int64_t> text;
  int label = 0;
};

// Training: all samples stand behind `prompt` with its head, each behind its
// own copy of the rows if it has rows. The loss of a sample is -log P(label),
// differentiable with regard to prompt and head; its weight is 1.
// label_smoothing: the share of the right label's probability mass that all
// labels get alike, so that they count in the loss, too.
absl::StatusOr<BatchLoss> HeadLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const HeadSample> samples,
                                   double label_smoothing = 0);

// The labels whose probability is above one half, of what HeadOutputs gives for
// one query.
std::vector<int> LabelsAbove(absl::Span<const double> outputs);

// A text with all its right labels.
struct LabelSetSample {
  absl::Span<const int64_t> text;
  absl::Span<const int> labels;
};

// As HeadLoss, for texts with any number of labels: the mean over all labels of
// the binary cross-entropy of the output's logistic function.
absl::StatusOr<BatchLoss> LabelSetLoss(
    const EncoderModel& model, const AttachedPrompt& prompt,
    absl::Span<const LabelSetSample> samples);

// A text with the right number, in units of its scale.
struct NumberSample {
  absl::Span<const int64_t> text;
  double number = 0;
};

// As HeadLoss, for a head with one output: its squared error.
absl::StatusOr<BatchLoss> NumberLoss(const EncoderModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const NumberSample> samples);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_HEAD_SCORER_H_
