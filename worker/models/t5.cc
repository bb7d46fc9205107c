#include "worker/models/t5.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/attention_layout.h"
#include "worker/models/packed_attention.h"
#include "worker/models/qkv_rows.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {
namespace {

// What transformers assumes where a config is silent.
constexpr int64_t kDefaultContext = 512;
constexpr int64_t kDefaultBuckets = 32;
constexpr int64_t kDefaultDistance = 128;
constexpr int64_t kDefaultPad = 0;
constexpr int64_t kDefaultEos = 1;
// Published models have 32 and 128; the bias of all distances is held.
constexpr int64_t kMaxBuckets = 1 << 16;
constexpr int64_t kMaxDistance = 1 << 16;

// Other classes have no decoder, or a head that no code here knows, or none.
absl::Status CheckT5Class(const ConfigReader& reader) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> classes,
                          reader.Texts("architectures"));
  for (const std::string& name : classes) {
    if (name.ends_with("ForConditionalGeneration") ||
        name == "T5WithLMHeadModel") {
      continue;
    }
    return absl::UnimplementedError(
        Concat("config.json: 'architectures' = \"", name,
               "\" is not supported: a T5 needs its decoder and the head that "
               "predicts tokens, as T5ForConditionalGeneration saves them"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const bool has_decoder,
                          reader.BoolOr("is_encoder_decoder", true));
  if (!has_decoder) return reader.Unsupported("is_encoder_decoder");
  return reader.Refuse({"is_decoder"});
}

absl::Status ReadT5Tokens(const ConfigReader& reader, ModelConfig& config) {
  ATTUNE_RETURN_IF_ERROR(reader.ReadCommon(config));
  if (config.pad_token_id < 0) config.pad_token_id = kDefaultPad;
  if (config.eos_token_ids.empty()) {
    if (config.vocab_size <= kDefaultEos) {
      return reader.Bad("eos_token_id", "is missing");
    }
    config.eos_token_ids = {kDefaultEos};
  }
  ATTUNE_ASSIGN_OR_RETURN(
      config.decoder_start_token_id,
      reader.TokenIdOr("decoder_start_token_id", config.vocab_size,
                       config.pad_token_id));
  return absl::OkStatus();
}

absl::Status ReadT5Positions(const ConfigReader& reader, ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(config.context_length,
                          reader.SizeOr("n_positions", kDefaultContext));
  ATTUNE_ASSIGN_OR_RETURN(config.num_position_buckets,
                          reader.SizeOr("relative_attention_num_buckets",
                                        kDefaultBuckets, kMaxBuckets));
  ATTUNE_ASSIGN_OR_RETURN(config.max_position_distance,
                          reader.SizeOr("relative_attention_max_distance",
                                        kDefaultDistance, kMaxDistance));
  if (config.num_position_buckets < 4) {
    return reader.Bad("relative_attention_num_buckets",
                      Concat("= ", config.num_position_buckets,
                             " is below 4: the encoder has a near and a far "
                             "half for either direction"));
  }
  if (config.max_position_distance <= config.num_position_buckets / 2) {
    return reader.Bad("relative_attention_max_distance",
                      Concat("= ", config.max_position_distance,
                             " is not above half the number of buckets, ",
                             config.num_position_buckets));
  }
  return absl::OkStatus();
}

// `feed_forward_proj` is "relu" or "gated-gelu"; newer files say the same in
// `dense_act_fn` and `is_gated_act` too, and these count where they are.
absl::Status ReadT5Mlp(const ConfigReader& reader, ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(
      std::string name,
      reader.TextOr("feed_forward_proj",
                    config.family == "mt5" ? "gated-gelu" : "relu"));
  constexpr std::string_view kGated = "gated-";
  const bool names_gate = name.starts_with(kGated);
  if (names_gate) name = name.substr(kGated.size());
  // The papers' GELU of gated layers is the one by tanh.
  if (names_gate && name == "gelu") name = "gelu_new";
  ATTUNE_ASSIGN_OR_RETURN(config.gated_mlp,
                          reader.BoolOr("is_gated_act", names_gate));
  if (reader.Has("dense_act_fn")) {
    ATTUNE_ASSIGN_OR_RETURN(
        config.activation,
        reader.ActivationOr("dense_act_fn", Activation::kRelu));
    return absl::OkStatus();
  }
  const std::optional<Activation> activation = FindActivation(name);
  if (!activation.has_value()) return reader.Unsupported("feed_forward_proj");
  config.activation = *activation;
  return absl::OkStatus();
}

// Version 1.0 scales what goes into its tied head; 1.1 has a head of its own.
// Older files do not say more than whether it is tied. mT5 never scales.
absl::Status ReadT5Head(const ConfigReader& reader, ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(config.tie_embeddings,
                          reader.BoolOr("tie_word_embeddings", true));
  if (config.family == "mt5") return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(
      const bool scales,
      reader.BoolOr("scale_decoder_outputs", config.tie_embeddings));
  if (scales) {
    config.head_scale = 1.0 / std::sqrt(static_cast<double>(config.dim));
  }
  return absl::OkStatus();
}

struct T5Tables {
  at::Tensor embeddings;  // [vocab, dim]
  LinearLayer head;       // undefined weight: tied
};

// The one table of tokens went by several names in memory, of which files have
// one or all.
T5Tables LoadT5Tables(const ModelConfig& config, WeightLoader& weights) {
  const std::string head_name = "lm_head.weight";
  std::vector<std::string> names = {"shared.weight",
                                    "encoder.embed_tokens.weight",
                                    "decoder.embed_tokens.weight"};
  if (config.tie_embeddings) names.push_back(head_name);
  const auto found =
      std::find_if(names.begin(), names.end(),
                   [&](const std::string& name) { return weights.Has(name); });
  const std::string& name = found == names.end() ? names[0] : *found;
  T5Tables tables;
  tables.embeddings = weights.Table(name, config.vocab_size, config.dim);
  for (const std::string& other : names) weights.Ignore(other);
  const bool has_head = weights.Has(head_name) && name != head_name;
  if (!has_head && config.tie_embeddings) return tables;
  tables.head =
      weights.Linear("lm_head", config.vocab_size, config.dim, /*bias=*/false);
  // Files of version 1.0 may hold the tied table twice; memory need not.
  if (tables.head.weight().defined() && tables.embeddings.defined() &&
      at::equal(tables.head.weight(), tables.embeddings)) {
    tables.head = LinearLayer();
    weights.Drop("lm_head.weight");
  }
  return tables;
}

// [n, heads * head_dim] -> [heads, n, head_dim], as QkvRows has them.
at::Tensor CrossHeads(const at::Tensor& x, const ModelConfig& config) {
  return x.view({x.size(0), config.num_heads, config.head_dim})
      .transpose(0, 1)
      .contiguous();
}

c10::intrusive_ptr<AttentionLayout> CrossLayout(const DecoderRows& rows) {
  std::vector<AttentionLayout::CrossSegment> segments;
  for (size_t i = 0; i < rows.memories.size(); ++i) {
    const Segment& segment = rows.rows.segments[i];
    const DecoderMemory& memory = rows.memories[i];
    AttentionLayout::CrossSegment cross;
    cross.rows = {segment.begin, segment.length};
    cross.cached = memory.cached;
    if (memory.cached == nullptr) cross.memory = {memory.begin, memory.length};
    segments.push_back(cross);
  }
  return c10::make_intrusive<AttentionLayout>(segments);
}

AttentionRule BiasRule(const RelativePositionBias& bias,
                       const std::vector<Segment>& segments) {
  AttentionRule rule;
  rule.bias = bias.For(NumPositions(segments));
  return rule;
}

}  // namespace

