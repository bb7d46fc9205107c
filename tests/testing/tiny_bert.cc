#include "tests/testing/tiny_bert.h"

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "tests/testing/tiny_llama.h"
#include "tests/testing/tiny_weights.h"

namespace attune {
namespace {

constexpr int64_t kBertDim = 32;
constexpr int64_t kBertFfn = 64;
constexpr int64_t kBertVocab = 300;
constexpr int64_t kBertContext = 128;
constexpr int64_t kBertLayers = 2;
constexpr uint32_t kBertSeed = 11;

void AddLinear(TinyWeights& weights, const std::string& name, int64_t rows,
               int64_t columns) {
  weights.AddMatrix(name + ".weight", rows, columns);
  weights.AddBias(name + ".bias", rows);
}

void AddLayerNorm(TinyWeights& weights, const std::string& name) {
  weights.AddScale(name + ".weight", kBertDim);
  weights.AddBias(name + ".bias", kBertDim);
}

TinyWeights MakeBertWeights(bool fills_masks) {
  TinyWeights weights(kBertSeed);
  const std::string body = fills_masks ? "bert." : "";
  const std::string embeddings = body + "embeddings.";
  weights.AddTable(embeddings + "word_embeddings.weight", kBertVocab, kBertDim);
  weights.AddTable(embeddings + "position_embeddings.weight", kBertContext,
                   kBertDim);
  weights.AddTable(embeddings + "token_type_embeddings.weight", 2, kBertDim);
  AddLayerNorm(weights, embeddings + "LayerNorm");
  for (int64_t i = 0; i < kBertLayers; ++i) {
    const std::string layer = Concat(body, "encoder.layer.", i, ".");
    for (const char* part : {"query", "key", "value"}) {
      AddLinear(weights, Concat(layer, "attention.self.", part), kBertDim,
                kBertDim);
    }
    AddLinear(weights, layer + "attention.output.dense", kBertDim, kBertDim);
    AddLayerNorm(weights, layer + "attention.output.LayerNorm");
    AddLinear(weights, layer + "intermediate.dense", kBertFfn, kBertDim);
    AddLinear(weights, layer + "output.dense", kBertDim, kBertFfn);
    AddLayerNorm(weights, layer + "output.LayerNorm");
  }
  if (fills_masks) {
    const std::string head = "cls.predictions.";
    AddLinear(weights, head + "transform.dense", kBertDim, kBertDim);
    AddLayerNorm(weights, head + "transform.LayerNorm");
    weights.AddBias(head + "bias", kBertVocab);
  }
  return weights;
}

}  // namespace

absl::Status WriteTinyBert(const std::string& directory, bool fills_masks) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  ATTUNE_RETURN_IF_ERROR(
      worker::WriteSafetensorsFile(directory + "/model.safetensors",
                                   MakeBertWeights(fills_masks).tensors()));
  const nlohmann::ordered_json config = {
      {"architectures", {fills_masks ? "BertForMaskedLM" : "BertModel"}},
      {"model_type", "bert"},
      {"vocab_size", kBertVocab},
      {"hidden_size", kBertDim},
      {"num_hidden_layers", kBertLayers},
      {"num_attention_heads", 4},
      {"intermediate_size", kBertFfn},
      {"max_position_embeddings", kBertContext},
      {"type_vocab_size", 2},
      {"layer_norm_eps", 1e-12},
      {"hidden_act", "gelu"},
      {"torch_dtype", "float32"},
      {"pad_token_id", 0}};
  ATTUNE_RETURN_IF_ERROR(
      WriteTinyFile(directory + "/config.json", config.dump(2)));
  ATTUNE_RETURN_IF_ERROR(
      WriteTinyFile(directory + "/tokenizer.json", TinyTokenizerJson()));
  return WriteTinyFile(directory + "/tokenizer_config.json",
                       R"({"pad_token": "<|endoftext|>",
                           "mask_token": "<|im_start|>"})");
}

}  // namespace attune
