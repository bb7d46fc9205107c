#include "worker/models/gguf_import.h"

#include <ATen/core/Tensor.h>
#include <stdlib.h>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/gguf.h"
#include "worker/models/gguf_tokenizer.h"
#include "worker/models/model_config.h"
#include "worker/models/safetensors.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

absl::Status Unsupported(const Gguf& gguf, std::string_view what) {
  return absl::UnimplementedError(
      Concat(gguf.origin(), ": ", what, " is not supported"));
}

// A GGUF fp32 as the shortest decimal that means the same fp32: 1e-05 and not
// 9.999999747378752e-06.
double Shortest(double stored) {
  char text[32];
  const auto printed =
      std::to_chars(text, text + sizeof(text), static_cast<float>(stored));
  double value = stored;
  std::from_chars(text, printed.ptr, value);
  return value;
}

absl::Status RefuseUnsupportedFile(const Gguf& gguf) {
  ATTUNE_ASSIGN_OR_RETURN(std::string architecture,
                          gguf.Get<std::string>("general.architecture"));
  if (architecture != "llama") {
    return Unsupported(gguf, Concat("architecture '", architecture, "'"));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      std::string scaling,
      gguf.GetOr<std::string>("llama.rope.scaling.type", "none"));
  if (scaling != "none") {
    return Unsupported(gguf, Concat("rotary scaling '", scaling, "'"));
  }
  ATTUNE_ASSIGN_OR_RETURN(int64_t experts,
                          gguf.GetOr<int64_t>("llama.expert_count", 0));
  if (experts != 0) return Unsupported(gguf, "a mixture of experts");
  return absl::OkStatus();
}

