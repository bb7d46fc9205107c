#include "worker/models/gemma3.h"

#include <cmath>
#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/qk_norm.h"

namespace attune::worker {
namespace {

// Norm weights are stored as their distance from one.
constexpr double kNormOffset = 1;
// Every so many layers one is global where `layer_types` does not say.
constexpr int64_t kDefaultPattern = 6;

absl::Status ReadLayerKinds(const ConfigReader& reader, ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(config.sliding_window,
                          reader.SizeOr("sliding_window", 4096));
  if (reader.Has("layer_types")) {
    ATTUNE_ASSIGN_OR_RETURN(config.layer_has_window,
                            reader.WindowLayers(config.num_layers, 0));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        const int64_t pattern,
        reader.SizeOr("sliding_window_pattern", kDefaultPattern));
    for (int64_t i = 0; i < config.num_layers; ++i) {
      config.layer_has_window.push_back((i + 1) % pattern != 0);
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(config.rotary, reader.Rotary(1e6, "full_attention"));
  if (reader.Has("rope_parameters")) {
    ATTUNE_ASSIGN_OR_RETURN(config.window_rotary,
                            reader.Rotary(10000.0, "sliding_attention"));
    return absl::OkStatus();
  }
  // Older files: a base of its own, and no scaling.
  ATTUNE_ASSIGN_OR_RETURN(config.window_rotary.theta,
                          reader.PositiveOr("rope_local_base_freq", 10000.0));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> Gemma3::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("hidden_size"));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(
      config.num_layers,
      reader.Size("num_hidden_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("num_attention_heads"));
  ATTUNE_ASSIGN_OR_RETURN(config.num_kv_heads,
                          reader.Size("num_key_value_heads"));
  ATTUNE_ASSIGN_OR_RETURN(config.head_dim, reader.SizeOr("head_dim", 256));
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("intermediate_size"));
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.SizeOr("max_position_embeddings", 131072));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  ATTUNE_RETURN_IF_ERROR(reader.CheckRotaryDim(config.head_dim));
  ATTUNE_RETURN_IF_ERROR(ReadLayerKinds(reader, config));
  ATTUNE_ASSIGN_OR_RETURN(
      config.activation,
      reader.ActivationOr("hidden_activation", Activation::kGeluTanh));
  ATTUNE_ASSIGN_OR_RETURN(config.norm_epsilon,
                          reader.PositiveOr("rms_norm_eps", 1e-6));
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", true));
  ATTUNE_ASSIGN_OR_RETURN(const double scalar,
                          reader.PositiveOr("query_pre_attn_scalar", 256));
  config.query_scale = 1.0 / std::sqrt(scalar);
  config.qk_norm = true;
  ATTUNE_RETURN_IF_ERROR(reader.Refuse(
      {"attention_bias", "attn_logit_softcapping", "final_logit_softcapping",
       "use_bidirectional_attention"}));
  return config;
}

Gemma3::Layer Gemma3::LoadLayer(int64_t index, WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const int64_t q = config_.num_heads * config_.head_dim;
  const int64_t kv = config_.num_kv_heads * config_.head_dim;
  const std::string layer = Concat("layers.", index, ".");
  const std::string attention = layer + "self_attn.";
  const std::string mlp = layer + "mlp.";
  const auto norm = [&](const std::string& name, int64_t size) {
    return weights.Rms(name, size, config_.norm_epsilon, kNormOffset);
  };
  return {
      .before_attention = norm(layer + "input_layernorm", dim),
      .qkv = weights.Merged({{attention + "q_proj", q},
                             {attention + "k_proj", kv},
                             {attention + "v_proj", kv}},
                            dim, /*bias=*/false),
      .query_norm = norm(attention + "q_norm", config_.head_dim),
      .key_norm = norm(attention + "k_norm", config_.head_dim),
      .output = weights.Linear(attention + "o_proj", dim, q, false),
      .after_attention = norm(layer + "post_attention_layernorm", dim),
      .before_ffn = norm(layer + "pre_feedforward_layernorm", dim),
      .gate_up = weights.Merged({{mlp + "gate_proj", config_.ffn_dim},
                                 {mlp + "up_proj", config_.ffn_dim}},
                                dim, /*bias=*/false),
      .down = weights.Linear(mlp + "down_proj", dim, config_.ffn_dim, false),
      .after_ffn = norm(layer + "post_feedforward_layernorm", dim)};
}

absl::StatusOr<std::unique_ptr<BaseModel>> Gemma3::Load(
    const ModelConfig& config, WeightLoader& weights) {
  auto model = std::unique_ptr<Gemma3>(new Gemma3(config));
  weights.ChoosePrefix({"model.", ""}, "embed_tokens.weight");
  at::Tensor embeddings =
      weights.Table("embed_tokens.weight", config.vocab_size, config.dim);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  model->final_norm_ =
      weights.Rms("norm", config.dim, config.norm_epsilon, kNormOffset);
  WeightLoader top = weights.Top();
  LinearLayer head;
  if (config.tie_embeddings) {
    top.Ignore("lm_head.weight");
  } else {
    head = top.Linear("lm_head", config.vocab_size, config.dim, false);
  }
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  TokenScales scales;
  scales.embedding = std::sqrt(static_cast<double>(config.dim));
  model->SetTables(TokenTables(std::move(embeddings), std::move(head), scales));
  model->global_rotary_ =
      Rotary(config.rotary, config.head_dim, weights.device());
  model->window_rotary_ =
      Rotary(config.window_rotary, config.head_dim, weights.device());
  return model;
}

at::Tensor Gemma3::RunLayers(DecoderPass& pass) const {
  const HeadShape shape = HeadShapeOf(config_);
  const RotaryAngles global = global_rotary_.At(pass.positions());
  const RotaryAngles local = window_rotary_.At(pass.positions());
  at::Tensor residual = pass.embeddings();
  at::Tensor delta;  // what the last block adds to the residual stream
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const bool windowed = config_.LayerHasWindow(static_cast<int64_t>(i));
    auto normed = layer.before_attention.Forward(residual, delta);
    const at::Tensor qkv = NormHeads(layer.qkv.Forward(normed.normalised),
                                     shape, layer.query_norm, layer.key_norm);
    const at::Tensor attended =
        pass.Attend(SplitQkv(qkv, shape, windowed ? local : global),
                    {.window = windowed ? config_.sliding_window : 0,
                     .bias = at::Tensor()});
    delta =
        layer.after_attention
            .Forward(layer.output.Forward(pass.Wanted(attended)), at::Tensor())
            .normalised;
    normed = layer.before_ffn.Forward(pass.Wanted(normed.residual), delta);
    residual = normed.residual;
    const at::Tensor inner = ActivateGated(
        layer.gate_up.Forward(normed.normalised), config_.activation);
    delta = layer.after_ffn.Forward(layer.down.Forward(inner), at::Tensor())
                .normalised;
  }
  return final_norm_.Forward(residual, delta).normalised;
}

}  // namespace attune::worker
