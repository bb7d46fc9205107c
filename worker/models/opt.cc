#include "worker/models/opt.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// The first two rows of OPT's table of positions stand for padding.
constexpr int64_t kPositionOffset = 2;

}  // namespace

absl::StatusOr<ModelConfig> Opt::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.layer_dim, reader.Size("hidden_size"));
  ATTUNE_ASSIGN_OR_RETURN(
      config.dim, reader.SizeOr("word_embed_proj_dim", config.layer_dim));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(
      config.num_layers,
      reader.Size("num_hidden_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("num_attention_heads"));
  config.num_kv_heads = config.num_heads;
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("ffn_dim"));
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.Size("max_position_embeddings"));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  ATTUNE_ASSIGN_OR_RETURN(
      config.activation,
      reader.ActivationOr("activation_function", Activation::kRelu));
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", true));
  ATTUNE_ASSIGN_OR_RETURN(config.norm_before,
                          reader.BoolOr("do_layer_norm_before", true));
  ATTUNE_ASSIGN_OR_RETURN(const bool bias, reader.BoolOr("enable_bias", true));
  config.qkv_bias = config.output_bias = config.mlp_bias = bias;
  ATTUNE_ASSIGN_OR_RETURN(const bool affine,
                          reader.BoolOr("layer_norm_elementwise_affine", true));
  if (!affine) return reader.Unsupported("layer_norm_elementwise_affine");
  ATTUNE_RETURN_IF_ERROR(reader.Refuse({"_remove_final_layer_norm"}));
  return config;
}

Opt::Layer Opt::LoadLayer(int64_t index, WeightLoader& weights) const {
  const int64_t dim = config_.layer_dim;
  const std::string layer = Concat("layers.", index, ".");
  const std::string attention = layer + "self_attn.";
  return {
      .attention_norm = weights.Layer(layer + "self_attn_layer_norm", dim,
                                      config_.norm_epsilon),
      .qkv = weights.Merged({{attention + "q_proj", dim},
                             {attention + "k_proj", dim},
                             {attention + "v_proj", dim}},
                            dim, config_.qkv_bias),
      .output =
          weights.Linear(attention + "out_proj", dim, dim, config_.output_bias),
      .ffn_norm =
          weights.Layer(layer + "final_layer_norm", dim, config_.norm_epsilon),
      .up =
          weights.Linear(layer + "fc1", config_.ffn_dim, dim, config_.mlp_bias),
      .down = weights.Linear(layer + "fc2", dim, config_.ffn_dim,
                             config_.mlp_bias)};
}

absl::StatusOr<std::unique_ptr<BaseModel>> Opt::Load(const ModelConfig& config,
                                                     WeightLoader& weights) {
  auto model = std::unique_ptr<Opt>(new Opt(config));
  weights.ChoosePrefix({"model.decoder.", "decoder.", ""},
                       "embed_tokens.weight");
  at::Tensor embeddings =
      weights.Table("embed_tokens.weight", config.vocab_size, config.dim);
  model->positions_ =
      weights.Table("embed_positions.weight",
                    config.context_length + kPositionOffset, config.layer_dim);
  if (config.layer_dim != config.dim) {
    model->project_in_ =
        weights.Linear("project_in", config.layer_dim, config.dim, false);
    model->project_out_ =
        weights.Linear("project_out", config.dim, config.layer_dim, false);
  }
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  if (config.norm_before) {
    model->final_norm_ = weights.Layer("final_layer_norm", config.layer_dim,
                                       config.norm_epsilon);
  }
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

at::Tensor Opt::RunLayers(DecoderPass& pass) const {
  const HeadShape shape = HeadShapeOf(config_);
  const bool before = config_.norm_before;
  const bool projects = project_in_.weight().defined();
  at::Tensor residual =
      (projects ? project_in_.Forward(pass.embeddings()) : pass.embeddings()) +
      at::index_select(positions_, 0, pass.positions() + kPositionOffset)
          .to(at::kFloat);
  for (const Layer& layer : layers_) {
    const at::Tensor qkv = layer.qkv.Forward(
        before ? layer.attention_norm.Forward(residual) : residual);
    const at::Tensor attended = pass.Attend(SplitQkv(qkv, shape, {}));
    residual =
        pass.Wanted(residual) + layer.output.Forward(pass.Wanted(attended));
    if (!before) residual = layer.attention_norm.Forward(residual);
    const at::Tensor inner = Activate(
        layer.up.Forward(before ? layer.ffn_norm.Forward(residual) : residual),
        config_.activation);
    residual = residual + layer.down.Forward(inner);
    if (!before) residual = layer.ffn_norm.Forward(residual);
  }
  if (final_norm_.has_value()) residual = final_norm_->Forward(residual);
  return projects ? project_out_.Forward(residual) : residual;
}

}  // namespace attune::worker