// config.json as text; ParseModelConfig checks what this copies.
absl::StatusOr<std::string> ConvertConfig(const Gguf& gguf) {
  const auto embeddings = gguf.tensors().find("token_embd.weight");
  if (embeddings == gguf.tensors().end() ||
      embeddings->second.shape.size() != 2) {
    return CorruptFile(gguf.origin(), "no tensor 'token_embd.weight'");
  }
  nlohmann::ordered_json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"torch_dtype", "float32"},
      {"hidden_act", "silu"},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"vocab_size", embeddings->second.shape[0]},
      {"tie_word_embeddings", !gguf.tensors().contains("output.weight")}};
  constexpr std::pair<const char*, const char*> kSizes[] = {
      {"hidden_size", "llama.embedding_length"},
      {"num_hidden_layers", "llama.block_count"},
      {"num_attention_heads", "llama.attention.head_count"},
      {"intermediate_size", "llama.feed_forward_length"},
      {"max_position_embeddings", "llama.context_length"}};
  for (const auto& [name, key] : kSizes) {
    ATTUNE_ASSIGN_OR_RETURN(config[name], gguf.Get<int64_t>(key));
  }
  const int64_t heads = config["num_attention_heads"];
  const int64_t dim = config["hidden_size"];
  if (heads < 1) return CorruptFile(gguf.origin(), "no attention heads");
  ATTUNE_ASSIGN_OR_RETURN(
      config["num_key_value_heads"],
      gguf.GetOr<int64_t>("llama.attention.head_count_kv", heads));
  ATTUNE_ASSIGN_OR_RETURN(
      const int64_t head_dim,
      gguf.GetOr<int64_t>("llama.attention.key_length", dim / heads));
  ATTUNE_ASSIGN_OR_RETURN(
      const int64_t rotary_dim,
      gguf.GetOr<int64_t>("llama.rope.dimension_count", head_dim));
  if (rotary_dim != head_dim) {
    return Unsupported(gguf, Concat("rotation of ", rotary_dim, " of ",
                                    head_dim, " elements of a head"));
  }
  config["head_dim"] = head_dim;
  ATTUNE_ASSIGN_OR_RETURN(
      const double epsilon,
      gguf.Get<double>("llama.attention.layer_norm_rms_epsilon"));
  ATTUNE_ASSIGN_OR_RETURN(const double theta,
                          gguf.GetOr<double>("llama.rope.freq_base", 10000.0));
  config["rms_norm_eps"] = Shortest(epsilon);
  config["rope_theta"] = Shortest(theta);
  for (const auto& [name, key] :
       {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
        std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"},
        std::pair{"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    if (!gguf.metadata().contains(key)) continue;
    ATTUNE_ASSIGN_OR_RETURN(config[name], gguf.Get<int64_t>(key));
  }
  return config.dump(2);
}

// llama.cpp stores the rows of a head for rotating neighbours (0, 1), (2,
// 3)...; Hugging Face rotates halves: (0, head_dim / 2) and so on. weight:
// [heads * head_dim, columns]
at::Tensor UndoPermutation(const at::Tensor& weight, int64_t heads) {
  const int64_t columns = weight.size(1);
  return weight.view({heads, weight.size(0) / heads / 2, 2, columns})
      .transpose(1, 2)
      .reshape({weight.size(0), columns});
}

// Moves tensors from GGUF names to Hugging Face's.
class WeightConverter {
 public:
  WeightConverter(const Gguf& gguf, const ModelConfig& config)
      : gguf_(gguf), config_(config) {}

  absl::StatusOr<TensorMap> Convert() {
    ATTUNE_RETURN_IF_ERROR(Move("token_embd.weight",
                                "model.embed_tokens.weight",
                                {config_.vocab_size, config_.dim}));
    ATTUNE_RETURN_IF_ERROR(
        Move("output_norm.weight", "model.norm.weight", {config_.dim}));
    if (!config_.tie_embeddings) {
      ATTUNE_RETURN_IF_ERROR(Move("output.weight", "lm_head.weight",
                                  {config_.vocab_size, config_.dim}));
    }
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      ATTUNE_RETURN_IF_ERROR(MoveLayer(layer));
    }
    for (const auto& [name, tensor] : gguf_.tensors()) {
      if (!moved_.contains(name)) {
        return Unsupported(gguf_, Concat("tensor '", name, "'"));
      }
    }
    return std::move(tensors_);
  }

 private:
  absl::Status MoveLayer(int64_t layer) {
    const std::string from = Concat("blk.", layer, ".");
    const std::string to = Concat("model.layers.", layer, ".");
    const int64_t dim = config_.dim;
    const int64_t ffn = config_.ffn_dim;
    const int64_t q = config_.num_heads * config_.head_dim;
    const int64_t kv = config_.num_kv_heads * config_.head_dim;
    const struct {
      const char* from;
      const char* to;
      std::vector<int64_t> shape;
      int64_t permuted_heads;  // 0: rows are in Hugging Face's order
    } kMoves[] = {
        {"attn_norm", "input_layernorm", {dim}, 0},
        {"attn_q", "self_attn.q_proj", {q, dim}, config_.num_heads},
        {"attn_k", "self_attn.k_proj", {kv, dim}, config_.num_kv_heads},
        {"attn_v", "self_attn.v_proj", {kv, dim}, 0},
        {"attn_output", "self_attn.o_proj", {dim, q}, 0},
        {"ffn_norm", "post_attention_layernorm", {dim}, 0},
        {"ffn_gate", "mlp.gate_proj", {ffn, dim}, 0},
        {"ffn_up", "mlp.up_proj", {ffn, dim}, 0},
        {"ffn_down", "mlp.down_proj", {dim, ffn}, 0},
    };
    for (const auto& move : kMoves) {
      ATTUNE_RETURN_IF_ERROR(Move(Concat(from, move.from, ".weight"),
                                  Concat(to, move.to, ".weight"), move.shape,
                                  move.permuted_heads));
    }
    return absl::OkStatus();
  }

  absl::Status Move(const std::string& from, const std::string& to,
                    const std::vector<int64_t>& shape,
                    int64_t permuted_heads = 0) {
    const auto it = gguf_.tensors().find(from);
    if (it != gguf_.tensors().end() && it->second.shape != shape) {
      return CorruptFile(gguf_.origin(), Concat("tensor '", from,
                                                "' has a shape other than its "
                                                "metadata says"));
    }
    ATTUNE_ASSIGN_OR_RETURN(at::Tensor tensor, gguf_.Decode(from));
    if (permuted_heads > 0) tensor = UndoPermutation(tensor, permuted_heads);
    tensors_[to] = std::move(tensor);
    moved_.insert(from);
    return absl::OkStatus();
  }

  const Gguf& gguf_;
  const ModelConfig& config_;
  TensorMap tensors_;
  std::set<std::string> moved_;  // GGUF names
};

