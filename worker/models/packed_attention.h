#ifndef ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_
#define ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <vector>

#include "worker/models/kv_cache.h"
#include "worker/models/packed_rows.h"
#include "worker/models/rotary.h"

namespace attune::worker {

// Which rows of a batch see which keys, worked out once per batch and used by
// every layer. Immutable.
class AttentionLayout : public torch::CustomClassHolder {
 public:
  struct Range {
    int64_t begin = 0;
    int64_t length = 0;
  };

  // Neighbouring segments that see the same keys beside their own: siblings
  // under one parent, or texts behind one cached prompt. Their scores with the
  // shared keys are one product.
  struct Family {
    Range rows;
    const KvBlock* prefix = nullptr;
    const KvSequence* sequence = nullptr;
    std::vector<Range> ancestors;  // rows of the batch, oldest first
    int64_t shared_length = 0;     // all keys before the segments' own
    std::vector<Range> segments;
    std::vector<int32_t> segment_of_row;  // per row of the family
  };

  explicit AttentionLayout(const std::vector<Segment>& segments);

  const std::vector<Family>& families() const { return families_; }

 private:
  std::vector<Family> families_;
};

// Causal attention of packed rows: one product per family with the shared keys,
// one per segment with its own, softmax in fp32 over both. `layer` picks the
// cached keys. Differentiable with regard to q, k and v; gradients of ancestors
// add up over all who see them.
// -> [n, heads * head_dim]
at::Tensor PackedAttention(const QkvRows& rows, int64_t layer,
                           const c10::intrusive_ptr<AttentionLayout>& layout);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_
