#include "tests/testing/tiny_llama.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "tests/testing/tiny_weights.h"
#include "worker/models/safetensors.h"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kDim = 32;
constexpr int64_t kHeads = 4;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kHeadDim = kDim / kHeads;
constexpr int64_t kFfn = 64;
constexpr int64_t kVocab = 300;

constexpr const char* kSpecialTokens[] = {"<|endoftext|>", "<|im_start|>",
                                          "<|im_end|>"};

// "Ġ" is a space in the byte-level alphabet.
constexpr std::pair<const char*, const char*> kMerges[] = {
    {"Ġ", "t"}, {"Ġ", "a"},    {"h", "e"},     {"i", "n"},   {"r", "e"},
    {"o", "n"}, {"Ġt", "he"},  {"e", "r"},     {"a", "t"},   {"Ġ", "s"},
    {"e", "n"}, {"o", "r"},    {"Ġ", "p"},     {"Ġ", "w"},   {"i", "t"},
    {"o", "s"}, {"i", "s"},    {"n", "d"},     {"Ġa", "nd"}, {"e", "s"},
    {"Ġ", "b"}, {"o", "u"},    {"e", "d"},     {"in", "g"},  {"Ġ", "c"},
    {"Ġ", "n"}, {"a", "l"},    {"Ġ", "m"},     {"l", "e"},   {"a", "r"},
    {"Ġ", "f"}, {"Ġ", "is"},   {"os", "it"},   {"v", "e"},   {"i", "ve"},
    {"a", "n"}, {"p", "osit"}, {"Ġ", "posit"}, {"g", "at"},  {"Ġ", "g"},
    {"Ġ", "d"}};

// The visible character that stands for each byte (GPT-2's table): printable
// Latin-1 stands for itself, the others follow from U+0100 on.
std::vector<std::string> ByteAlphabet() {
  std::vector<std::string> alphabet;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 0x21 && byte <= 0x7e) ||
                         (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const int code = visible ? byte : next++;
    std::string text;
    if (code < 0x80) {
      text = static_cast<char>(code);
    } else {
      text += static_cast<char>(0xc0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 0x3f));
    }
    alphabet.push_back(text);
  }
  return alphabet;
}

worker::TensorMap MakeWeights(const TinyLlamaOptions& options) {
  TinyWeights weights(options.seed);
  weights.AddTable("model.embed_tokens.weight", kVocab, kDim);
  for (int64_t i = 0; i < options.num_layers; ++i) {
    const std::string layer = Concat("model.layers.", i, ".");
    const std::string attention = layer + "self_attn.";
    weights.AddScale(layer + "input_layernorm.weight", kDim);
    weights.AddMatrix(attention + "q_proj.weight", kDim, kDim);
    weights.AddMatrix(attention + "k_proj.weight", kKvHeads * kHeadDim, kDim);
    weights.AddMatrix(attention + "v_proj.weight", kKvHeads * kHeadDim, kDim);
    weights.AddMatrix(attention + "o_proj.weight", kDim, kDim);
    weights.AddScale(layer + "post_attention_layernorm.weight", kDim);
    weights.AddMatrix(layer + "mlp.gate_proj.weight", kFfn, kDim);
    weights.AddMatrix(layer + "mlp.up_proj.weight", kFfn, kDim);
    weights.AddMatrix(layer + "mlp.down_proj.weight", kDim, kFfn);
  }
  weights.AddScale("model.norm.weight", kDim);
  if (!options.tie_embeddings) {
    weights.AddMatrix("lm_head.weight", kVocab, kDim);
  }
  return weights.tensors();
}

// Tensors in turn to shard 1, 2, ..., with the index that says so.
absl::Status WriteShards(const std::string& directory,
                         const worker::TensorMap& weights, int num_shards) {
  std::vector<worker::TensorMap> shards(num_shards);
  Json map = Json::object();
  size_t next = 0;
  for (const auto& [name, tensor] : weights) {
    const size_t shard = next++ % shards.size();
    shards[shard][name] = tensor;
    map[name] = Concat("model-", shard + 1, ".safetensors");
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(worker::WriteSafetensorsFile(
        Concat(directory, "/model-", i + 1, ".safetensors"), shards[i]));
  }
  return WriteTinyFile(
      directory + "/model.safetensors.index.json",
      Json{{"metadata", Json::object()}, {"weight_map", map}}.dump());
}

Json Config(const TinyLlamaOptions& options) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", kVocab},
          {"hidden_size", kDim},
          {"num_hidden_layers", options.num_layers},
          {"num_attention_heads", kHeads},
          {"num_key_value_heads", kKvHeads},
          {"intermediate_size", kFfn},
          {"max_position_embeddings", options.context_length},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", options.tie_embeddings},
          {"torch_dtype", "float32"},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"pad_token_id", 2}};
}

constexpr char kChatTemplate[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

}  // namespace

std::string TinyTokenizerJson() {
  Json added = Json::array();
  Json vocab = Json::object();
  int64_t id = 0;
  for (const char* token : kSpecialTokens) {
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    vocab[token] = id++;
  }
  for (const std::string& token : ByteAlphabet()) vocab[token] = id++;
  Json merges = Json::array();
  for (const auto& [left, right] : kMerges) {
    const std::string token = Concat(left, right);
    vocab[token] = id++;
    merges.push_back({left, right});
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return Json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", added},
              {"normalizer", nullptr},
              {"pre_tokenizer", byte_level},
              {"post_processor", nullptr},
              {"decoder", byte_level},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", false},
                {"vocab", vocab},
                {"merges", merges}}}}
      .dump();
}

absl::Status WriteTinyLlama(const std::string& directory,
                            const TinyLlamaOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const worker::TensorMap weights = MakeWeights(options);
  if (options.num_shards > 1) {
    ATTUNE_RETURN_IF_ERROR(WriteShards(directory, weights, options.num_shards));
  } else {
    ATTUNE_RETURN_IF_ERROR(worker::WriteSafetensorsFile(
        directory + "/model.safetensors", weights, {{"format", "pt"}}));
  }
  ATTUNE_RETURN_IF_ERROR(
      WriteTinyFile(directory + "/config.json", Config(options).dump(2)));
  ATTUNE_RETURN_IF_ERROR(
      WriteTinyFile(directory + "/tokenizer.json", TinyTokenizerJson()));
  Json tokenizer_config = {{"bos_token", "<|im_start|>"},
                           {"eos_token", "<|im_end|>"},
                           {"pad_token", "<|im_end|>"}};
  if (options.chat_template) tokenizer_config["chat_template"] = kChatTemplate;
  return WriteTinyFile(directory + "/tokenizer_config.json",
                       tokenizer_config.dump(2));
}

}  // namespace attune
