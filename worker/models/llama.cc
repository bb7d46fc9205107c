#include "worker/models/llama.h"

#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/kept_rows.h"
#include "worker/models/qk_norm.h"
#include "worker/models/swiglu.h"

namespace attune::worker {
namespace {

// Which layers have a sliding window: those that `layer_types` says; else all
// of Mistral's, and Qwen's from `max_window_layers` on.
absl::Status ReadWindow(const ConfigReader& reader, ModelConfig& config) {
  if (!reader.Has("sliding_window") || config.family == "llama") {
    return absl::OkStatus();
  }
  const bool mistral = config.family == "mistral";
  ATTUNE_ASSIGN_OR_RETURN(const bool used,
                          reader.BoolOr("use_sliding_window", mistral));
  if (!used) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(config.sliding_window, reader.Size("sliding_window"));
  ATTUNE_ASSIGN_OR_RETURN(
      const int64_t first,
      reader.SizeOr("max_window_layers", mistral ? 0 : config.num_layers));
  ATTUNE_ASSIGN_OR_RETURN(
      config.layer_has_window,
      reader.WindowLayers(config.num_layers, mistral ? 0 : first));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> Llama::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("hidden_size"));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(
      config.num_layers,
      reader.Size("num_hidden_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("num_attention_heads"));
  ATTUNE_ASSIGN_OR_RETURN(
      config.num_kv_heads,
      reader.SizeOr("num_key_value_heads", config.num_heads));
  ATTUNE_ASSIGN_OR_RETURN(config.head_dim, reader.SizeOr("head_dim", 0));
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("intermediate_size"));
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.Size("max_position_embeddings"));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  ATTUNE_RETURN_IF_ERROR(reader.CheckRotaryDim(config.head_dim));
  ATTUNE_ASSIGN_OR_RETURN(config.rotary, reader.Rotary(10000.0));
  if (config.rotary.fraction != 1) {
    return reader.Bad("partial_rotary_factor", "must be 1 for this family");
  }
  ATTUNE_ASSIGN_OR_RETURN(config.activation,
                          reader.ActivationOr("hidden_act", Activation::kSilu));
  if (config.activation != Activation::kSilu) {
    return reader.Unsupported("hidden_act");
  }
  ATTUNE_ASSIGN_OR_RETURN(config.norm_epsilon,
                          reader.PositiveOr("rms_norm_eps", 1e-6));
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", false));
  // Llama's attention_bias also means a bias of the output, Qwen2's does not.
  ATTUNE_ASSIGN_OR_RETURN(
      config.qkv_bias,
      reader.BoolOr("attention_bias", config.family == "qwen2"));
  config.output_bias = config.qkv_bias && config.family != "qwen2";
  ATTUNE_ASSIGN_OR_RETURN(config.mlp_bias, reader.BoolOr("mlp_bias", false));
  config.qk_norm = config.family == "qwen3";
  ATTUNE_RETURN_IF_ERROR(ReadWindow(reader, config));
  return config;
}

Llama::Layer Llama::LoadLayer(int64_t index, WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const int64_t ffn = config_.ffn_dim;
  const int64_t q = config_.num_heads * config_.head_dim;
  const int64_t kv = config_.num_kv_heads * config_.head_dim;
  const double epsilon = config_.norm_epsilon;
  const std::string layer = Concat("layers.", index, ".");
  const std::string attention = layer + "self_attn.";
  const std::string mlp = layer + "mlp.";
  weights.Ignore(attention + "rotary_emb.inv_freq");
  Layer loaded;
  loaded.attention_norm = weights.Rms(layer + "input_layernorm", dim, epsilon);
  loaded.qkv = weights.Merged({{attention + "q_proj", q},
                               {attention + "k_proj", kv},
                               {attention + "v_proj", kv}},
                              dim, config_.qkv_bias);
  if (config_.qk_norm) {
    loaded.query_norm =
        weights.Rms(attention + "q_norm", config_.head_dim, epsilon);
    loaded.key_norm =
        weights.Rms(attention + "k_norm", config_.head_dim, epsilon);
  }
  loaded.output =
      weights.Linear(attention + "o_proj", dim, q, config_.output_bias);
  loaded.ffn_norm =
      weights.Rms(layer + "post_attention_layernorm", dim, epsilon);
  loaded.gate_up =
      weights.Merged({{mlp + "gate_proj", ffn}, {mlp + "up_proj", ffn}}, dim,
                     config_.mlp_bias);
  loaded.down = weights.Linear(mlp + "down_proj", dim, ffn, config_.mlp_bias);
  return loaded;
}

absl::StatusOr<std::unique_ptr<BaseModel>> Llama::Load(
    const ModelConfig& config, WeightLoader& weights) {
  auto model = std::unique_ptr<Llama>(new Llama(config));
  weights.ChoosePrefix({"model.", ""}, "embed_tokens.weight");
  at::Tensor embeddings =
      weights.Table("embed_tokens.weight", config.vocab_size, config.dim);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  model->final_norm_ = weights.Rms("norm", config.dim, config.norm_epsilon);
  WeightLoader top = weights.Top();
  LinearLayer head;
  if (config.tie_embeddings) {
    top.Ignore("lm_head.weight");
  } else {
    head = top.Linear("lm_head", config.vocab_size, config.dim, false);
  }
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  model->SetTables(TokenTables(std::move(embeddings), std::move(head)));
  model->rotary_ = Rotary(config.rotary, config.head_dim, weights.device());
  return model;
}

at::Tensor Llama::RunLayers(DecoderPass& pass) const {
  const RotaryAngles angles = rotary_.At(pass.positions());
  const HeadShape shape = HeadShapeOf(config_);
  at::Tensor residual = pass.embeddings();
  at::Tensor delta;  // what the last block adds to the residual stream
  const bool narrow = KeptRows::narrow() && residual.is_cpu();
  const auto multiply = [narrow](const LinearLayer& linear,
                                 const at::Tensor& x) {
    return narrow ? linear.ForwardNarrow(x) : linear.Forward(x);
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    auto normed = layer.attention_norm.ForwardNarrow(residual, delta);
    at::Tensor qkv = config_.qk_norm ? layer.qkv.Forward(normed.normalised)
                                     : multiply(layer.qkv, normed.normalised);
    if (config_.qk_norm) {
      qkv = NormHeads(qkv, shape, layer.query_norm, layer.key_norm);
    }
    const int64_t window = config_.LayerHasWindow(static_cast<int64_t>(i))
                               ? config_.sliding_window
                               : 0;
    const at::Tensor attended = pass.Attend(SplitQkv(qkv, shape, angles),
                                            {.window = window, .bias = {}});
    normed = layer.ffn_norm.ForwardNarrow(
        pass.Wanted(normed.residual),
        multiply(layer.output, pass.Wanted(attended)));
    residual = normed.residual;
    delta = multiply(layer.down,
                     SwiGlu(layer.gate_up.ForwardNarrow(normed.normalised)));
  }
  return final_norm_.Forward(residual, delta).normalised;
}

}  // namespace attune::worker
