#include "tests/worker/models/golden_gguf.h"

#include <ATen/TensorOperators.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "proto/cc/text.h"
#include "tests/testing/temp_directory.h"

namespace attune::worker {
namespace {

constexpr char kGoldenModels[] = "tests/golden/architectures/";
constexpr uint32_t kGgufF16 = 1;
constexpr uint32_t kGgufQ8 = 8;  // Q8_0
constexpr int64_t kBlock = 32;

// transformers' names and llama.cpp's, within a layer and at the top.
constexpr std::pair<const char*, const char*> kTensorNames[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.o_proj", "attn_output"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"transformer.wte", "token_embd"},
    {"transformer.wpe", "position_embd"},
    {"transformer.ln_f", "output_norm"},
    {"ln_1", "attn_norm"},
    {"attn.c_attn", "attn_qkv"},
    {"attn.c_proj", "attn_output"},
    {"ln_2", "ffn_norm"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"}};

std::string GgufTensorName(std::string name, bool is_gemma) {
  std::string block;
  for (const std::string prefix : {"model.layers.", "transformer.h."}) {
    if (!name.starts_with(prefix)) continue;
    const size_t dot = name.find('.', prefix.size());
    block =
        Concat("blk.", name.substr(prefix.size(), dot - prefix.size()), ".");
    name = name.substr(dot + 1);
  }
  const size_t dot = name.rfind('.');
  const std::string stem = name.substr(0, dot);
  if (stem == "post_attention_layernorm") {
    return Concat(block, is_gemma ? "post_attention_norm" : "ffn_norm",
                  name.substr(dot));
  }
  for (const auto& [hf, gguf] : kTensorNames) {
    if (stem == hf) return Concat(block, gguf, name.substr(dot));
  }
  return "unknown." + name;
}

// The rows of each head in pairs that rotate together.
at::Tensor PairRows(const at::Tensor& weight, int64_t heads) {
  return weight.view({heads, 2, weight.size(0) / heads / 2, weight.size(1)})
      .transpose(1, 2)
      .reshape(weight.sizes());
}

std::string Halves(const at::Tensor& tensor) {
  std::string bytes;
  const float* data = tensor.const_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    bytes += GgufBuilder::Raw(c10::Half(data[i]).x);
  }
  return bytes;
}

// A half scale and 32 signed bytes a block.
std::string Q8Blocks(const at::Tensor& tensor) {
  std::string bytes;
  const float* data = tensor.const_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); i += kBlock) {
    float largest = 0;
    for (int64_t j = i; j < i + kBlock; ++j) {
      largest = std::max(largest, std::abs(data[j]));
    }
    const c10::Half scale = largest / 127.0f;
    bytes += GgufBuilder::Raw(scale.x);
    for (int64_t j = i; j < i + kBlock; ++j) {
      const float step = static_cast<float>(scale);
      const float level = step == 0 ? 0.0f : std::round(data[j] / step);
      bytes += GgufBuilder::Raw(
          static_cast<int8_t>(std::clamp(level, -127.0f, 127.0f)));
    }
  }
  return bytes;
}

}  // namespace

void AddGgufTensor(const std::string& name, const at::Tensor& tensor,
                   bool quantise, GgufBuilder& builder) {
  const at::Tensor packed = tensor.contiguous();
  const std::vector<uint64_t> shape(packed.sizes().rbegin(),
                                    packed.sizes().rend());
  if (!quantise || packed.dim() < 2) {
    builder.Tensor(
        name, shape, GgufBuilder::kF32,
        {static_cast<const char*>(packed.const_data_ptr()), packed.nbytes()});
  } else if (packed.size(1) % kBlock != 0) {
    builder.Tensor(name, shape, kGgufF16, Halves(packed));
  } else {
    builder.Tensor(name, shape, kGgufQ8, Q8Blocks(packed));
  }
}

GoldenGguf::GoldenGguf(const std::string& name, Options options)
    : options_(std::move(options)),
      weights_(*Safetensors::Open(
          Concat(kGoldenModels, name, "/model.safetensors"))),
      config_(nlohmann::json::parse(
          ReadBytes(Concat(kGoldenModels, name, "/config.json")))) {
  const std::string family = config_["model_type"];
  architecture_ = family == "gemma3_text" ? "gemma3" : family;
  builder.Set("general.architecture", architecture_);
  if (family == "gpt2") {
    SetGpt2();
  } else {
    SetLlamaLike();
    SetRotary();
  }
  if (family == "gemma3_text") SetGemma3();
  SetTokenizer();
  for (const auto& [hf, entry] : weights_.entries()) {
    AddTensor(hf, *weights_.Get(hf));
  }
}

void GoldenGguf::Write(const std::string& path) const {
  WriteBytes(path, builder.Build());
}

void GoldenGguf::SetSize(const std::string& key, const char* name) {
  const auto it = options_.sizes.find(key);
  builder.Set(Concat(architecture_, ".", key),
              it != options_.sizes.end() ? it->second
                                         : config_.at(name).get<uint32_t>());
}

void GoldenGguf::SetNumber(const std::string& key, const char* name) {
  builder.Set(Concat(architecture_, ".", key), config_.at(name).get<float>());
}

