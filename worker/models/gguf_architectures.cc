#include "worker/models/gguf_architectures.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/config_reader.h"
#include "worker/models/gguf_rotary.h"

namespace attune::worker {
namespace {

using ConfigJson = nlohmann::ordered_json;
using Change = GgufMove::Change;
// Names of a number in config.json and in the GGUF file.
using KeyPair = std::pair<const char*, const char*>;

// Gemma 3: every so many layers one is global where the file does not say.
constexpr int64_t kGemma3Period = 6;
// Gemma 3 of 27B, which llama.cpp tells by its layers, scales its scores by the
// width that a head would have without a width of its own.
constexpr int64_t kGemma3LayersOf27B = 62;

// Arithmetic that no code here does, and the value that means: none of it.
constexpr std::pair<const char*, double> kRefusedKeys[] = {
    {"expert_count", 0},
    {"attention.causal", 1},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attention.scale", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"embedding_scale", 0},
    {"residual_scale", 0},
    {"logit_scale", 0},
    {"use_parallel_residual", 0}};

absl::Status CopySizes(const GgufKeys& keys,
                       std::initializer_list<KeyPair> sizes,
                       ConfigJson& config) {
  for (const auto& [name, key] : sizes) {
    ATTUNE_ASSIGN_OR_RETURN(config[name], keys.Size(key));
  }
  return absl::OkStatus();
}

// What configs of all architectures begin with.
absl::StatusOr<ConfigJson> BeginConfig(const GgufKeys& keys,
                                       const char* class_name,
                                       const char* model_type) {
  for (const auto& [key, neutral] : kRefusedKeys) {
    ATTUNE_RETURN_IF_ERROR(keys.RefuseUnless(key, neutral));
  }
  const Gguf& gguf = keys.gguf();
  const auto embeddings = gguf.tensors().find("token_embd.weight");
  if (embeddings == gguf.tensors().end() ||
      embeddings->second.shape.size() != 2) {
    return CorruptFile(gguf.origin(),
                       "no tensor 'token_embd.weight' of two dimensions");
  }
  ConfigJson config = {
      {"architectures", ConfigJson::array({class_name})},
      {"model_type", model_type},
      {"torch_dtype", "float32"},
      {"vocab_size", embeddings->second.shape[0]},
      {"tie_word_embeddings", !gguf.tensors().contains("output.weight")}};
  for (const auto& [name, key] :
       {KeyPair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
        KeyPair{"eos_token_id", "tokenizer.ggml.eos_token_id"},
        KeyPair{"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    if (!gguf.metadata().contains(key)) continue;
    ATTUNE_ASSIGN_OR_RETURN(config[name], gguf.Get<int64_t>(key));
  }
  return config;
}

// What decoders with rotary positions and RMS norms have in common.
absl::StatusOr<ConfigJson> RotaryDecoderConfig(const GgufKeys& keys,
                                               const char* class_name,
                                               const char* model_type) {
  ATTUNE_ASSIGN_OR_RETURN(ConfigJson config,
                          BeginConfig(keys, class_name, model_type));
  ATTUNE_RETURN_IF_ERROR(
      CopySizes(keys,
                {{"hidden_size", "embedding_length"},
                 {"num_hidden_layers", "block_count"},
                 {"num_attention_heads", "attention.head_count"},
                 {"intermediate_size", "feed_forward_length"},
                 {"max_position_embeddings", "context_length"}},
                config));
  const int64_t heads = config["num_attention_heads"];
  const int64_t dim = config["hidden_size"];
  if (heads < 1) {
    return keys.Corrupt("attention.head_count", Concat("= ", heads));
  }
  ATTUNE_ASSIGN_OR_RETURN(config["num_key_value_heads"],
                          keys.SizeOr("attention.head_count_kv", heads));
  ATTUNE_ASSIGN_OR_RETURN(const int64_t head_dim,
                          keys.SizeOr("attention.key_length", dim / heads));
  ATTUNE_RETURN_IF_ERROR(keys.RefuseUnless("attention.value_length",
                                           static_cast<double>(head_dim)));
  config["head_dim"] = head_dim;
  ATTUNE_ASSIGN_OR_RETURN(config["rms_norm_eps"],
                          keys.Number("attention.layer_norm_rms_epsilon"));
  ATTUNE_RETURN_IF_ERROR(WriteGgufRotary(keys, head_dim, config));
  return config;
}

// The embeddings, the last norm and, if there is one, the head.
std::vector<GgufMove> TopMoves(const ModelConfig& config, Change norm) {
  std::vector<GgufMove> moves = {{.from = "token_embd.weight",
                                  .to = "model.embed_tokens.weight",
                                  .shape = {config.vocab_size, config.dim}},
                                 {.from = "output_norm.weight",
                                  .to = "model.norm.weight",
                                  .shape = {config.dim},
                                  .change = norm}};
  if (!config.tie_embeddings) {
    moves.push_back({.from = "output.weight",
                     .to = "lm_head.weight",
                     .shape = {config.vocab_size, config.dim}});
  }
  if (config.rotary.scaling == RotaryConfig::Scaling::kLlama3) {
    moves.push_back(
        {.from = kRopeFactorsTensor, .to = "", .shape = {config.head_dim / 2}});
  }
  return moves;
}

// --- llama, qwen2, qwen3 ---

absl::StatusOr<ConfigJson> LlamaLikeConfig(const GgufKeys& keys,
                                           const char* class_name,
                                           const char* model_type) {
  // Neither llama.cpp's converter nor its loader knows a window here.
  ATTUNE_RETURN_IF_ERROR(keys.RefuseUnless("attention.sliding_window", 0));
  ATTUNE_ASSIGN_OR_RETURN(ConfigJson config,
                          RotaryDecoderConfig(keys, class_name, model_type));
  config["hidden_act"] = "silu";
  return config;
}

absl::StatusOr<ConfigJson> LlamaConfig(const GgufKeys& keys) {
  ATTUNE_ASSIGN_OR_RETURN(ConfigJson config,
                          LlamaLikeConfig(keys, "LlamaForCausalLM", "llama"));
  config["attention_bias"] = false;
  config["mlp_bias"] = false;
  return config;
}

absl::StatusOr<ConfigJson> Qwen2Config(const GgufKeys& keys) {
  ATTUNE_ASSIGN_OR_RETURN(ConfigJson config,
                          LlamaLikeConfig(keys, "Qwen2ForCausalLM", "qwen2"));
  config["use_sliding_window"] = false;
  return config;
}

absl::StatusOr<ConfigJson> Qwen3Config(const GgufKeys& keys) {
  ATTUNE_ASSIGN_OR_RETURN(ConfigJson config,
                          LlamaLikeConfig(keys, "Qwen3ForCausalLM", "qwen3"));
  config["attention_bias"] = false;
  config["use_sliding_window"] = false;
  return config;
}

std::vector<GgufMove> LlamaLikeMoves(const ModelConfig& config) {
  const int64_t dim = config.dim;
  const int64_t ffn = config.ffn_dim;
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  // Qwen's graph rotates halves, as transformers does; Llama's neighbours.
  const Change rotated =
      config.family == "llama" ? Change::kPermuted : Change::kNone;
  std::vector<GgufMove> moves = TopMoves(config, Change::kNone);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto add = [&](const char* from, const char* to,
                         std::vector<int64_t> shape,
                         Change change = Change::kNone, int64_t heads = 0) {
      moves.push_back({.from = Concat("blk.", layer, ".", from),
                       .to = Concat("model.layers.", layer, ".", to),
                       .shape = std::move(shape),
                       .change = change,
                       .heads = heads});
    };
    add("attn_norm.weight", "input_layernorm.weight", {dim});
    add("attn_q.weight", "self_attn.q_proj.weight", {q, dim}, rotated,
        config.num_heads);
    add("attn_k.weight", "self_attn.k_proj.weight", {kv, dim}, rotated,
        config.num_kv_heads);
    add("attn_v.weight", "self_attn.v_proj.weight", {kv, dim});
    if (config.qkv_bias) {  // Qwen2's, not permuted
      add("attn_q.bias", "self_attn.q_proj.bias", {q});
      add("attn_k.bias", "self_attn.k_proj.bias", {kv});
      add("attn_v.bias", "self_attn.v_proj.bias", {kv});
    }
    if (config.qk_norm) {
      add("attn_q_norm.weight", "self_attn.q_norm.weight", {config.head_dim});
      add("attn_k_norm.weight", "self_attn.k_norm.weight", {config.head_dim});
    }
    add("attn_output.weight", "self_attn.o_proj.weight", {dim, q});
    add("ffn_norm.weight", "post_attention_layernorm.weight", {dim});
    add("ffn_gate.weight", "mlp.gate_proj.weight", {ffn, dim});
    add("ffn_up.weight", "mlp.up_proj.weight", {ffn, dim});
    add("ffn_down.weight", "mlp.down_proj.weight", {dim, ffn});
  }
  return moves;
}

// --- gpt2 ---

absl::StatusOr<ConfigJson> Gpt2Config(const GgufKeys& keys) {
  ATTUNE_ASSIGN_OR_RETURN(ConfigJson config,
                          BeginConfig(keys, "GPT2LMHeadModel", "gpt2"));
  ATTUNE_RETURN_IF_ERROR(CopySizes(keys,
                                   {{"n_embd", "embedding_length"},
                                    {"n_layer", "block_count"},
                                    {"n_head", "attention.head_count"},
                                    {"n_inner", "feed_forward_length"},
                                    {"n_positions", "context_length"}},
                                   config));
  ATTUNE_RETURN_IF_ERROR(keys.RefuseUnless("attention.head_count_kv",
                                           config["n_head"].get<double>()));
  ATTUNE_ASSIGN_OR_RETURN(config["layer_norm_epsilon"],
                          keys.Number("attention.layer_norm_epsilon"));
  config["activation_function"] = "gelu_new";
  return config;
}

std::vector<GgufMove> Gpt2Moves(const ModelConfig& config) {
  const int64_t dim = config.dim;
  const int64_t ffn = config.ffn_dim;
  std::vector<GgufMove> moves = {{.from = "token_embd.weight",
                                  .to = "transformer.wte.weight",
                                  .shape = {config.vocab_size, dim}},
                                 {.from = "position_embd.weight",
                                  .to = "transformer.wpe.weight",
                                  .shape = {config.context_length, dim}},
                                 {.from = "output_norm.weight",
                                  .to = "transformer.ln_f.weight",
                                  .shape = {dim}},
                                 {.from = "output_norm.bias",
                                  .to = "transformer.ln_f.bias",
                                  .shape = {dim}}};
  if (!config.tie_embeddings) {
    moves.push_back({.from = "output.weight",
                     .to = "lm_head.weight",
                     .shape = {config.vocab_size, dim}});
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto add = [&](const char* from, const char* to,
                         std::vector<int64_t> shape, Change change) {
      const std::string stem = Concat("blk.", layer, ".", from);
      const std::string target = Concat("transformer.h.", layer, ".", to);
      moves.push_back({.from = stem + ".bias",
                       .to = target + ".bias",
                       .shape = {shape[0]}});
      moves.push_back({.from = stem + ".weight",
                       .to = target + ".weight",
                       .shape = std::move(shape),
                       .change = change});
    };
    add("attn_norm", "ln_1", {dim}, Change::kNone);
    add("attn_qkv", "attn.c_attn", {3 * dim, dim}, Change::kTransposed);
    add("attn_output", "attn.c_proj", {dim, dim}, Change::kTransposed);
    add("ffn_norm", "ln_2", {dim}, Change::kNone);
    add("ffn_up", "mlp.c_fc", {ffn, dim}, Change::kTransposed);
    add("ffn_down", "mlp.c_proj", {dim, ffn}, Change::kTransposed);
  }
  return moves;
}

// --- gemma3 ---

// Which layers see a window only: all but every sixth, all but every so many of
// the pattern, or those that the pattern marks.
absl::StatusOr<ConfigJson> Gemma3LayerTypes(const GgufKeys& keys,
                                            int64_t num_layers,
                                            int64_t window) {
  constexpr char kPattern[] = "attention.sliding_window_pattern";
  int64_t period = kGemma3Period;
  std::vector<int64_t> marks;
  const auto pattern = keys.gguf().metadata().find(keys.Name(kPattern));
  if (pattern != keys.gguf().metadata().end()) {
    if (const auto* list =
            std::get_if<std::vector<int64_t>>(&pattern->second)) {
      marks = *list;
    } else {
      ATTUNE_ASSIGN_OR_RETURN(period, keys.Size(kPattern));
    }
  }
  if (num_layers > ConfigReader::kMaxLayers) {
    return keys.Corrupt("block_count", Concat("= ", num_layers, " is beyond ",
                                              ConfigReader::kMaxLayers));
  }
  if (period < 1) return keys.Corrupt(kPattern, Concat("= ", period));
  if (!marks.empty() && static_cast<int64_t>(marks.size()) != num_layers) {
    return keys.Corrupt(kPattern, Concat("has ", marks.size(), " values for ",
                                         num_layers, " layers"));
  }
  ConfigJson types = ConfigJson::array();
  for (int64_t i = 0; i < num_layers; ++i) {
    const bool marked = marks.empty() ? (i + 1) % period != 0 : marks[i] != 0;
    types.push_back(window > 0 && marked ? "sliding_attention"
                                         : "full_attention");
  }
  return types;
}

absl::StatusOr<ConfigJson> Gemma3Config(const GgufKeys& keys) {
  ATTUNE_ASSIGN_OR_RETURN(
      ConfigJson config,
      RotaryDecoderConfig(keys, "Gemma3ForCausalLM", "gemma3_text"));
  const int64_t num_layers = config["num_hidden_layers"];
  ATTUNE_ASSIGN_OR_RETURN(const int64_t window,
                          keys.SizeOr("attention.sliding_window", 0));
  if (window != 0) config["sliding_window"] = window;
  ATTUNE_ASSIGN_OR_RETURN(config["layer_types"],
                          Gemma3LayerTypes(keys, num_layers, window));
  ATTUNE_ASSIGN_OR_RETURN(config["rope_local_base_freq"],
                          keys.NumberOr("rope.freq_base_swa", 10000.0));
  const bool is_27b = num_layers == kGemma3LayersOf27B;
  config["query_pre_attn_scalar"] =
      is_27b ? config["hidden_size"].get<int64_t>() /
                   config["num_attention_heads"].get<int64_t>()
             : config["head_dim"].get<int64_t>();
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["attention_bias"] = false;
  return config;
}

std::vector<GgufMove> Gemma3Moves(const ModelConfig& config) {
  const int64_t dim = config.dim;
  const int64_t ffn = config.ffn_dim;
  const int64_t head = config.head_dim;
  const int64_t q = config.num_heads * head;
  const int64_t kv = config.num_kv_heads * head;
  std::vector<GgufMove> moves = TopMoves(config, Change::kOneAdded);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto add = [&](const char* from, const char* to,
                         std::vector<int64_t> shape) {
      const bool is_norm = shape.size() == 1;
      moves.push_back({.from = Concat("blk.", layer, ".", from, ".weight"),
                       .to = Concat("model.layers.", layer, ".", to, ".weight"),
                       .shape = std::move(shape),
                       .change = is_norm ? Change::kOneAdded : Change::kNone});
    };
    add("attn_norm", "input_layernorm", {dim});
    add("attn_q", "self_attn.q_proj", {q, dim});
    add("attn_k", "self_attn.k_proj", {kv, dim});
    add("attn_v", "self_attn.v_proj", {kv, dim});
    add("attn_q_norm", "self_attn.q_norm", {head});
    add("attn_k_norm", "self_attn.k_norm", {head});
    add("attn_output", "self_attn.o_proj", {dim, q});
    add("post_attention_norm", "post_attention_layernorm", {dim});
    add("ffn_norm", "pre_feedforward_layernorm", {dim});
    add("ffn_gate", "mlp.gate_proj", {ffn, dim});
    add("ffn_up", "mlp.up_proj", {ffn, dim});
    add("ffn_down", "mlp.down_proj", {dim, ffn});
    add("post_ffw_norm", "post_feedforward_layernorm", {dim});
  }
  return moves;
}

constexpr GgufArchitecture kGgufArchitectures[] = {
    {.name = "gemma3", .write_config = Gemma3Config, .list_moves = Gemma3Moves},
    {.name = "gpt2", .write_config = Gpt2Config, .list_moves = Gpt2Moves},
    {.name = "llama",
     .write_config = LlamaConfig,
     .list_moves = LlamaLikeMoves},
    {.name = "qwen2",
     .write_config = Qwen2Config,
     .list_moves = LlamaLikeMoves},
    {.name = "qwen3",
     .write_config = Qwen3Config,
     .list_moves = LlamaLikeMoves},
};

}  // namespace

const GgufArchitecture* FindGgufArchitecture(std::string_view name) {
  for (const GgufArchitecture& architecture : kGgufArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

std::string GgufArchitectureNames() {
  std::string names;
  for (const GgufArchitecture& architecture : kGgufArchitectures) {
    names += Concat(names.empty() ? "" : ", ", architecture.name);
  }
  return names;
}

}  // namespace attune::worker
