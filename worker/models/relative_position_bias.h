#ifndef ATTUNE_WORKER_MODELS_RELATIVE_POSITION_BIAS_H_
#define ATTUNE_WORKER_MODELS_RELATIVE_POSITION_BIAS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace attune::worker {

// How distances, position of the key minus that of the row, share buckets.
struct PositionBuckets {
  // Both ways, later keys have the upper half of the buckets; else nobody sees
  // them, and all share the first bucket.
  bool both_ways = false;
  int64_t count = 0;  // of buckets, at least 2, both ways at least 4
  // From here on all share the last bucket. Above count / 2.
  int64_t max_distance = 0;

  // One each for the nearer half, then logarithmically more to a bucket.
  // distances: [n], int64, on the CPU -> [n], int64
  at::Tensor Of(const at::Tensor& distances) const;
};

// T5's relative position bias (Raffel et al., 2020): a learned number per head
// and bucket of distances. Const after construction, thread-safe.
class RelativePositionBias {
 public:
  RelativePositionBias() = default;
  // table: [buckets.count, heads], of any floating dtype.
  RelativePositionBias(const at::Tensor& table, const PositionBuckets& buckets);

  // For positions below `span`, as AttentionRule::bias takes it:
  // [heads, 2 * span - 1], fp32.
  at::Tensor For(int64_t span) const;

 private:
  // For the distances from -max_distance to max_distance: farther ones have the
  // outermost numbers. [heads, 2 * max_distance + 1], fp32
  at::Tensor near_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_RELATIVE_POSITION_BIAS_H_
