#include "worker/models/gpt_neox.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

int64_t RotaryDim(const ModelConfig& config) {
  return static_cast<int64_t>(static_cast<double>(config.head_dim) *
                              config.rotary.fraction);
}

// The checkpoint holds query, key and value rows head by head; here all heads'
// queries come first, then their keys, then their values. -> [3 * dim], int64:
// for each row where it is in the checkpoint.
at::Tensor RowOrder(const ModelConfig& config, const at::Device& device) {
  return at::arange(3 * config.dim, at::TensorOptions(at::kLong).device(device))
      .view({config.num_heads, 3, config.head_dim})
      .transpose(0, 1)
      .reshape({-1});
}

}  // namespace

absl::StatusOr<ModelConfig> GptNeox::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("hidden_size"));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(
      config.num_layers,
      reader.Size("num_hidden_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("num_attention_heads"));
  config.num_kv_heads = config.num_heads;
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("intermediate_size"));
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.Size("max_position_embeddings"));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  ATTUNE_ASSIGN_OR_RETURN(config.rotary, reader.Rotary(10000.0));
  // Older files spell the two keys without `rope`.
  ATTUNE_ASSIGN_OR_RETURN(
      config.rotary.theta,
      reader.PositiveOr("rotary_emb_base", config.rotary.theta));
  if (!reader.Has("rope_parameters")) {
    ATTUNE_ASSIGN_OR_RETURN(config.rotary.fraction,
                            reader.PositiveOr("rotary_pct", 0.25));
    if (config.rotary.fraction > 1) {
      return reader.Bad("rotary_pct", "is above 1");
    }
  }
  ATTUNE_RETURN_IF_ERROR(reader.CheckRotaryDim(RotaryDim(config)));
  ATTUNE_ASSIGN_OR_RETURN(config.activation,
                          reader.ActivationOr("hidden_act", Activation::kGelu));
  ATTUNE_ASSIGN_OR_RETURN(config.norm_epsilon,
                          reader.PositiveOr("layer_norm_eps", 1e-5));
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", false));
  ATTUNE_ASSIGN_OR_RETURN(config.parallel_residual,
                          reader.BoolOr("use_parallel_residual", true));
  ATTUNE_ASSIGN_OR_RETURN(config.qkv_bias,
                          reader.BoolOr("attention_bias", true));
  config.output_bias = config.qkv_bias;
  config.mlp_bias = true;
  return config;
}

GptNeox::Layer GptNeox::LoadLayer(int64_t index, WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const std::string layer = Concat("layers.", index, ".");
  const std::string attention = layer + "attention.";
  const std::string mlp = layer + "mlp.";
  for (const char* name : {"bias", "masked_bias", "rotary_emb.inv_freq"}) {
    weights.Ignore(attention + name);
  }
  return {.attention_norm = weights.Layer(layer + "input_layernorm", dim,
                                          config_.norm_epsilon),
          .qkv = weights.Reordered(attention + "query_key_value", dim,
                                   config_.qkv_bias,
                                   RowOrder(config_, weights.device())),
          .output = weights.Linear(attention + "dense", dim, dim,
                                   config_.output_bias),
          .ffn_norm = weights.Layer(layer + "post_attention_layernorm", dim,
                                    config_.norm_epsilon),
          .up = weights.Linear(mlp + "dense_h_to_4h", config_.ffn_dim, dim,
                               config_.mlp_bias),
          .down = weights.Linear(mlp + "dense_4h_to_h", dim, config_.ffn_dim,
                                 config_.mlp_bias)};
}

absl::StatusOr<std::unique_ptr<BaseModel>> GptNeox::Load(
    const ModelConfig& config, WeightLoader& weights) {
  auto model = std::unique_ptr<GptNeox>(new GptNeox(config));
  weights.ChoosePrefix({"gpt_neox.", ""}, "embed_in.weight");
  at::Tensor embeddings =
      weights.Table("embed_in.weight", config.vocab_size, config.dim);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  model->final_norm_ =
      weights.Layer("final_layer_norm", config.dim, config.norm_epsilon);
  WeightLoader top = weights.Top();
  LinearLayer head;
  if (config.tie_embeddings) {
    top.Ignore("embed_out.weight");
  } else {
    head = top.Linear("embed_out", config.vocab_size, config.dim, false);
  }
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  model->SetTables(TokenTables(std::move(embeddings), std::move(head)));
  model->rotary_ = Rotary(config.rotary, RotaryDim(config), weights.device());
  return model;
}

at::Tensor GptNeox::RunLayers(DecoderPass& pass) const {
  const HeadShape shape = HeadShapeOf(config_);
  const RotaryAngles angles = rotary_.At(pass.positions());
  at::Tensor residual = pass.embeddings();
  for (const Layer& layer : layers_) {
    const at::Tensor qkv =
        layer.qkv.Forward(layer.attention_norm.Forward(residual));
    const at::Tensor seen = pass.Attend(SplitQkv(qkv, shape, angles));
    const at::Tensor attended = layer.output.Forward(pass.Wanted(seen));
    residual = pass.Wanted(residual);
    const at::Tensor before =
        config_.parallel_residual ? residual : residual + attended;
    const at::Tensor inner = Activate(
        layer.up.Forward(layer.ffn_norm.Forward(before)), config_.activation);
    residual = residual + attended + layer.down.Forward(inner);
  }
  return final_norm_.Forward(residual);
}

}  // namespace attune::worker
