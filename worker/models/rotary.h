#ifndef ATTUNE_WORKER_MODELS_ROTARY_H_
#define ATTUNE_WORKER_MODELS_ROTARY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/models/model_config.h"

namespace attune::worker {

// Queries, keys and values of a batch, laid out for packed attention. The query
// heads of one key head (the group) lie beside each other as rows.
struct QkvRows {
  at::Tensor q;  // [kv_heads, n * group, head_dim]
  at::Tensor k;  // [kv_heads, n, head_dim]
  at::Tensor v;  // [kv_heads, n, head_dim]
};

// Splits the merged projection into heads and applies rotary positions (Su et
// al., 2021; halves, as Hugging Face pairs them); queries are scaled by
// head_dim^-0.5 on the way. Const after construction, thread-safe.
class Rotary {
 public:
  Rotary() = default;
  Rotary(const ModelConfig& config, const at::Device& device);

  // qkv: [n, (heads + 2 kv_heads) * head_dim], positions: [n], int64, below the
  // context length.
  QkvRows Forward(const at::Tensor& qkv, const at::Tensor& positions) const;

 private:
  at::Tensor cosines_;  // [context, head_dim / 2], fp32
  at::Tensor sines_;
  int64_t heads_ = 0;
  int64_t kv_heads_ = 0;
  int64_t head_dim_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ROTARY_H_
