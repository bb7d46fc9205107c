#include "worker/models/bert.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

bool IsRoberta(const ModelConfig& config) {
  return config.family == "roberta" || config.family == "xlm-roberta";
}

}  // namespace

absl::StatusOr<ModelConfig> Bert::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  config.kind = ModelKind::kEncoder;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("hidden_size"));
  ATTUNE_ASSIGN_OR_RETURN(config.embedding_dim,
                          reader.SizeOr("embedding_size", config.dim));
  ATTUNE_ASSIGN_OR_RETURN(
      config.num_layers,
      reader.Size("num_hidden_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("num_attention_heads"));
  config.num_kv_heads = config.num_heads;
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("intermediate_size"));
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.Size("max_position_embeddings"));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  if (IsRoberta(config)) {
    // Position 0 of a text is the one behind the padding id.
    config.position_offset =
        config.pad_token_id < 0 ? 2 : config.pad_token_id + 1;
    if (config.context_length <= config.position_offset) {
      return reader.Bad("max_position_embeddings",
                        "leaves no position behind pad_token_id");
    }
    config.context_length -= config.position_offset;
  }
  ATTUNE_ASSIGN_OR_RETURN(config.num_token_types,
                          reader.SizeOr("type_vocab_size", 2));
  ATTUNE_ASSIGN_OR_RETURN(config.activation,
                          reader.ActivationOr("hidden_act", Activation::kGelu));
  ATTUNE_ASSIGN_OR_RETURN(config.norm_epsilon,
                          reader.PositiveOr("layer_norm_eps", 1e-12));
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", true));
  ATTUNE_ASSIGN_OR_RETURN(const std::string positions,
                          reader.TextOr("position_embedding_type", "absolute"));
  if (positions != "absolute") {
    return reader.Unsupported("position_embedding_type");
  }
  ATTUNE_RETURN_IF_ERROR(reader.Refuse({"is_decoder", "add_cross_attention"}));
  ATTUNE_RETURN_IF_ERROR(ReadHead(reader, config));
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  return config;
}

void Bert::LoadEmbeddings(WeightLoader& weights) {
  const int64_t width = config_.embedding_dim;
  const std::string prefix = "embeddings.";
  words_ = weights.Table(prefix + "word_embeddings.weight", config_.vocab_size,
                         width);
  positions_ =
      weights.Table(prefix + "position_embeddings.weight",
                    config_.context_length + config_.position_offset, width);
  types_ = weights.Table(prefix + "token_type_embeddings.weight",
                         config_.num_token_types, width);
  norm_ = weights.Layer(prefix + "LayerNorm", width, config_.norm_epsilon);
  // Buffers that older checkpoints carry.
  weights.Ignore(prefix + "position_ids");
  weights.Ignore(prefix + "token_type_ids");
  if (width != config_.dim) {
    projection_ =
        weights.Linear("embeddings_project", config_.dim, width, true);
  }
}

Bert::Layer Bert::LoadLayer(int64_t index, WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const std::string layer = Concat("encoder.layer.", index, ".");
  const std::string attention = layer + "attention.";
  return {.qkv = weights.Merged({{attention + "self.query", dim},
                                 {attention + "self.key", dim},
                                 {attention + "self.value", dim}},
                                dim, /*bias=*/true),
          .output = weights.Linear(attention + "output.dense", dim, dim, true),
          .attention_norm = weights.Layer(attention + "output.LayerNorm", dim,
                                          config_.norm_epsilon),
          .up = weights.Linear(layer + "intermediate.dense", config_.ffn_dim,
                               dim, true),
          .down = weights.Linear(layer + "output.dense", dim, config_.ffn_dim,
                                 true),
          .ffn_norm = weights.Layer(layer + "output.LayerNorm", dim,
                                    config_.norm_epsilon)};
}

