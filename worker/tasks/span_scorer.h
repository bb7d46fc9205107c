#ifndef ATTUNE_WORKER_TASKS_SPAN_SCORER_H_
#define ATTUNE_WORKER_TASKS_SPAN_SCORER_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/encoder_model.h"
#include "worker/tasks/batch_loss.h"
#include "worker/tasks/input_spans.h"

namespace attune::worker {

// A context in which an answer is looked for. Borrows what it points to.
struct SpanQuery {
  absl::Span<const ContextWindow> windows;  // at least one
  const AttachedPrompt* prompt = nullptr;   // with a head; never null
};

// What the head's two outputs say about one window: how well an answer begins
// and ends at each of the context's tokens. Element 0 is that of the text's
// first token, which stands for no answer (Devlin et al. 2019).
struct SpanScores {
  std::vector<double> begins;
  std::vector<double> ends;
};

// Serving and evaluation: the scores of each query's windows, not normalised.
// One forward of the encoder for every `max_rows` rows or, where a window has
// more, for that window.
absl::StatusOr<std::vector<std::vector<SpanScores>>> ScoreSpans(
    const EncoderModel& model, absl::Span<const SpanQuery> queries,
    int64_t max_rows = 4096);

// Rows that ScoreSpans runs for a query, for those who limit a batch.
int64_t NumSpanRows(const SpanQuery& query);

// The answer that the scores like best.
struct ScoredSpan {
  ContextSpan span;  // empty: no answer
  // The probability of its beginning times that of its end, in its window; of
  // no answer in the window that gives it least. Not a number if a score is
  // none.
  double score = 0;
};

// The best span of at most `max_tokens` tokens over all windows; none if no
// answer scores better than it in the window that likes it least.
ScoredSpan FindBestSpan(absl::Span<const ContextWindow> windows,
                        absl::Span<const SpanScores> scores, int max_tokens);

// Minus the mean of the natural logarithms of the probabilities of an answer's
// beginning and end, `tokens` as TokensOfFirst gives them.
double SpanLossOf(const SpanScores& scores, const std::pair<int, int>& tokens);

// A window with the tokens of its right answer, as TokensOfFirst gives them.
struct SpanSample {
  const ContextWindow* window = nullptr;
  std::pair<int, int> tokens;
};

// Training: all windows stand behind `prompt` with its head, each behind its
// own copy of the rows if it has rows. The loss of a window is SpanLossOf,
// differentiable with regard to prompt and head; its weight is 1.
// label_smoothing: the share of the right places' probability mass that all
// places of the window share evenly (Szegedy et al. 2016).
absl::StatusOr<BatchLoss> SpanLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const SpanSample> samples,
                                   double label_smoothing = 0);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_SPAN_SCORER_H_
