#ifndef ATTUNE_WORKER_INFERENCE_GENERATION_H_
#define ATTUNE_WORKER_INFERENCE_GENERATION_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/task.pb.h"
#include "worker/inference/decoding_options.h"
#include "worker/inference/sampler.h"
#include "worker/inference/stop_matcher.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"
#include "worker/tasks/beam_decoding.h"
#include "worker/text/token_stream.h"

namespace attune::worker {

// One text that is being generated: its keys and values, its sampler or beam
// search and what has come out so far. The engine thread runs the model and
// gives each generation its logits. Not thread-safe.
class Generation {
 public:
  // `model` is borrowed. `input`: at least one id. `max_new_tokens` of
  // `decoding` must leave room in the context, see LeaveRoom below.
  // `end_token` ends the text beside the model's own stop tokens.
  Generation(const LoadedModel& model, std::vector<int64_t> input,
             const DecodingOptions& decoding, int64_t end_token);

  // What the next forward runs: the whole input first, then the newest token,
  // of a beam search that of each beam. Borrowed until the next Advance.
  std::vector<DecodingStep> Steps();
  // The input, for the encoder of an encoder-decoder. Before BeginApart.
  std::span<const int64_t> input() const { return pending_; }

  // Of an encoder-decoder, which reads the input apart: from now on the decoder
  // reads `memory` and begins with token `start`. Before the first Advance.
  void BeginApart(std::shared_ptr<const KvBlock> memory, int64_t start);
  // Null before that, and of a causal model.
  const KvBlock* memory() const { return memory_.get(); }

  // Takes the logits [steps, vocab] behind the steps, picks a token and returns
  // the text that it completed, which may be empty. A beam search returns all
  // of its text when it has finished.
  absl::StatusOr<std::string> Advance(std::span<const float> logits);

  bool finished() const {
    return finish_reason_ != attune::v1::FINISH_REASON_UNSPECIFIED;
  }
  attune::v1::FinishReason finish_reason() const { return finish_reason_; }
  bool is_beam_search() const { return beams_ != nullptr; }
  // Everything that Advance has returned.
  const std::string& text() const { return text_; }
  // Without the token that ended the text. Of a beam search 0 until it has
  // finished.
  int num_generated_tokens() const { return num_generated_tokens_; }
  int num_input_tokens() const { return num_input_tokens_; }

 private:
  // Advance of a beam search.
  absl::StatusOr<std::string> AdvanceBeams(std::span<const float> logits);
  bool EndsText(int64_t id) const;

  const int64_t max_new_tokens_;
  const std::vector<int64_t> end_tokens_;
  const int num_input_tokens_;
  KvSequence sequence_;
  std::shared_ptr<const KvBlock> memory_;
  Sampler sampler_;
  TokenStream stream_;
  StopMatcher stops_;
  std::unique_ptr<BeamDecoding> beams_;  // null: one token after the other
  std::vector<int64_t> pending_;
  std::string text_;
  int num_generated_tokens_ = 0;
  attune::v1::FinishReason finish_reason_ =
      attune::v1::FINISH_REASON_UNSPECIFIED;
};

// How many tokens an input must leave free for a generation of `max_new_tokens`
// in a context that has `context` places: all of them, but at most half the
// context, so that a large limit does not squeeze the input out.
int64_t RoomForGeneration(int64_t max_new_tokens, int64_t context);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_GENERATION_H_
