#ifndef ATTUNE_WORKER_INFERENCE_TEXT_WRITER_H_
#define ATTUNE_WORKER_INFERENCE_TEXT_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/task.pb.h"
#include "proto/cc/clock.h"
#include "worker/inference/inference_metrics.h"
#include "worker/inference/target_resolver.h"

namespace attune::worker {

// A text that is to be written.
struct WritingOrder {
  std::string kind;                // what it is to be, in a few words
  std::vector<std::string> shown;  // texts of that kind, one line each
  uint64_t seed = 0;               // of the sampling
};

// A text that was written.
struct WrittenText {
  std::string text;       // without the line break behind it
  bool finished = false;  // it ended by itself, not after max_new_tokens
};

// Has a bare base model go on with lists of texts: a line says what they are,
// each stands behind a dash, and the model writes what follows the next dash.
// Not thread-safe.
class TextWriter {
 public:
  // `model`: models/{id}. `decoding`: with max_new_tokens and a temperature,
  // without a seed; a line break always ends a text. Blocks as
  // TargetResolver::Resolve does. `metrics` and the resolver are borrowed.
  // INVALID_ARGUMENT naming "generator" for a model that generates no text; the
  // errors of TargetResolver::Resolve.
  static absl::StatusOr<TextWriter> Create(const std::string& model,
                                           const attune::v1::Decoding& decoding,
                                           TargetResolver& resolver,
                                           InferenceMetrics& metrics);

  // Texts for `orders`, in their order, many in each pass of the model. An
  // order whose list does not fit loses the beginning of what is shown. Equal
  // orders in equal calls give equal texts on the same machine. Errors of
  // AnswerItems; kInputTooLong.
  absl::StatusOr<std::vector<WrittenText>> Write(
      absl::Span<const WritingOrder> orders,
      const std::function<absl::Status()>& pause) const;

 private:
  TextWriter(std::shared_ptr<const ResolvedTarget> target, const Clock& clock,
             InferenceMetrics& metrics)
      : target_(std::move(target)), clock_(&clock), metrics_(&metrics) {}

  std::shared_ptr<const ResolvedTarget> target_;
  const Clock* clock_;
  InferenceMetrics* metrics_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_TEXT_WRITER_H_
