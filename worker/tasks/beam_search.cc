#include "worker/tasks/beam_search.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "proto/cc/status_macros.h"

namespace attune::worker {
namespace {

// The logarithm of the sum of all exp(logit). Not finite unless the largest
// logit is.
double LogOfSum(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

}  // namespace

BeamSearch::BeamSearch(BeamOptions options)
    : options_(std::move(options)), beams_(1) {}

bool BeamSearch::IsEnd(int64_t id) const {
  return std::find(options_.end_tokens.begin(), options_.end_tokens.end(),
                   id) != options_.end_tokens.end();
}

double BeamSearch::Score(double log_probability, size_t length) const {
  return log_probability /
         std::pow(static_cast<double>(length), options_.length_penalty);
}

void BeamSearch::Keep(Hypothesis hypothesis) {
  const auto place =
      std::upper_bound(hypotheses_.begin(), hypotheses_.end(), hypothesis,
                       [](const Hypothesis& a, const Hypothesis& b) {
                         return a.score > b.score;
                       });
  hypotheses_.insert(place, std::move(hypothesis));
  if (hypotheses_.size() > static_cast<size_t>(options_.num_beams)) {
    hypotheses_.pop_back();
  }
}

bool BeamSearch::IsLikelier(const Candidate& a, const Candidate& b) {
  if (a.log_probability != b.log_probability) {
    return a.log_probability > b.log_probability;
  }
  return std::pair(a.beam, a.id) < std::pair(b.beam, b.id);
}

absl::StatusOr<std::vector<BeamSearch::Candidate>> BeamSearch::FindCandidates(
    std::span<const float> logits) const {
  // Enough that num_beams of them go on even if every beam may end in every
  // way.
  const size_t most =
      options_.num_beams * std::max<size_t>(2, 1 + options_.end_tokens.size());
  const size_t vocab = logits.size() / beams_.size();
  std::vector<Candidate> kept;  // a heap: the least likely is in front
  kept.reserve(most + 1);
  for (size_t beam = 0; beam < beams_.size(); ++beam) {
    const std::span<const float> own = logits.subspan(beam * vocab, vocab);
    const double log_sum = own.empty() ? NAN : LogOfSum(own);
    if (!std::isfinite(log_sum)) {
      return absl::InternalError(
          "the model's logits are not finite, so no token can be picked");
    }
    const double before = beams_[beam].log_probability - log_sum;
    for (size_t id = 0; id < vocab; ++id) {
      if (!std::isfinite(own[id])) continue;  // never follows
      const Candidate one = {beam, static_cast<int64_t>(id), before + own[id]};
      if (kept.size() == most && !IsLikelier(one, kept.front())) continue;
      kept.push_back(one);
      std::push_heap(kept.begin(), kept.end(), IsLikelier);
      if (kept.size() <= most) continue;
      std::pop_heap(kept.begin(), kept.end(), IsLikelier);
      kept.pop_back();
    }
  }
  std::sort_heap(kept.begin(), kept.end(), IsLikelier);
  return kept;
}

absl::Status BeamSearch::Advance(std::span<const float> logits,
                                 const EndsText& ends_text) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Candidate> candidates,
                          FindCandidates(logits));
  const size_t width = static_cast<size_t>(options_.num_beams);
  const size_t length = beams_.front().ids.size() + 1;
  const bool is_last = static_cast<int64_t>(length) >= options_.max_new_tokens;
  std::vector<Beam> next;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& one = candidates[i];
    // The others only stand in for those that end.
    if (i >= width && (is_last || next.size() == width)) break;
    std::vector<int64_t> ids = beams_[one.beam].ids;
    bool ended = IsEnd(one.id);
    if (!ended) {
      ids.push_back(one.id);
      ATTUNE_ASSIGN_OR_RETURN(ended, ends_text(ids));
    }
    if (!ended && !is_last) {
      next.push_back({std::move(ids), one.log_probability, one.beam});
    } else if (i < width) {
      Keep({std::move(ids), Score(one.log_probability, length), ended});
    }
  }
  beams_ = std::move(next);
  finished_ = beams_.empty() || (hypotheses_.size() == width &&
                                 !(Score(beams_.front().log_probability,
                                         length) > hypotheses_.back().score));
  return absl::OkStatus();
}

}  // namespace attune::worker
