#ifndef ATTUNE_WORKER_MODELS_TOKEN_TABLES_H_
#define ATTUNE_WORKER_MODELS_TOKEN_TABLES_H_

#include <ATen/core/Tensor.h>

#include "worker/models/linear_layer.h"

namespace attune::worker {

// What rows are multiplied by on their way into and out of a model.
struct TokenScales {
  double embedding = 1;  // of token rows that go in (Gemma)
  double hidden = 1;     // of hidden states before the output head (T5)
};

// What a language model has one row per token of: the embeddings that go in and
// the output head, which may be the same table (tied). Const after
// construction, thread-safe.
class TokenTables {
 public:
  TokenTables() = default;
  // embeddings: [vocab, embedding_dim]; head: [vocab, dim], with an undefined
  // weight where it is tied.
  TokenTables(at::Tensor embeddings, LinearLayer head,
              const TokenScales& scales = TokenScales());

  at::Device device() const { return embeddings_.device(); }
  at::ScalarType dtype() const { return embeddings_.scalar_type(); }

  // token_ids: [n], int64 -> [n, embedding_dim], fp32; as BaseModel::Embed.
  at::Tensor Embed(const at::Tensor& token_ids) const;
  // hidden: [n, dim] -> [n, vocab]; differentiable.
  at::Tensor Logits(const at::Tensor& hidden) const;
  // hidden: [n, dim], token_ids: [k] -> [n, k]; differentiable. Reads only k
  // rows of the head.
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& token_ids) const;
  bool TrainsOutput() const { return head_.weight().requires_grad(); }

 private:
  at::Tensor embeddings_;
  LinearLayer head_;  // shares embeddings_ when tied
  TokenScales scales_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_TOKEN_TABLES_H_
