#ifndef ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_
#define ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>

#include "worker/models/attention_layout.h"
#include "worker/models/qkv_rows.h"

namespace attune::worker {

// What changes the scores of a layer.
struct AttentionRule {
  // A row sees the keys fewer than `window` positions before it; 0: all.
  int64_t window = 0;
  // Constant, added to the scores of head h at [h, key position - row position
  // + span - 1]: [heads, 2 * span - 1] where span is above all positions of the
  // batch. Undefined: nothing is added.
  at::Tensor bias;
};

// Attention of packed rows: one product per family with the shared keys, one
// per segment with its own, softmax in fp32 over both. `layer` picks the cached
// keys. Differentiable with regard to q, k and v; gradients of ancestors add up
// over all who see them. For cross attention k and v hold the rows of the
// memory and q those of the other batch.
// -> [n, heads * head_dim]
at::Tensor PackedAttention(const QkvRows& rows, int64_t layer,
                           const c10::intrusive_ptr<AttentionLayout>& layout,
                           const AttentionRule& rule = {});

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_
