#include "worker/inference/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/status/status.h"

namespace attune::worker {
namespace {

struct Candidate {
  int64_t id;
  double weight;  // exp((logit - largest) / temperature)
};

// Orders a heap so that the likeliest candidate is on top.
bool LessLikely(const Candidate& a, const Candidate& b) {
  if (a.weight != b.weight) {
    return a.weight < b.weight;
  }
  return a.id > b.id;
}

// Moves the likeliest candidates that top_k and top_p leave to the front,
// likeliest first, and drops the others. A heap, because few are kept of many.
void KeepLikeliest(int64_t top_k, double top_p,
                   std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) {
    total += candidate.weight;
  }
  const size_t most = top_k > 0 ? std::min<size_t>(top_k, candidates.size())
                                : candidates.size();
  std::vector<Candidate> kept;
  double kept_weight = 0;
  std::make_heap(candidates.begin(), candidates.end(), LessLikely);
  if (top_k > 0) {
    // top_p is a share of what top_k has left.
    for (size_t i = 0; i < most; ++i) {
      std::pop_heap(candidates.begin(), candidates.end(), LessLikely);
      kept.push_back(candidates.back());
      candidates.pop_back();
      kept_weight += kept.back().weight;
    }
    total = kept_weight;
    size_t count = 0;
    double running = 0;
    while (count < kept.size() && running < top_p * total) {
      running += kept[count++].weight;
    }
    kept.resize(std::max<size_t>(count, 1));
  } else {
    while (kept.size() < most &&
           (kept.empty() || kept_weight < top_p * total)) {
      std::pop_heap(candidates.begin(), candidates.end(), LessLikely);
      kept.push_back(candidates.back());
      candidates.pop_back();
      kept_weight += kept.back().weight;
    }
  }
  candidates = std::move(kept);
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options)
    : options_(options), state_(options.seed) {}

double Sampler::NextUniform() {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

absl::StatusOr<int64_t> Sampler::Next(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (best == logits.end() || !std::isfinite(*best)) {
    return absl::InternalError(
        "the model's logits are not finite, so no token can be picked");
  }
  if (options_.temperature <= 0) {
    return best - logits.begin();
  }
  const double largest = *best;
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double weight =
        std::exp((logits[i] - largest) / options_.temperature);
    if (weight > 0) {
      candidates.push_back({static_cast<int64_t>(i), weight});
      total += weight;
    }
  }
  if (options_.top_k > 0 || options_.top_p < 1) {
    KeepLikeliest(options_.top_k, options_.top_p, candidates);
    total = 0;
    for (const Candidate& candidate : candidates) {
      total += candidate.weight;
    }
  }
  double left = NextUniform() * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) {
      return candidate.id;
    }
  }
  return candidates.back().id;
}

}  // namespace attune::worker
