#ifndef ATTUNE_WORKER_MODELS_T5_H_
#define ATTUNE_WORKER_MODELS_T5_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/base_model.h"
#include "worker/models/config_reader.h"
#include "worker/models/decoder_pass.h"
#include "worker/models/encoder_decoder_model.h"
#include "worker/models/linear_layer.h"
#include "worker/models/relative_position_bias.h"
#include "worker/models/rms_norm.h"
#include "worker/models/token_tables.h"
#include "worker/models/weight_loader.h"

namespace attune::worker {

// T5 (Raffel et al., 2020), its version 1.1 with gated feed-forward layers,
// FLAN-T5 (Chung et al., 2022) and mT5 (Xue et al., 2021). Norms stand before
// the blocks, positions are a bias on the scores of self attention, and no
// layer has biases. Residual streams, norms and attention are fp32, products
// run in the weights' dtype. Const after loading, thread-safe.
class T5 : public EncoderDecoderModel {
 public:
  // For model_type t5 and mt5. Unimplemented for a checkpoint without decoder
  // or with another head than the one for tokens.
  static absl::StatusOr<ModelConfig> ReadConfig(const ConfigReader& reader);
  // FailedPrecondition naming missing or surplus tensors. Whether the head is
  // tied is what the checkpoint says: with a head of its own in the file it is
  // not, whatever the config has.
  static absl::StatusOr<std::unique_ptr<BaseModel>> Load(
      const ModelConfig& config, WeightLoader& weights);

  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return tables_.device(); }
  at::ScalarType dtype() const override { return tables_.dtype(); }
  at::Tensor Embed(const at::Tensor& token_ids) const override {
    return tables_.Embed(token_ids);
  }
  at::Tensor Logits(const at::Tensor& hidden) const override {
    return tables_.Logits(hidden);
  }
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& token_ids) const override {
    return tables_.LogitsFor(hidden, token_ids);
  }
  bool TrainsOutput() const override { return tables_.TrainsOutput(); }

  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& embeddings) const override;
  absl::StatusOr<at::Tensor> Encode(const EncoderRows& rows) const override;
  absl::StatusOr<at::Tensor> Decode(const DecoderRows& rows) const override;
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildMemory(
      const at::Tensor& memory) const override;

 private:
  // Each block has its norm before it.
  struct SelfAttention {
    RmsNorm norm;
    LinearLayer qkv;  // query, key and value rows, merged
    LinearLayer output;
  };
  struct CrossAttention {
    RmsNorm norm;
    LinearLayer query;
    LinearLayer key_value;  // of the memory's rows, merged
    LinearLayer output;
  };
  struct FeedForward {
    RmsNorm norm;
    LinearLayer up;  // with the gate's rows before it where there is one
    LinearLayer down;
  };
  struct EncoderLayer {
    SelfAttention self;
    FeedForward ffn;
  };
  struct DecoderLayer {
    SelfAttention self;
    CrossAttention cross;
    FeedForward ffn;
  };

  explicit T5(const ModelConfig& config) : config_(config) {}

  // `name`: of the block, "encoder.block.0.layer.0.".
  SelfAttention LoadSelf(const std::string& name, WeightLoader& weights) const;
  CrossAttention LoadCross(const std::string& name,
                           WeightLoader& weights) const;
  FeedForward LoadFeedForward(const std::string& name,
                              WeightLoader& weights) const;
  RmsNorm LoadNorm(const std::string& name, WeightLoader& weights) const;
  void LoadLayers(WeightLoader& weights);
  // [buckets, heads]; `side`: "encoder" or "decoder".
  at::Tensor LoadBiases(const char* side, WeightLoader& weights) const;

  // What the block adds to the residual stream. normalised: [n, dim]
  at::Tensor RunFeedForward(const FeedForward& block,
                            const at::Tensor& normalised) const;
  at::Tensor RunEncoder(const EncoderRows& rows) const;
  at::Tensor RunDecoder(const DecoderRows& rows, DecoderPass& pass) const;
  // Keys and values that a layer makes of memory [m, dim], each
  // [heads, m, head_dim]; of no rows if it is undefined. Differentiable.
  struct MemoryKeys {
    at::Tensor keys;
    at::Tensor values;
  };
  MemoryKeys KeysOf(const at::Tensor& memory,
                    const CrossAttention& block) const;

  const ModelConfig config_;
  // Constant after Load.
  TokenTables tables_;
  std::vector<EncoderLayer> encoder_;
  std::vector<DecoderLayer> decoder_;
  RelativePositionBias encoder_bias_;  // shared by the layers of a side
  RelativePositionBias decoder_bias_;
  RmsNorm encoder_norm_;  // after the last layer
  RmsNorm decoder_norm_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_T5_H_
