#ifndef ATTUNE_WORKER_INFERENCE_SAMPLER_H_
#define ATTUNE_WORKER_INFERENCE_SAMPLER_H_

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace attune::worker {

// How tokens are picked.
struct SamplingOptions {
  double temperature = 0;  // 0: the likeliest token
  int64_t top_k = 0;       // 0: no limit
  double top_p = 1;        // (0, 1]
  uint64_t seed = 0;
};

// Picks the tokens of one generation. Its random numbers depend on the seed and
// on how many it has drawn, on nothing else, so a generation does not depend on
// what runs beside it. Not thread-safe.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  // logits: [vocab]. Equal logits: the lower id wins. Internal unless the
  // largest logit is finite.
  absl::StatusOr<int64_t> Next(std::span<const float> logits);

 private:
  // Uniform in [0, 1). SplitMix64 (Steele, Lea and Flood 2014).
  double NextUniform();

  const SamplingOptions options_;
  uint64_t state_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_SAMPLER_H_
