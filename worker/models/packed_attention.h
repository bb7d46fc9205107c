#ifndef ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_
#define ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>

#include "worker/models/attention_batch.h"
#include "worker/models/attention_layout.h"
#include "worker/models/qkv_rows.h"

namespace attune::worker {

// Attention of packed rows: one product per family with the shared keys, one
// per segment with its own, softmax in fp32 over both. `layer` picks the cached
// keys. Differentiable with regard to q, k and v; gradients of ancestors add up
// over all who see them. For cross attention k and v hold the rows of the
// memory and q those of the other batch.
// -> [n, heads * head_dim]; in bf16 where narrow_attention.h does the work:
// while KeptRows is narrow.
at::Tensor PackedAttention(const QkvRows& rows, int64_t layer,
                           const c10::intrusive_ptr<AttentionLayout>& layout,
                           const AttentionRule& rule = {});

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PACKED_ATTENTION_H_
