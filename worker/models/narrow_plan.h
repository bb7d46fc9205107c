#ifndef ATTUNE_WORKER_MODELS_NARROW_PLAN_H_
#define ATTUNE_WORKER_MODELS_NARROW_PLAN_H_

#include <ATen/Parallel.h>

#include <cstdint>
#include <vector>

#include "worker/models/attention_batch.h"
#include "worker/models/attention_layout.h"
#include "worker/models/bf16_factors.h"

namespace attune::worker {

// How the work of narrow_attention.h is cut up and where its scores lie.

// One segment and one key head: what one thread works off.
struct NarrowPiece {
  const AttentionLayout::Family* family;
  const AttentionLayout::Range* segment;
  int64_t head;
  int64_t shared_width;  // keys, padded
  int64_t own_width;
  int64_t stride;    // of its rows of scores: the shared ones, then its own
  int64_t place;     // of its first score among the probabilities
  int64_t num_rows;  // of queries

  bool SharesWith(const NarrowPiece& other) const {
    return family == other.family && head == other.head;
  }
};

// All pieces of a batch in the order in which threads take them: those with the
// same shared keys are neighbours. Points into the layout.
class NarrowPlan {
 public:
  NarrowPlan(const AttentionBatch& batch, const AttentionLayout& layout);

  const std::vector<NarrowPiece>& pieces() const { return pieces_; }
  // The size of all scores, with room behind them: products read whole steps of
  // rows.
  int64_t num_scores() const {
    return num_scores_ + bf16_factors::kStep * max_stride_;
  }
  // How many threads pay.
  int64_t NumShares() const;

  // Calls body(first piece, end, share) once for each of `shares` shares, which
  // are about equal, on as many threads.
  template <typename Body>
  void Run(int64_t shares, const Body& body) const {
    at::parallel_for(0, shares, 1, [&](int64_t first, int64_t last) {
      for (int64_t share = first; share < last; ++share) {
        body(FirstOf(share, shares), FirstOf(share + 1, shares), share);
      }
      bf16_factors::Release();
    });
  }

 private:
  void Add(const AttentionBatch& batch, const AttentionLayout::Family& family);
  // Where a share's part of the work begins.
  int64_t FirstOf(int64_t share, int64_t shares) const;

  std::vector<NarrowPiece> pieces_;
  std::vector<int64_t> work_ = {0};  // of each piece and those before it
  int64_t num_scores_ = 0;
  int64_t max_stride_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_NARROW_PLAN_H_