absl::Status WriteText(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text << '\n';
  file.close();
  if (!file) {
    return absl::UnavailableError(Concat("cannot write ", path.string()));
  }
  return absl::OkStatus();
}

absl::Status WriteDirectory(const Gguf& gguf, const fs::path& directory) {
  ATTUNE_RETURN_IF_ERROR(RefuseUnsupportedFile(gguf));
  ATTUNE_ASSIGN_OR_RETURN(std::string config_json, ConvertConfig(gguf));
  const absl::StatusOr<ModelConfig> parsed = ParseModelConfig(config_json);
  if (absl::IsInvalidArgument(parsed.status())) {
    return CorruptFile(gguf.origin(), ToStd(parsed.status().message()));
  }
  ATTUNE_RETURN_IF_ERROR(parsed.status());
  const ModelConfig& config = *parsed;
  ATTUNE_ASSIGN_OR_RETURN(TokenizerFiles files,
                          ConvertTokenizer(gguf, config.context_length));
  if (files.vocab_size != config.vocab_size) {
    return CorruptFile(gguf.origin(), Concat(files.vocab_size, " tokens but ",
                                             config.vocab_size, " embeddings"));
  }
  ATTUNE_ASSIGN_OR_RETURN(TensorMap tensors,
                          WeightConverter(gguf, config).Convert());
  ATTUNE_RETURN_IF_ERROR(WriteSafetensorsFile(
      (directory / "model.safetensors").string(), tensors, {{"format", "pt"}}));
  ATTUNE_RETURN_IF_ERROR(WriteText(directory / "config.json", config_json));
  ATTUNE_RETURN_IF_ERROR(
      WriteText(directory / "tokenizer.json", files.tokenizer_json));
  ATTUNE_RETURN_IF_ERROR(WriteText(directory / "tokenizer_config.json",
                                   files.tokenizer_config_json));
  return WriteText(directory / "generation_config.json",
                   files.generation_config_json);
}

}  // namespace

absl::Status ImportGguf(const std::string& gguf_file,
                        const std::string& output_dir) {
  std::error_code error;
  fs::path output = fs::path(output_dir).lexically_normal();
  if (!output.has_filename()) output = output.parent_path();
  if (fs::exists(output, error)) {
    return absl::AlreadyExistsError(
        Concat(output.string(), " exists; remove it to import again"));
  }
  ATTUNE_ASSIGN_OR_RETURN(Gguf gguf, Gguf::Open(gguf_file));
  if (output.has_parent_path())
    fs::create_directories(output.parent_path(), error);
  std::string temporary = Concat(output.string(), ".import-XXXXXX");
  if (mkdtemp(temporary.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, Concat("cannot create ", temporary));
  }
  auto remove = absl::MakeCleanup([&] {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
  });
  try {
    ATTUNE_RETURN_IF_ERROR(WriteDirectory(gguf, temporary));
  } catch (const std::exception& caught) {
    return absl::InternalError(
        Concat("import of ", gguf_file, ": ", caught.what()));
  }
  fs::permissions(temporary, fs::perms(0755), error);
  fs::rename(temporary, output, error);
  if (error) {
    return absl::UnavailableError(Concat("cannot rename ", temporary, " to ",
                                         output.string(), ": ",
                                         error.message()));
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

}  // namespace attune::worker
