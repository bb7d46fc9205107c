#ifndef ATTUNE_WORKER_TASKS_BEAM_SEARCH_H_
#define ATTUNE_WORKER_TASKS_BEAM_SEARCH_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attune::worker {

// How wide a beam search is and where it ends.
struct BeamOptions {
  int64_t num_beams = 2;
  double length_penalty = 1;
  int64_t max_new_tokens = 64;           // at least 1
  std::vector<int64_t> end_tokens = {};  // each once
};

// The bookkeeping of one beam search, as transformers' generate with num_beams,
// do_sample=False and early_stopping=False. Every step weighs all continuations
// of all beams: those among the likeliest num_beams that end are kept as
// hypotheses, the likeliest that do not end go on. It is over when num_beams
// hypotheses are kept and the likeliest beam, scored at its present length, is
// no better than the worst of them. Not thread-safe.
class BeamSearch {
 public:
  // A text that goes on.
  struct Beam {
    std::vector<int64_t> ids;
    double log_probability = 0;  // of all its ids
    size_t parent = 0;           // what it was one token ago, among the beams
  };
  // A text that has ended.
  struct Hypothesis {
    std::vector<int64_t> ids;  // without the end token
    // The log-probability, the end token's included, divided by the number of
    // tokens to the power of length_penalty.
    double score = 0;
    bool ended = false;  // by itself; else max_new_tokens has cut it
  };
  // Whether a text ends behind these ids, though by no end token.
  using EndsText =
      std::function<absl::StatusOr<bool>(const std::vector<int64_t>& ids)>;

  explicit BeamSearch(BeamOptions options);

  // The likeliest first; at the beginning one without ids. At most num_beams,
  // fewer where almost all continuations end. Empty once all have ended.
  const std::vector<Beam>& beams() const { return beams_; }

  // Takes the logits [beams, vocab] behind each beam. Of equal continuations
  // those of the likelier beam and the lower id win. Internal unless each
  // beam's largest logit is finite; errors of `ends_text`. Not when finished.
  absl::Status Advance(std::span<const float> logits,
                       const EndsText& ends_text);

  bool finished() const { return finished_; }
  // The hypotheses, the best first; at least one when finished.
  const std::vector<Hypothesis>& hypotheses() const { return hypotheses_; }

 private:
  // A beam and the token that may follow.
  struct Candidate {
    size_t beam = 0;
    int64_t id = 0;
    double log_probability = 0;
  };

  static bool IsLikelier(const Candidate& a, const Candidate& b);
  // Those that a step looks at, the likeliest first.
  absl::StatusOr<std::vector<Candidate>> FindCandidates(
      std::span<const float> logits) const;
  bool IsEnd(int64_t id) const;
  double Score(double log_probability, size_t length) const;
  // Keeps it if it is among the best num_beams.
  void Keep(Hypothesis hypothesis);

  const BeamOptions options_;
  std::vector<Beam> beams_;
  std::vector<Hypothesis> hypotheses_;
  bool finished_ = false;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_BEAM_SEARCH_H_
