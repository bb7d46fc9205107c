#ifndef ATTUNE_WORKER_TASKS_BEAM_DECODING_H_
#define ATTUNE_WORKER_TASKS_BEAM_DECODING_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/kv_cache.h"
#include "worker/tasks/beam_search.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// Tokens that the next forward runs behind what `sequence` holds. Borrows.
struct DecodingStep {
  absl::Span<const int64_t> ids;
  KvSequence* sequence = nullptr;
};

// The text that a search has chosen.
struct BeamText {
  std::string text;        // ends before a stop text
  int64_t num_tokens = 0;  // without an end token
  bool ended = false;      // by itself; else it was cut
};

// One answer that is made by beam search: the beams with their keys and values.
// All beams read the input together once; from then on each has keys and values
// of its own, and a beam that takes another's place gets that one's for the
// tokens behind the input. Whoever owns it runs the model. Not thread-safe.
class BeamDecoding {
 public:
  // `tokenizer` is borrowed. `input`: at least one id. A text also ends where
  // it contains one of `stops`, none of which is empty.
  BeamDecoding(const Tokenizer& tokenizer, BeamOptions options,
               std::vector<std::string> stops, std::vector<int64_t> input);

  // Of an encoder-decoder, which reads the input apart: the decoder begins with
  // `start`. Before the first Advance.
  void BeginApart(int64_t start) { input_.assign(1, start); }

  // The input; afterwards the newest token of each beam. Borrowed until the
  // next Advance. At least one unless finished.
  std::vector<DecodingStep> Steps();
  size_t num_steps() const { return sequences_.size(); }

  // Takes the logits [steps, vocab] behind the steps. Errors of BeamSearch and
  // the tokeniser.
  absl::Status Advance(std::span<const float> logits);

  bool finished() const { return search_.finished(); }
  // What was chosen. Only when finished.
  const BeamSearch::Hypothesis& best() const {
    return search_.hypotheses().front();
  }
  absl::StatusOr<BeamText> Text() const;

 private:
  // Hands keys and values on to the present beams.
  void FollowBeams();
  // Makes `to` what `from` is.
  void CopySequence(const KvSequence& from, KvSequence& to) const;

  const Tokenizer& tokenizer_;
  const std::vector<std::string> stops_;
  BeamSearch search_;
  std::vector<int64_t> input_;
  int64_t input_length_ = 0;  // in the sequences; 0 before the first Advance
  std::vector<std::unique_ptr<KvSequence>> sequences_;  // one per beam
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_BEAM_DECODING_H_
