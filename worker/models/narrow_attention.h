#ifndef ATTUNE_WORKER_MODELS_NARROW_ATTENTION_H_
#define ATTUNE_WORKER_MODELS_NARROW_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include "worker/models/attention_batch.h"
#include "worker/models/attention_layout.h"
#include "worker/models/qkv_rows.h"

namespace attune::worker {

// Packed attention while training in bf16 on a CPU that multiplies bf16: the
// products take bf16 and give fp32, as the layers' own do; softmax is fp32. A
// segment and key head is worked off by one thread, at most
// NarrowBlock::kMaxRows query rows at a time, whose scores stay in its cache
// from the first product to the last (as in Dao et al., 2022, but with whole
// rows of scores, which are kept in bf16 for the backward pass). Results depend
// on the number of threads in their last bits and on nothing else.

// What the backward pass needs again, in bf16.
struct NarrowKept {
  QkvRows rows;
  at::Tensor probabilities;  // those of all families, one behind the other
};

// Whether this CPU and the shape of the heads allow it.
bool CanAttendNarrow(const AttentionBatch& batch);

// batch.rows: fp32 or bf16 -> [n, heads * head_dim] in bf16
at::Tensor AttendNarrow(const AttentionBatch& batch,
                        const AttentionLayout& layout, NarrowKept& kept);

// `batch` has the rows that were kept and the same layer, layout and window.
// grad: [n, heads * head_dim], fp32 or bf16 -> gradients of q in `q_dtype`
// (float or bfloat16), of k and v in fp32
QkvRows AttendNarrowBackward(const AttentionBatch& batch,
                             const AttentionLayout& layout,
                             const at::Tensor& probabilities,
                             const at::Tensor& grad, at::ScalarType q_dtype);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_NARROW_ATTENTION_H_
