#include "worker/prompts/peft_adapter.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/mapped_file.h"
#include "worker/models/safetensors.h"
#include "worker/models/torch_errors.h"
#include "worker/models/torch_file.h"
#include "worker/prompts/prompt_codec.h"
#include "worker/prompts/soft_prompt.h"

namespace attune::worker {
namespace {

constexpr char kEmbeddingsName[] = "prompt_embeddings";
constexpr char kPickledModelFile[] = "adapter_model.bin";
constexpr size_t kMaxAdapterConfigBytes = size_t{1} << 20;
// Of any number in adapter_config.json: products of three stay in range.
constexpr int64_t kMaxAdapterNumber = int64_t{1} << 20;

// What counts of adapter_config.json. PEFT writes the last three for every
// type; older releases left some out.
struct AdapterFacts {
  bool is_prefix = false;
  int64_t num_virtual_tokens = 0;
  int64_t num_submodules = 1;
  std::optional<int64_t> num_layers;
  std::optional<int64_t> num_attention_heads;
  std::optional<int64_t> token_dim;
};

absl::Status DamagedAdapter(const std::string& path, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact, Concat(path, ": ", what),
                   {{"file", path}});
}

absl::Status Unfit(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(Concat(path, ": ", what));
}

// adapter_config.json of an adapter, read key by key.
class AdapterConfigReader {
 public:
  AdapterConfigReader(const std::string& path, const nlohmann::json& config)
      : path_(path), config_(config) {}

  // Nothing where the key is absent or null.
  absl::StatusOr<std::optional<std::string>> Text(const char* key) const {
    const auto found = config_.find(key);
    if (found == config_.end() || found->is_null()) return std::nullopt;
    if (found->is_string()) return found->get<std::string>();
    return DamagedAdapter(path_, Concat("'", key, "' is not a string"));
  }

  absl::StatusOr<std::optional<int64_t>> Count(const char* key) const {
    const auto found = config_.find(key);
    if (found == config_.end() || found->is_null()) return std::nullopt;
    if (found->is_number_unsigned()) {
      const uint64_t value = found->get<uint64_t>();
      if (value >= 1 && value <= uint64_t{kMaxAdapterNumber}) {
        return static_cast<int64_t>(value);
      }
    }
    return DamagedAdapter(path_,
                          Concat("'", key, "' is not a whole number from 1 to ",
                                 kMaxAdapterNumber));
  }

 private:
  const std::string& path_;
  const nlohmann::json& config_;
};

// Whether PEFT would run a model of this kind for the task.
bool IsTaskOf(std::string_view task, ModelKind kind) {
  switch (kind) {
    case ModelKind::kCausal:
      return task == "CAUSAL_LM" || task == "FEATURE_EXTRACTION";
    case ModelKind::kEncoder:
      return task == "SEQ_CLS" || task == "TOKEN_CLS" ||
             task == "QUESTION_ANS" || task == "FEATURE_EXTRACTION";
    case ModelKind::kEncoderDecoder:
      return task == "SEQ_2_SEQ_LM";
  }
  return false;
}

absl::StatusOr<AdapterFacts> ReadAdapterFacts(const std::string& path,
                                              const ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json object,
                          ReadJsonFile(path, kMaxAdapterConfigBytes));
  if (!object.is_object()) return DamagedAdapter(path, "not a JSON object");
  const AdapterConfigReader reader(path, object);
  AdapterFacts facts;
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> type,
                          reader.Text("peft_type"));
  facts.is_prefix = type == "PREFIX_TUNING";
  if (!facts.is_prefix && type != "PROMPT_TUNING" && type != "P_TUNING") {
    return Unfit(path,
                 Concat("'peft_type' is ", type ? QuoteBytes(*type) : "missing",
                        "; read are PROMPT_TUNING, P_TUNING and "
                        "PREFIX_TUNING"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> task,
                          reader.Text("task_type"));
  if (task && !IsTaskOf(*task, config.kind)) {
    return Unfit(path, Concat("'task_type' is ", QuoteBytes(*task),
                              ", which is no task of a model of the kind ",
                              ModelKindName(config.kind)));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<int64_t> rows,
                          reader.Count("num_virtual_tokens"));
  if (!rows) return DamagedAdapter(path, "'num_virtual_tokens' is missing");
  facts.num_virtual_tokens = *rows;
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<int64_t> submodules,
                          reader.Count("num_transformer_submodules"));
  const bool is_pair = config.kind == ModelKind::kEncoderDecoder;
  facts.num_submodules = submodules.value_or(task && is_pair ? 2 : 1);
  if (facts.num_submodules > (is_pair ? 2 : 1)) {
    return Unfit(
        path, Concat("'num_transformer_submodules' is ", facts.num_submodules,
                     "; a model of the kind ", ModelKindName(config.kind),
                     " has ", is_pair ? "2 at most" : "1"));
  }
  ATTUNE_ASSIGN_OR_RETURN(facts.num_layers, reader.Count("num_layers"));
  ATTUNE_ASSIGN_OR_RETURN(facts.num_attention_heads,
                          reader.Count("num_attention_heads"));
  ATTUNE_ASSIGN_OR_RETURN(facts.token_dim, reader.Count("token_dim"));
  return facts;
}

