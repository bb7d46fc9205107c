#ifndef ATTUNE_WORKER_MODELS_QK_NORM_H_
#define ATTUNE_WORKER_MODELS_QK_NORM_H_

#include <ATen/core/Tensor.h>

#include "worker/models/qkv_rows.h"
#include "worker/models/rms_norm.h"

namespace attune::worker {

// Normalises every query and key head of a merged projection (Qwen3, Gemma 3);
// values pass. qkv: [n, (heads + 2 kv_heads) * head_dim] -> the same shape.
// Differentiable.
at::Tensor NormHeads(const at::Tensor& qkv, const HeadShape& shape,
                     const RmsNorm& query_norm, const RmsNorm& key_norm);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_QK_NORM_H_
