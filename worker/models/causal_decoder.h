#ifndef ATTUNE_WORKER_MODELS_CAUSAL_DECODER_H_
#define ATTUNE_WORKER_MODELS_CAUSAL_DECODER_H_

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/attention_layout.h"
#include "worker/models/causal_model.h"
#include "worker/models/frozen_linear.h"
#include "worker/models/packed_attention.h"

namespace attune::worker {

// One forward of a decoder: what its layers share, and the caches they write.
// Lives for one call.
class DecoderPass {
 public:
  // Keys and values of every layer, for those who keep them.
  struct LayerKeys {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
  };

  // `rows` and `keep` (null: forget keys and values) are borrowed.
  DecoderPass(const PackedRows& rows, const at::Device& device,
              LayerKeys* keep);

  // The batch's rows: [n, embedding_dim].
  const at::Tensor& embeddings() const { return rows_.embeddings; }
  // Of every row: [n], int64.
  const at::Tensor& positions() const { return positions_; }

  // The attention of one layer; layers come in order. Keys and values go to
  // the caches. -> [n, heads * head_dim]
  at::Tensor Attend(const QkvRows& qkv, const AttentionRule& rule = {});

  // Counts what the layers wrote, once all are done.
  void Commit();

 private:
  const PackedRows& rows_;
  LayerKeys* const keep_;
  const c10::intrusive_ptr<AttentionLayout> layout_;
  at::Tensor positions_;
  int64_t layer_ = 0;
};

// What the architectures of causal models have in common: embedding and head
// tables, checks, prefixes. An architecture loads its weights and runs its
// layers. The residual stream, norms and attention are fp32, products run in
// the weights' dtype. Const after loading, thread-safe.
class CausalDecoder : public CausalModel {
 public:
  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return embeddings_.device(); }
  at::ScalarType dtype() const override { return embeddings_.scalar_type(); }

  at::Tensor Embed(const at::Tensor& token_ids) const override;
  absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const override;
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const override;
  at::Tensor Logits(const at::Tensor& hidden) const override;
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& token_ids) const override;

 protected:
  explicit CausalDecoder(const ModelConfig& config) : config_(config) {}

  // All layers and the final norm: -> [n, dim], fp32. Throws what LibTorch
  // throws.
  virtual at::Tensor RunLayers(DecoderPass& pass) const = 0;

  // Set while loading. `head`: undefined where it is tied.
  void SetTables(at::Tensor embeddings, FrozenLinear head);
  // Token rows are multiplied by it (Gemma).
  void SetEmbeddingScale(double scale) { embedding_scale_ = scale; }

  const ModelConfig config_;

 private:
  absl::StatusOr<at::Tensor> CheckedRun(const PackedRows& rows,
                                        DecoderPass::LayerKeys* keep) const;

  at::Tensor embeddings_;  // [vocab, embedding_dim]
  FrozenLinear head_;      // shares embeddings_ when tied
  double embedding_scale_ = 1;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CAUSAL_DECODER_H_