// Predicts tokens with the word table, which is shared, and a bias of its own.
void Bert::LoadLanguageHead(WeightLoader& top) {
  const int64_t dim = config_.dim;
  const int64_t width = config_.embedding_dim;
  std::string dense = "cls.predictions.transform.dense";
  std::string norm = "cls.predictions.transform.LayerNorm";
  std::string output = "cls.predictions.decoder";
  std::string bias = "cls.predictions.bias";
  head_.activation = config_.activation;
  if (IsRoberta(config_)) {
    dense = "lm_head.dense";
    norm = "lm_head.layer_norm";
    output = "lm_head.decoder";
    bias = "lm_head.bias";
    head_.activation = Activation::kGelu;
  } else if (config_.family == "electra") {
    dense = "generator_predictions.dense";
    norm = "generator_predictions.LayerNorm";
    output = "generator_lm_head";
    bias = "generator_lm_head.bias";
  }
  head_.dense = top.Linear(dense, width, dim, true);
  head_.norm = top.Layer(norm, width, config_.norm_epsilon);
  at::Tensor biases = top.Vector(bias, config_.vocab_size);
  top.Ignore(output + ".bias");
  if (config_.tie_embeddings) {
    top.Ignore(output + ".weight");
    head_.output = LinearLayer(words_, std::move(biases));
    return;
  }
  head_.output =
      LinearLayer(top.Table(output + ".weight", config_.vocab_size, width),
                  std::move(biases));
}

void Bert::LoadHead(WeightLoader& body, WeightLoader& top) {
  const int64_t dim = config_.dim;
  const bool is_bert = config_.family == "bert";
  const bool pools = is_bert && config_.head == EncoderHead::kSequence;
  if (!pools) {
    body.Ignore("pooler.dense.weight");
    body.Ignore("pooler.dense.bias");
  }
  switch (config_.head) {
    case EncoderHead::kNone:
      break;
    case EncoderHead::kMaskedLanguage:
      LoadLanguageHead(top);
      break;
    case EncoderHead::kSequence:
      head_.dense = is_bert ? body.Linear("pooler.dense", dim, dim, true)
                            : top.Linear("classifier.dense", dim, dim, true);
      // ELECTRA's is GELU, the others' tanh.
      head_.activation =
          config_.family == "electra" ? Activation::kGelu : Activation::kTanh;
      head_.output = top.Linear(is_bert ? "classifier" : "classifier.out_proj",
                                config_.num_labels, dim, true);
      break;
    case EncoderHead::kToken:
      head_.output = top.Linear("classifier", config_.num_labels, dim, true);
      break;
    case EncoderHead::kDiscriminator:
      head_.dense =
          top.Linear("discriminator_predictions.dense", dim, dim, true);
      head_.activation = config_.activation;
      head_.output = top.Linear("discriminator_predictions.dense_prediction", 1,
                                dim, true);
      break;
    case EncoderHead::kSpan:
      head_.output = top.Linear("qa_outputs", 2, dim, true);
      break;
  }
}

absl::StatusOr<std::unique_ptr<BaseModel>> Bert::Load(const ModelConfig& config,
                                                      WeightLoader& weights) {
  auto model = std::unique_ptr<Bert>(new Bert(config));
  const std::string named =
      IsRoberta(config) ? "roberta." : config.family + ".";
  weights.ChoosePrefix({named.c_str(), ""},
                       "embeddings.word_embeddings.weight");
  model->LoadEmbeddings(weights);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  WeightLoader top = weights.Top();
  model->LoadHead(weights, top);
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  return model;
}

at::Tensor Bert::Prepare(const EncoderRows& rows,
                         const at::Tensor& positions) const {
  at::Tensor constant =
      at::index_select(positions_, 0, positions).to(at::kFloat);
  if (rows.token_types.defined()) {
    constant += at::index_select(types_, 0, rows.token_types.to(device()));
  } else {
    constant += types_[0];
  }
  const at::Tensor x = norm_.Forward(rows.embeddings + constant);
  return projection_.weight().defined() ? projection_.Forward(x) : x;
}

}  // namespace attune::worker
