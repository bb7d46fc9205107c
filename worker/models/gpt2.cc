#include "worker/models/gpt2.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::StatusOr<ModelConfig> Gpt2::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("n_embd"));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(config.num_layers,
                          reader.Size("n_layer", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("n_head"));
  config.num_kv_heads = config.num_heads;
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim,
                          reader.SizeOr("n_inner", 4 * config.dim));
  // Old files call it n_ctx.
  ATTUNE_ASSIGN_OR_RETURN(
      config.context_length,
      reader.Size(reader.Has("n_positions") ? "n_positions" : "n_ctx"));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  ATTUNE_ASSIGN_OR_RETURN(
      config.activation,
      reader.ActivationOr("activation_function", Activation::kGeluTanh));
  ATTUNE_ASSIGN_OR_RETURN(config.norm_epsilon,
                          reader.PositiveOr("layer_norm_epsilon", 1e-5));
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", true));
  ATTUNE_ASSIGN_OR_RETURN(const bool scaled,
                          reader.BoolOr("scale_attn_weights", true));
  if (!scaled) return reader.Unsupported("scale_attn_weights");
  ATTUNE_RETURN_IF_ERROR(reader.Refuse(
      {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}));
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  return config;
}

Gpt2::Layer Gpt2::LoadLayer(int64_t index, WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const std::string layer = Concat("h.", index, ".");
  // The causal mask and its fill value, which older checkpoints carry.
  weights.Ignore(layer + "attn.bias");
  weights.Ignore(layer + "attn.masked_bias");
  return {
      .attention_norm =
          weights.Layer(layer + "ln_1", dim, config_.norm_epsilon),
      .qkv = weights.Transposed(layer + "attn.c_attn", 3 * dim, dim),
      .output = weights.Transposed(layer + "attn.c_proj", dim, dim),
      .ffn_norm = weights.Layer(layer + "ln_2", dim, config_.norm_epsilon),
      .up = weights.Transposed(layer + "mlp.c_fc", config_.ffn_dim, dim),
      .down = weights.Transposed(layer + "mlp.c_proj", dim, config_.ffn_dim)};
}

absl::StatusOr<std::unique_ptr<BaseModel>> Gpt2::Load(const ModelConfig& config,
                                                      WeightLoader& weights) {
  auto model = std::unique_ptr<Gpt2>(new Gpt2(config));
  weights.ChoosePrefix({"transformer.", ""}, "wte.weight");
  at::Tensor embeddings =
      weights.Table("wte.weight", config.vocab_size, config.dim);
  model->positions_ =
      weights.Table("wpe.weight", config.context_length, config.dim);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  model->final_norm_ = weights.Layer("ln_f", config.dim, config.norm_epsilon);
  WeightLoader top = weights.Top();
  LinearLayer head;
  if (config.tie_embeddings) {
    top.Ignore("lm_head.weight");
  } else {
    head = top.Linear("lm_head", config.vocab_size, config.dim, false);
  }
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  model->SetTables(TokenTables(std::move(embeddings), std::move(head)));
  return model;
}

at::Tensor Gpt2::RunLayers(DecoderPass& pass) const {
  const HeadShape shape = HeadShapeOf(config_);
  at::Tensor residual =
      pass.embeddings() +
      at::index_select(positions_, 0, pass.positions()).to(at::kFloat);
  for (const Layer& layer : layers_) {
    const at::Tensor qkv =
        layer.qkv.Forward(layer.attention_norm.Forward(residual));
    const at::Tensor attended = pass.Attend(SplitQkv(qkv, shape, {}));
    residual =
        pass.Wanted(residual) + layer.output.Forward(pass.Wanted(attended));
    const at::Tensor inner = Activate(
        layer.up.Forward(layer.ffn_norm.Forward(residual)), config_.activation);
    residual = residual + layer.down.Forward(inner);
  }
  return final_norm_.Forward(residual);
}

}  // namespace attune::worker