void GoldenGguf::SetLlamaLike() {
  SetSize("embedding_length", "hidden_size");
  SetSize("block_count", "num_hidden_layers");
  SetSize("attention.head_count", "num_attention_heads");
  SetSize("attention.head_count_kv", "num_key_value_heads");
  SetSize("feed_forward_length", "intermediate_size");
  SetSize("context_length", "max_position_embeddings");
  SetNumber("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  if (architecture_ == "qwen3" || architecture_ == "gemma3") {
    SetSize("attention.key_length", "head_dim");
    SetSize("attention.value_length", "head_dim");
  }
}

void GoldenGguf::SetGemma3() {
  SetSize("attention.sliding_window", "sliding_window");
  // The golden model has window, global, window.
  builder.Set("gemma3.attention.sliding_window_pattern", 2u);
  builder.Set("gemma3.rope.freq_base_swa",
              config_["rope_parameters"]["sliding_attention"]["rope_theta"]
                  .get<float>());
}

void GoldenGguf::SetGpt2() {
  SetSize("embedding_length", "n_embd");
  SetSize("block_count", "n_layer");
  SetSize("attention.head_count", "n_head");
  SetSize("feed_forward_length", "n_inner");
  SetSize("context_length", "n_positions");
  SetNumber("attention.layer_norm_epsilon", "layer_norm_epsilon");
}

void GoldenGguf::SetRotary() {
  const nlohmann::json& all = config_["rope_parameters"];
  const nlohmann::json& rope =
      all.contains("full_attention") ? all["full_attention"] : all;
  const std::string prefix = architecture_ + ".rope.";
  const float theta = rope["rope_theta"];
  builder.Set(prefix + "freq_base", theta);
  if (rope["rope_type"] == "linear") {
    builder.Set(prefix + "scaling.type", "linear");
    builder.Set(prefix + "scaling.factor", rope["factor"].get<float>());
  }
  if (rope["rope_type"] != "llama3") return;
  // As the converter computes it, in fp32.
  const uint32_t context = rope["original_max_position_embeddings"];
  builder.Set(prefix + "scaling.original_context_length", context);
  const int64_t head_dim = config_["head_dim"];
  const float factor = rope["factor"];
  const float low = rope["low_freq_factor"];
  const float high = rope["high_freq_factor"];
  std::string divisors;
  for (int64_t i = 0; i < head_dim; i += 2) {
    const float wavelength =
        2 * std::numbers::pi_v<float> *
        std::pow(theta, static_cast<float>(i) / static_cast<float>(head_dim));
    const float turns = static_cast<float>(context) / wavelength;
    const float smooth = (turns - low) / (high - low);
    const float divisor =
        turns > high
            ? 1
            : (turns < low ? factor : 1 / ((1 - smooth) / factor + smooth));
    divisors += GgufBuilder::Raw(divisor);
  }
  builder.Tensor("rope_freqs.weight", {static_cast<uint64_t>(head_dim / 2)},
                 GgufBuilder::kF32, divisors);
}

// One token for every printable character, as many as the models have.
void GoldenGguf::SetTokenizer() {
  std::vector<std::string> tokens = {"<|end|>", "Ġ"};
  for (char character = '!'; character <= '~'; ++character) {
    tokens.emplace_back(1, character);
  }
  std::vector<int32_t> types(tokens.size(), 1);
  types[0] = 3;
  builder.Set("tokenizer.ggml.model", "gpt2");
  builder.Set("tokenizer.ggml.pre", "gpt-2");
  builder.Set("tokenizer.ggml.tokens", tokens);
  builder.Set("tokenizer.ggml.token_type", types);
  builder.Set("tokenizer.ggml.merges", std::vector<std::string>{});
  builder.Set("tokenizer.ggml.eos_token_id", 0u);
}

void GoldenGguf::AddTensor(const std::string& name, const at::Tensor& tensor) {
  const bool is_gemma = architecture_ == "gemma3";
  const std::string to = GgufTensorName(name, is_gemma);
  if (options_.without.contains(to)) return;
  at::Tensor changed = tensor;
  if (architecture_ == "llama" && name.ends_with("q_proj.weight")) {
    changed = PairRows(tensor, config_["num_attention_heads"]);
  } else if (architecture_ == "llama" && name.ends_with("k_proj.weight")) {
    changed = PairRows(tensor, config_["num_key_value_heads"]);
  } else if (architecture_ == "gpt2" && tensor.dim() == 2 &&
             name.find(".c_") != std::string::npos) {
    changed = tensor.t();
  } else if (is_gemma && name.ends_with("norm.weight")) {
    changed = tensor + 1;
  }
  if (is_gemma && name.ends_with("q_norm.weight")) {
    // GGUF can't say that scores are scaled by another number than the width of
    // a head; the golden model's are, so the queries make up for it.
    const double width = config_["head_dim"];
    const double scalar = config_["query_pre_attn_scalar"];
    changed = changed * std::sqrt(width / scalar);
  }
  AddGgufTensor(to, changed, options_.quantise, builder);
}

}  // namespace attune::worker
