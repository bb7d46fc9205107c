#ifndef ATTUNE_WORKER_MODELS_QKV_ROWS_H_
#define ATTUNE_WORKER_MODELS_QKV_ROWS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/models/model_config.h"
#include "worker/models/rotary.h"

namespace attune::worker {

// Queries, keys and values of a batch, laid out for packed attention. The query
// heads of one key head (the group) lie beside each other as rows.
struct QkvRows {
  at::Tensor q;  // [kv_heads, n * group, head_dim]
  at::Tensor k;  // [kv_heads, n, head_dim]
  at::Tensor v;  // [kv_heads, n, head_dim]
};

// How a merged projection splits into heads.
struct HeadShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  double scale = 1;  // of the queries, most often head_dim^-0.5

  int64_t group() const { return heads / kv_heads; }
};

// The heads of a model's layers.
HeadShape HeadShapeOf(const ModelConfig& config);

// qkv: [n, (heads + 2 kv_heads) * head_dim]: all query heads, then all key
// heads, then all value heads. Queries and keys are rotated by `angles` unless
// these are empty. Differentiable with regard to qkv; the result has its dtype.
QkvRows SplitQkv(const at::Tensor& qkv, const HeadShape& shape,
                 const RotaryAngles& angles);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_QKV_ROWS_H_
