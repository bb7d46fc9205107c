#include "worker/models/qk_norm.h"

#include <ATen/ops/cat.h>

namespace attune::worker {
namespace {

// x: [n, heads * head_dim], each head normalised.
at::Tensor NormEach(const at::Tensor& x, int64_t head_dim,
                    const RmsNorm& norm) {
  return norm.Forward(x.reshape({-1, head_dim}), at::Tensor())
      .normalised.view(x.sizes());
}

}  // namespace

at::Tensor NormHeads(const at::Tensor& qkv, const HeadShape& shape,
                     const RmsNorm& query_norm, const RmsNorm& key_norm) {
  const int64_t q = shape.heads * shape.head_dim;
  const int64_t kv = shape.kv_heads * shape.head_dim;
  return at::cat({NormEach(qkv.narrow(1, 0, q), shape.head_dim, query_norm),
                  NormEach(qkv.narrow(1, q, kv), shape.head_dim, key_norm),
                  qkv.narrow(1, q + kv, kv)},
                 1);
}

}  // namespace attune::worker