// The prompt of `file`, which must hold nothing else: [rows, width], fp32.
template <typename File>
absl::StatusOr<at::Tensor> TakeEmbeddings(const std::string& path,
                                          absl::StatusOr<File> file) {
  ATTUNE_RETURN_IF_ERROR(file.status());
  if (!file->Contains(kEmbeddingsName)) {
    return DamagedAdapter(path,
                          Concat("no tensor '", kEmbeddingsName, "' in it"));
  }
  for (const auto& [name, entry] : file->entries()) {
    if (name == kEmbeddingsName) continue;
    return Unfit(
        path, Concat("tensor ", QuoteBytes(name), " beside '", kEmbeddingsName,
                     "': heads that were trained with a prompt and "
                     "other weights of an adapter are not read"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor stored, file->View(kEmbeddingsName));
  const absl::StatusOr<SoftPrompt> prompt = SoftPrompt::Create(stored);
  if (!prompt.ok()) {
    return DamagedAdapter(path, Concat("tensor '", kEmbeddingsName, "': ",
                                       ToStd(prompt.status().message())));
  }
  return prompt->rows();
}

// The prompt's tensor, which must have the shape [rows, width].
absl::StatusOr<at::Tensor> ReadEmbeddings(const std::string& directory,
                                          int64_t rows, int64_t width) {
  std::string path = Concat(directory, "/", kAdapterModelFile);
  std::error_code error;
  const bool is_pickled =
      !std::filesystem::exists(path, error) &&
      std::filesystem::exists(Concat(directory, "/", kPickledModelFile), error);
  if (is_pickled) path = Concat(directory, "/", kPickledModelFile);
  ATTUNE_ASSIGN_OR_RETURN(at::Tensor tensor,
                          is_pickled
                              ? TakeEmbeddings(path, TorchFile::Open(path))
                              : TakeEmbeddings(path, Safetensors::Open(path)));
  if (tensor.sizes() != at::IntArrayRef{rows, width}) {
    return DamagedAdapter(
        path,
        Concat("tensor '", kEmbeddingsName, "' has the shape [",
               absl::StrJoin(tensor.sizes(), ", "), "]; ", kAdapterConfigFile,
               " and the model ask for [", rows, ", ", width, "]"));
  }
  return tensor;
}

absl::Status CheckNumber(const std::string& path, const char* key,
                         std::optional<int64_t> number, int64_t expected,
                         std::string_view of_what) {
  if (!number || *number == expected) return absl::OkStatus();
  return Unfit(path, Concat("'", key, "' is ", *number, ", but ", of_what,
                            " of the model is ", expected));
}

absl::StatusOr<PeftAdapter> ReadInputRows(const std::string& directory,
                                          const std::string& path,
                                          const AdapterFacts& facts,
                                          const ModelConfig& config) {
  const int64_t width = config.embedding_dim;
  ATTUNE_RETURN_IF_ERROR(CheckNumber(path, "token_dim", facts.token_dim, width,
                                     "the width of the embeddings"));
  ATTUNE_ASSIGN_OR_RETURN(
      const at::Tensor rows,
      ReadEmbeddings(directory, facts.num_virtual_tokens * facts.num_submodules,
                     width));
  PeftAdapter adapter;
  // Of the rows for two submodules PEFT feeds the first, to the encoder.
  adapter.input_rows = rows.narrow(0, 0, facts.num_virtual_tokens).contiguous();
  return adapter;
}

// A row of the file is [layers, 2, kv_heads, head_dim]: keys, then values.
absl::StatusOr<PeftAdapter> ReadPrefix(const std::string& directory,
                                       const std::string& path,
                                       const AdapterFacts& facts,
                                       const ModelConfig& config) {
  const int64_t heads = config.num_kv_heads;
  ATTUNE_RETURN_IF_ERROR(CheckNumber(path, "num_attention_heads",
                                     facts.num_attention_heads, heads,
                                     "the number of key and value heads"));
  ATTUNE_RETURN_IF_ERROR(CheckNumber(path, "token_dim", facts.token_dim,
                                     heads * config.head_dim,
                                     "the width of a layer's keys"));
  const int64_t layers = facts.num_layers.value_or(config.num_layers);
  // PEFT counts the layers of an encoder-decoder's encoder, which may be more.
  const int64_t cached_layers = config.NumCachedLayers();
  if (config.kind != ModelKind::kEncoderDecoder || layers < cached_layers) {
    ATTUNE_RETURN_IF_ERROR(CheckNumber(path, "num_layers", layers,
                                       cached_layers,
                                       "the number of layers that take it"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor rows,
                          ReadEmbeddings(directory, facts.num_virtual_tokens,
                                         layers * 2 * heads * config.head_dim));
  const at::Tensor pairs =
      rows.view({facts.num_virtual_tokens, layers, 2, heads, config.head_dim})
          .permute({1, 2, 3, 0, 4});
  PeftAdapter adapter;
  for (int64_t layer = 0; layer < cached_layers; ++layer) {
    // For two submodules PEFT repeats the pairs behind each other, cuts them
    // in groups of two, and drops the second of each, the cross attention's.
    const int64_t pair = facts.num_submodules == 2 ? 2 * layer % layers : layer;
    adapter.keys.push_back(pairs[pair][0].contiguous());
    adapter.values.push_back(pairs[pair][1].contiguous());
  }
  return adapter;
}

}  // namespace

absl::StatusOr<PeftAdapter> ReadPeftAdapter(const std::string& directory,
                                            const ModelConfig& config) {
  return CatchTorchErrors(
      "reading an adapter", [&]() -> absl::StatusOr<PeftAdapter> {
        const std::string path = Concat(directory, "/", kAdapterConfigFile);
        ATTUNE_ASSIGN_OR_RETURN(const AdapterFacts facts,
                                ReadAdapterFacts(path, config));
        if (facts.num_virtual_tokens >= config.context_length) {
          return Unfit(
              path, Concat("'num_virtual_tokens' is ", facts.num_virtual_tokens,
                           "; it must leave room in the context of ",
                           config.context_length, " tokens"));
        }
        return facts.is_prefix ? ReadPrefix(directory, path, facts, config)
                               : ReadInputRows(directory, path, facts, config);
      });
}

}  // namespace attune::worker
