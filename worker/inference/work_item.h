#ifndef ATTUNE_WORKER_INFERENCE_WORK_ITEM_H_
#define ATTUNE_WORKER_INFERENCE_WORK_ITEM_H_

#include <atomic>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/inference_service.pb.h"
#include "worker/inference/decoding_options.h"
#include "worker/inference/generation.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/inference_metrics.h"
#include "worker/inference/target_resolver.h"
#include "worker/tasks/answer_scorer.h"
#include "worker/tasks/head_scorer.h"
#include "worker/tasks/span_scorer.h"
#include "worker/tasks/tag_scorer.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// One of a counted number of places; free again when it is destroyed.
class QueuePlace {
 public:
  explicit QueuePlace(std::atomic<int>& taken) : taken_(taken) { ++taken_; }
  ~QueuePlace() { --taken_; }
  QueuePlace(const QueuePlace&) = delete;
  QueuePlace& operator=(const QueuePlace&) = delete;

 private:
  std::atomic<int>& taken_;
};

// Whoever asked, and when.
struct WorkOrigin {
  std::shared_ptr<const CallContext> context;
  absl::Duration arrival;                  // monotonic
  std::unique_ptr<QueuePlace> place;       // given back before the first pass
  std::unique_ptr<QueuePlace> unanswered;  // given back after the answer
  // Called for pieces of a generation; may be empty.
  std::function<void(GeneratedPiece)> on_piece;
  // Called once, with the answer or why there is none.
  std::function<void(absl::StatusOr<attune::v1::PredictResult>)> done;
};

// What a model that does not generate is asked for.
enum class AnswerForm {
  kLabel,    // probabilities of all labels
  kMask,     // the same, of words at a mask
  kChoice,   // probabilities of the choices that came along
  kTags,     // probabilities of all tags of every word
  kSpan,     // an answer in a context
  kOutputs,  // a head's outputs: labels, each by itself, or a number
};

// An input on its way through the engine: rendered, tokenised and checked, so
// that nothing but the model's own arithmetic is left. Owned by one thread at a
// time.
struct WorkItem {
  WorkOrigin origin;
  std::shared_ptr<const ResolvedTarget> target;
  TaskInput input;
  DecodingOptions decoding;  // of a generation
  ModelSeries* series = nullptr;
  int64_t rows = 0;                        // of its first pass
  std::unique_ptr<Generation> generation;  // while one runs
  absl::Duration last_token;               // monotonic

  bool is_generation() const { return target->program->is_generation(); }
  // What a generation keeps keys and values of at the same time; 0: no
  // generation.
  int64_t num_sequences() const {
    return is_generation() ? decoding.num_beams : 0;
  }
  // Not of a generation.
  AnswerForm form() const;
  // Only of a classification by one label and of a multiple choice.
  ScoredInput scored_input() const;
  // Only where a head weighs each output by itself.
  HeadQuery head_query() const;
  // Only of a token classification.
  TagQuery tag_query() const;
  // Only of an extractive QA.
  SpanQuery span_query() const;

  // Hands over the answer's outcome and counts it. The last thing that happens
  // to an item.
  void Finish(absl::StatusOr<attune::v1::PredictResult> outcome,
              absl::Duration now);
  // A result with what every answer says.
  attune::v1::PredictResult MakeResult() const;
};

// Renders and tokenises `input` for `target`. Errors are the input's: a missing
// field, too long (naming the lengths), decoding out of range.
absl::StatusOr<std::unique_ptr<WorkItem>> PrepareWork(
    std::shared_ptr<const ResolvedTarget> target, const InferenceInput& input,
    InferenceMetrics& metrics);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_WORK_ITEM_H_