absl::StatusOr<ModelConfig> T5::ReadConfig(const ConfigReader& reader) {
  ModelConfig config;
  config.kind = ModelKind::kEncoderDecoder;
  ATTUNE_RETURN_IF_ERROR(CheckT5Class(reader));
  ATTUNE_RETURN_IF_ERROR(ReadT5Tokens(reader, config));
  ATTUNE_ASSIGN_OR_RETURN(config.dim, reader.Size("d_model"));
  config.embedding_dim = config.dim;
  ATTUNE_ASSIGN_OR_RETURN(config.num_layers,
                          reader.Size("num_layers", ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_decoder_layers,
                          reader.SizeOr("num_decoder_layers", config.num_layers,
                                        ConfigReader::kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(config.num_heads, reader.Size("num_heads"));
  config.num_kv_heads = config.num_heads;
  ATTUNE_ASSIGN_OR_RETURN(config.head_dim, reader.Size("d_kv"));
  if (config.num_heads > ConfigReader::kMaxSize / config.head_dim) {
    return reader.Bad("d_kv",
                      Concat("= ", config.head_dim, " times ", config.num_heads,
                             " heads is beyond ", ConfigReader::kMaxSize));
  }
  config.query_scale = 1;
  ATTUNE_ASSIGN_OR_RETURN(config.ffn_dim, reader.Size("d_ff"));
  ATTUNE_ASSIGN_OR_RETURN(config.norm_epsilon,
                          reader.PositiveOr("layer_norm_epsilon", 1e-6));
  ATTUNE_RETURN_IF_ERROR(ReadT5Positions(reader, config));
  ATTUNE_RETURN_IF_ERROR(ReadT5Mlp(reader, config));
  ATTUNE_RETURN_IF_ERROR(ReadT5Head(reader, config));
  return config;
}

RmsNorm T5::LoadNorm(const std::string& name, WeightLoader& weights) const {
  return weights.Rms(name, config_.dim, config_.norm_epsilon);
}

T5::SelfAttention T5::LoadSelf(const std::string& name,
                               WeightLoader& weights) const {
  const int64_t inner = config_.num_heads * config_.head_dim;
  const std::string attention = name + "SelfAttention.";
  return {.norm = LoadNorm(name + "layer_norm", weights),
          .qkv = weights.Merged({{attention + "q", inner},
                                 {attention + "k", inner},
                                 {attention + "v", inner}},
                                config_.dim, /*bias=*/false),
          .output = weights.Linear(attention + "o", config_.dim, inner, false)};
}

T5::CrossAttention T5::LoadCross(const std::string& name,
                                 WeightLoader& weights) const {
  const int64_t inner = config_.num_heads * config_.head_dim;
  const std::string attention = name + "EncDecAttention.";
  return {.norm = LoadNorm(name + "layer_norm", weights),
          .query = weights.Linear(attention + "q", inner, config_.dim, false),
          .key_value = weights.Merged(
              {{attention + "k", inner}, {attention + "v", inner}}, config_.dim,
              /*bias=*/false),
          .output = weights.Linear(attention + "o", config_.dim, inner, false)};
}

T5::FeedForward T5::LoadFeedForward(const std::string& name,
                                    WeightLoader& weights) const {
  const int64_t dim = config_.dim;
  const int64_t ffn = config_.ffn_dim;
  const std::string mlp = name + "DenseReluDense.";
  return {.norm = LoadNorm(name + "layer_norm", weights),
          .up = config_.gated_mlp
                    ? weights.Merged({{mlp + "wi_0", ffn}, {mlp + "wi_1", ffn}},
                                     dim, /*bias=*/false)
                    : weights.Linear(mlp + "wi", ffn, dim, false),
          .down = weights.Linear(mlp + "wo", dim, ffn, false)};
}

at::Tensor T5::LoadBiases(const char* side, WeightLoader& weights) const {
  return weights.Table(
      Concat(side,
             ".block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
      config_.num_position_buckets, config_.num_heads);
}

void T5::LoadLayers(WeightLoader& weights) {
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const std::string layer = Concat("encoder.block.", i, ".layer.");
    encoder_.push_back({.self = LoadSelf(layer + "0.", weights),
                        .ffn = LoadFeedForward(layer + "1.", weights)});
  }
  encoder_norm_ = LoadNorm("encoder.final_layer_norm", weights);
  for (int64_t i = 0; i < config_.num_decoder_layers; ++i) {
    const std::string layer = Concat("decoder.block.", i, ".layer.");
    decoder_.push_back({.self = LoadSelf(layer + "0.", weights),
                        .cross = LoadCross(layer + "1.", weights),
                        .ffn = LoadFeedForward(layer + "2.", weights)});
  }
  decoder_norm_ = LoadNorm("decoder.final_layer_norm", weights);
  // The oldest checkpoints have one for cross attention, which nothing uses.
  weights.Ignore(
      "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight");
}

absl::StatusOr<std::unique_ptr<BaseModel>> T5::Load(const ModelConfig& config,
                                                    WeightLoader& weights) {
  T5Tables tables = LoadT5Tables(config, weights);
  ModelConfig found = config;
  found.tie_embeddings = !tables.head.weight().defined();
  auto model = std::unique_ptr<T5>(new T5(found));
  const at::Tensor encoder_biases = model->LoadBiases("encoder", weights);
  const at::Tensor decoder_biases = model->LoadBiases("decoder", weights);
  model->LoadLayers(weights);
  ATTUNE_RETURN_IF_ERROR(weights.Finish());
  TokenScales scales;
  scales.hidden = config.head_scale;
  model->tables_ =
      TokenTables(std::move(tables.embeddings), std::move(tables.head), scales);
  PositionBuckets buckets = {.both_ways = true,
                             .count = config.num_position_buckets,
                             .max_distance = config.max_position_distance};
  model->encoder_bias_ = RelativePositionBias(encoder_biases, buckets);
  buckets.both_ways = false;
  model->decoder_bias_ = RelativePositionBias(decoder_biases, buckets);
  return model;
}

at::Tensor T5::RunFeedForward(const FeedForward& block,
                              const at::Tensor& normalised) const {
  const at::Tensor up = block.up.Forward(normalised);
  return block.down.Forward(config_.gated_mlp
                                ? ActivateGated(up, config_.activation)
                                : Activate(up, config_.activation));
}

at::Tensor T5::RunEncoder(const EncoderRows& rows) const {
  const auto layout = c10::make_intrusive<AttentionLayout>(
      rows.segments, AttentionLayout::Own::kAll);
  const AttentionRule rule = BiasRule(encoder_bias_, rows.segments);
  const HeadShape shape = HeadShapeOf(config_);
  at::Tensor residual = rows.embeddings;
  at::Tensor delta;  // what the last block adds to the residual stream
  for (size_t i = 0; i < encoder_.size(); ++i) {
    const EncoderLayer& layer = encoder_[i];
    auto normed = layer.self.norm.Forward(residual, delta);
    const at::Tensor attended = PackedAttention(
        SplitQkv(layer.self.qkv.Forward(normed.normalised), shape, {}),
        static_cast<int64_t>(i), layout, rule);
    normed = layer.ffn.norm.Forward(normed.residual,
                                    layer.self.output.Forward(attended));
    residual = normed.residual;
    delta = RunFeedForward(layer.ffn, normed.normalised);
  }
  return encoder_norm_.Forward(residual, delta).normalised;
}

T5::MemoryKeys T5::KeysOf(const at::Tensor& memory,
                          const CrossAttention& block) const {
  if (!memory.defined()) {
    const at::Tensor none =
        at::empty({config_.num_heads, 0, config_.head_dim},
                  at::TensorOptions().device(device()).dtype(at::kFloat));
    return {none, none};
  }
  const int64_t inner = config_.num_heads * config_.head_dim;
  const at::Tensor both = block.key_value.Forward(memory);
  return {CrossHeads(both.narrow(1, 0, inner), config_),
          CrossHeads(both.narrow(1, inner, inner), config_)};
}

at::Tensor T5::RunDecoder(const DecoderRows& rows, DecoderPass& pass) const {
  const auto cross_layout = CrossLayout(rows);
  const AttentionRule rule = BiasRule(decoder_bias_, rows.rows.segments);
  const HeadShape shape = HeadShapeOf(config_);
  at::Tensor residual = pass.embeddings();
  at::Tensor delta;
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const DecoderLayer& layer = decoder_[i];
    auto normed = layer.self.norm.Forward(residual, delta);
    at::Tensor attended = pass.Attend(
        SplitQkv(layer.self.qkv.Forward(normed.normalised), shape, {}), rule);
    normed = layer.cross.norm.Forward(normed.residual,
                                      layer.self.output.Forward(attended));
    const MemoryKeys seen = KeysOf(rows.memory, layer.cross);
    attended = PackedAttention(
        {CrossHeads(layer.cross.query.Forward(normed.normalised), config_),
         seen.keys, seen.values},
        static_cast<int64_t>(i), cross_layout);
    normed = layer.ffn.norm.Forward(
        pass.Wanted(normed.residual),
        layer.cross.output.Forward(pass.Wanted(attended)));
    residual = normed.residual;
    delta = RunFeedForward(layer.ffn, normed.normalised);
  }
  return decoder_norm_.Forward(residual, delta).normalised;
}

absl::StatusOr<at::Tensor> T5::Encode(const EncoderRows& rows) const {
  ATTUNE_RETURN_IF_ERROR(CheckEncoderRows(rows, config_));
  try {
    return RunEncoder(rows);
  } catch (const std::exception& error) {
    return StatusOfException(error, Concat(config_.family, " encoder"));
  }
}

absl::StatusOr<at::Tensor> T5::Decode(const DecoderRows& rows) const {
  ATTUNE_RETURN_IF_ERROR(CheckDecoderRows(rows, config_));
  const bool differentiable =
      at::GradMode::is_enabled() &&
      (rows.rows.embeddings.requires_grad() ||
       (rows.memory.defined() && rows.memory.requires_grad()));
  ATTUNE_RETURN_IF_ERROR(
      DecoderPass::CheckSequences(rows.rows.segments, differentiable));
  try {
    DecoderPass pass(rows.rows, config_.NumCachedLayers(), device(),
                     /*keep=*/nullptr);
    at::Tensor hidden = RunDecoder(rows, pass);
    pass.Commit();
    return hidden;
  } catch (const std::exception& error) {
    return StatusOfException(error, Concat(config_.family, " decoder"));
  }
}

absl::StatusOr<std::shared_ptr<const KvBlock>> T5::BuildPrefix(
    const at::Tensor& embeddings) const {
  const at::NoGradGuard no_grad;
  try {
    EncoderRows inputs;
    inputs.embeddings = embeddings.detach();
    inputs.segments = {{.begin = 0, .length = embeddings.size(0)}};
    DecoderRows outputs;
    ATTUNE_ASSIGN_OR_RETURN(outputs.memory, Encode(inputs));
    outputs.rows = {inputs.embeddings, inputs.segments};
    outputs.memories = {{.begin = 0, .length = embeddings.size(0)}};
    LayerKeys kept;
    DecoderPass pass(outputs.rows, config_.NumCachedLayers(), device(), &kept);
    RunDecoder(outputs, pass);
    return std::make_shared<const KvBlock>(std::move(kept.keys),
                                           std::move(kept.values));
  } catch (const std::exception& error) {
    return StatusOfException(error, "building a prefix");
  }
}

absl::StatusOr<std::shared_ptr<const KvBlock>> T5::BuildMemory(
    const at::Tensor& memory) const {
  if (!memory.defined() || memory.dim() != 2 || memory.size(0) < 1 ||
      memory.size(1) != config_.dim) {
    return absl::InvalidArgumentError(
        Concat("memory must be [rows, ", config_.dim, "] with rows"));
  }
  const at::NoGradGuard no_grad;
  try {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const DecoderLayer& layer : decoder_) {
      MemoryKeys seen = KeysOf(memory.detach(), layer.cross);
      keys.push_back(std::move(seen.keys));
      values.push_back(std::move(seen.values));
    }
    return std::make_shared<const KvBlock>(std::move(keys), std::move(values));
  } catch (const std::exception& error) {
    return StatusOfException(error, "building a memory");
  }
}

}  // namespace attune::worker
