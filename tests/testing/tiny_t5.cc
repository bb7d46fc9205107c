#include "tests/testing/tiny_t5.h"

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "tests/testing/tiny_llama.h"
#include "tests/testing/tiny_weights.h"

namespace attune {
namespace {

constexpr int64_t kT5Dim = 32;
constexpr int64_t kT5Heads = 4;
constexpr int64_t kT5HeadDim = 8;
constexpr int64_t kT5Ffn = 64;
constexpr int64_t kT5Vocab = 300;
constexpr int64_t kT5Layers = 2;
constexpr int64_t kT5Buckets = 8;
constexpr uint32_t kT5Seed = 12;

void AddT5Attention(TinyWeights& weights, const std::string& block,
                    const char* name) {
  const std::string attention = block + name;
  for (const char* part : {".q", ".k", ".v"}) {
    weights.AddMatrix(Concat(attention, part, ".weight"), kT5Heads * kT5HeadDim,
                      kT5Dim);
  }
  weights.AddMatrix(attention + ".o.weight", kT5Dim, kT5Heads * kT5HeadDim);
}

void AddT5Stack(TinyWeights& weights, const std::string& stack,
                bool is_decoder) {
  for (int64_t i = 0; i < kT5Layers; ++i) {
    const std::string block = Concat(stack, ".block.", i, ".layer.");
    AddT5Attention(weights, block, "0.SelfAttention");
    if (i == 0) {
      weights.AddTable(block + "0.SelfAttention.relative_attention_bias.weight",
                       kT5Buckets, kT5Heads);
    }
    weights.AddScale(block + "0.layer_norm.weight", kT5Dim);
    if (is_decoder) {
      AddT5Attention(weights, block, "1.EncDecAttention");
      weights.AddScale(block + "1.layer_norm.weight", kT5Dim);
    }
    const std::string ffn = block + (is_decoder ? "2." : "1.");
    weights.AddMatrix(ffn + "DenseReluDense.wi_0.weight", kT5Ffn, kT5Dim);
    weights.AddMatrix(ffn + "DenseReluDense.wi_1.weight", kT5Ffn, kT5Dim);
    weights.AddMatrix(ffn + "DenseReluDense.wo.weight", kT5Dim, kT5Ffn);
    weights.AddScale(ffn + "layer_norm.weight", kT5Dim);
  }
  weights.AddScale(stack + ".final_layer_norm.weight", kT5Dim);
}

}  // namespace

absl::Status WriteTinyT5(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  TinyWeights weights(kT5Seed);
  weights.AddTable("shared.weight", kT5Vocab, kT5Dim);
  AddT5Stack(weights, "encoder", /*is_decoder=*/false);
  AddT5Stack(weights, "decoder", /*is_decoder=*/true);
  ATTUNE_RETURN_IF_ERROR(worker::WriteSafetensorsFile(
      directory + "/model.safetensors", weights.tensors()));
  const nlohmann::ordered_json config = {
      {"architectures", {"T5ForConditionalGeneration"}},
      {"model_type", "t5"},
      {"vocab_size", kT5Vocab},
      {"d_model", kT5Dim},
      {"d_kv", kT5HeadDim},
      {"d_ff", kT5Ffn},
      {"num_layers", kT5Layers},
      {"num_decoder_layers", kT5Layers},
      {"num_heads", kT5Heads},
      {"relative_attention_num_buckets", kT5Buckets},
      {"relative_attention_max_distance", 20},
      {"feed_forward_proj", "gated-gelu"},
      {"layer_norm_epsilon", 1e-6},
      {"tie_word_embeddings", true},
      {"n_positions", 128},
      {"decoder_start_token_id", 0},
      {"eos_token_id", 2},
      {"pad_token_id", 0},
      {"torch_dtype", "float32"}};
  ATTUNE_RETURN_IF_ERROR(
      WriteTinyFile(directory + "/config.json", config.dump(2)));
  ATTUNE_RETURN_IF_ERROR(
      WriteTinyFile(directory + "/tokenizer.json", TinyTokenizerJson()));
  return WriteTinyFile(directory + "/tokenizer_config.json",
                       R"({"eos_token": "<|im_end|>",
                           "pad_token": "<|endoftext|>"})");
}

}  // namespace attune
