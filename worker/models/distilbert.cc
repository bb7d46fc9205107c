#include "worker/models/distilbert.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr double kDistilBertEpsilon = 1e-12;

}  // namespace

absl::StatusOr<ModelConfig> DistilBert::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  config.kind = ModelKind::kEncoder;
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("dim"));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(config.num_layers,
                          reader.Size("n_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("n_heads"));
  config.num_kv_heads = config.num_heads;
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("hidden_dim"));
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.Size("max_position_embeddings"));
  ATTUNE_RETURN_IF_ERROR(reader.CheckHeads(config));
  ATTUNE_ASSIGN_OR_RETURN(config.activation,
                          reader.ActivationOr("activation", Activation::kGelu));
  config.norm_epsilon = kDistilBertEpsilon;
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", true));
  ATTUNE_RETURN_IF_ERROR(ReadHead(reader, config));
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  return config;
}

DistilBert::Layer DistilBert::LoadLayer(int64_t index,
                                        WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const std::string layer = Concat("transformer.layer.", index, ".");
  const std::string attention = layer + "attention.";
  return {
      .qkv = weights.Merged({{attention + "q_lin", dim},
                             {attention + "k_lin", dim},
                             {attention + "v_lin", dim}},
                            dim, /*bias=*/true),
      .output = weights.Linear(attention + "out_lin", dim, dim, true),
      .attention_norm =
          weights.Layer(layer + "sa_layer_norm", dim, config_.norm_epsilon),
      .up = weights.Linear(layer + "ffn.lin1", config_.ffn_dim, dim, true),
      .down = weights.Linear(layer + "ffn.lin2", dim, config_.ffn_dim, true),
      .ffn_norm = weights.Layer(layer + "output_layer_norm", dim,
                                config_.norm_epsilon)};
}

void DistilBert::LoadHead(WeightLoader& top) {
  const int64_t dim = config_.dim;
  switch (config_.head) {
    case EncoderHead::kNone:
    case EncoderHead::kDiscriminator:
      break;
    case EncoderHead::kMaskedLanguage: {
      head_.dense = top.Linear("vocab_transform", dim, dim, true);
      head_.activation = config_.activation;
      head_.norm = top.Layer("vocab_layer_norm", dim, config_.norm_epsilon);
      at::Tensor bias = top.Vector("vocab_projector.bias", config_.vocab_size);
      if (config_.tie_embeddings) {
        top.Ignore("vocab_projector.weight");
        head_.output = LinearLayer(words_, std::move(bias));
      } else {
        head_.output = LinearLayer(
            top.Table("vocab_projector.weight", config_.vocab_size, dim),
            std::move(bias));
      }
      break;
    }
    case EncoderHead::kSequence:
      head_.dense = top.Linear("pre_classifier", dim, dim, true);
      head_.activation = Activation::kRelu;
      head_.output = top.Linear("classifier", config_.num_labels, dim, true);
      break;
    case EncoderHead::kToken:
      head_.output = top.Linear("classifier", config_.num_labels, dim, true);
      break;
    case EncoderHead::kSpan:
      head_.output = top.Linear("qa_outputs", 2, dim, true);
      break;
  }
}

absl::StatusOr<std::unique_ptr<BaseModel>> DistilBert::Load(
    const ModelConfig& config, WeightLoader& weights) {
  auto model = std::unique_ptr<DistilBert>(new DistilBert(config));
  const std::string words = "embeddings.word_embeddings.weight";
  weights.ChoosePrefix({"distilbert.", ""}, words);
  model->words_ = weights.Table(words, config.vocab_size, config.dim);
  model->positions_ = weights.Table("embeddings.position_embeddings.weight",
                                    config.context_length, config.dim);
  model->norm_ =
      weights.Layer("embeddings.LayerNorm", config.dim, config.norm_epsilon);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    model->layers_.push_back(model->LoadLayer(i, weights));
  }
  WeightLoader top = weights.Top();
  model->LoadHead(top);
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  return model;
}

at::Tensor DistilBert::Prepare(const EncoderRows& rows,
                               const at::Tensor& positions) const {
  return norm_.Forward(
      rows.embeddings +
      at::index_select(positions_, 0, positions).to(at::kFloat));
}

}  // namespace attune::worker
