#ifndef ATTUNE_WORKER_TASKS_TAG_SCORER_H_
#define ATTUNE_WORKER_TASKS_TAG_SCORER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/encoder_model.h"
#include "worker/tasks/batch_loss.h"
#include "worker/tasks/input_words.h"
#include "worker/tasks/tag_scheme.h"

namespace attune::worker {

// A text whose words are to be tagged. Borrows what it points to.
struct TagQuery {
  absl::Span<const int64_t> text;          // token ids, at least one
  absl::Span<const InputWord> words;       // with the places of their tokens
  const AttachedPrompt* prompt = nullptr;  // with a head; never null
};

// Natural logarithms of the probabilities of all tags of every word that the
// model reads, in their order: [words][tags].
using TagScores = std::vector<std::vector<double>>;

// Serving and evaluation: the scores of each query, in one forward of the
// encoder. A head weighs the last hidden state of a word's first token (Devlin
// et al. 2019). Queries may have different prompts and heads.
absl::StatusOr<std::vector<TagScores>> ScoreTags(
    const EncoderModel& model, absl::Span<const TagQuery> queries);

// Rows that ScoreTags runs for a query, for those who limit a batch.
int64_t NumTagRows(const TagQuery& query);

// The likeliest tags that may follow each other, one per word; a word that the
// model does not read is outside of every entity.
std::vector<int> DecodeTags(const TagScheme& tags,
                            absl::Span<const InputWord> words,
                            const TagScores& scores);

// A text with the right tag of each word.
struct TagSample {
  absl::Span<const int64_t> text;
  absl::Span<const InputWord> words;
  absl::Span<const int> tags;
};

// Training: all samples stand behind `prompt` with its head, each behind its
// own copy of the rows if it has rows. The loss of a word that the model reads
// is -log P(tag), differentiable with regard to prompt and head, and its weight
// 1; other words have neither. label_smoothing: the share of the right tag's
// probability mass that all tags get alike.
absl::StatusOr<BatchLoss> TagLoss(const EncoderModel& model,
                                  const AttachedPrompt& prompt,
                                  absl::Span<const TagSample> samples,
                                  double label_smoothing = 0);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TAG_SCORER_H_
