#include "worker/prompts/prompt_codec.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/stable_json.h"

namespace attune::worker {
namespace {

// The release of PEFT whose files these are.
constexpr std::string_view kPeftVersion = "0.21.2";
constexpr std::string_view kPromptTensor = "prompt_embeddings";

// "models/x" -> "x".
std::string ModelIdOf(std::string_view name) {
  return std::string(name.substr(name.find('/') + 1));
}

absl::Status Corrupt(std::string_view file, std::string_view what) {
  return MakeError(Reason::kCorruptArtifact,
                   Concat("file '", file, "' of the prompt's artifact: ", what),
                   {{"file", std::string(file)}});
}

absl::StatusOr<const std::string*> FindFile(const Artifact& artifact,
                                            std::string_view name) {
  const auto found = artifact.files.find(std::string(name));
  if (found == artifact.files.end()) {
    return Corrupt(name, "it is missing");
  }
  return &found->second;
}

// What is read of adapter_config.json.
struct AdapterShape {
  int64_t num_virtual_tokens = 0;
  int64_t token_dim = 0;
};

// The value of `key`, null or absent for a key that PEFT may leave out.
absl::StatusOr<std::optional<std::string>> ReadString(
    const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) {
    return Corrupt(kAdapterConfigFile, Concat("'", key, "' must be a string"));
  }
  return found->get<std::string>();
}

absl::StatusOr<int64_t> ReadCount(const nlohmann::json& config,
                                  const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number_integer() ||
      found->get<int64_t>() < 1) {
    return Corrupt(kAdapterConfigFile,
                   Concat("'", key, "' must be a positive integer"));
  }
  return found->get<int64_t>();
}

absl::StatusOr<AdapterShape> ParseAdapterConfig(const std::string& text) {
  const nlohmann::json config =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return Corrupt(kAdapterConfigFile, "it is not a JSON object");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> type,
                          ReadString(config, "peft_type"));
  if (type != "PROMPT_TUNING") {
    return Corrupt(kAdapterConfigFile,
                   Concat("'peft_type' is '", type.value_or(""),
                          "'; only PROMPT_TUNING is read"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> task,
                          ReadString(config, "task_type"));
  if (task.has_value() && task != "CAUSAL_LM") {
    return Corrupt(kAdapterConfigFile, Concat("'task_type' is '", *task,
                                              "'; only CAUSAL_LM is read"));
  }
  AdapterShape shape;
  ATTUNE_ASSIGN_OR_RETURN(shape.num_virtual_tokens,
                          ReadCount(config, "num_virtual_tokens"));
  ATTUNE_ASSIGN_OR_RETURN(shape.token_dim, ReadCount(config, "token_dim"));
  const auto submodules = config.find("num_transformer_submodules");
  if (submodules != config.end() && !submodules->is_null() &&
      *submodules != 1) {
    return Corrupt(kAdapterConfigFile,
                   "'num_transformer_submodules' must be 1");
  }
  return shape;
}

absl::StatusOr<SoftPrompt> ParseRows(const std::string& bytes,
                                     const AdapterShape& shape) {
  absl::StatusOr<Safetensors> tensors =
      Safetensors::FromBytes(bytes, std::string(kAdapterModelFile));
  if (!tensors.ok()) {
    return Corrupt(kAdapterModelFile, ToStd(tensors.status().message()));
  }
  const std::string name(kPromptTensor);
  if (!tensors->Contains(name) || tensors->entries().size() != 1) {
    return Corrupt(kAdapterModelFile,
                   Concat("it must hold the tensor '", name, "' and no other"));
  }
  absl::StatusOr<at::Tensor> rows = tensors->Get(name);
  if (!rows.ok())
    return Corrupt(kAdapterModelFile, ToStd(rows.status().message()));
  absl::StatusOr<SoftPrompt> prompt = SoftPrompt::Create(*rows);
  if (!prompt.ok()) {
    return Corrupt(kAdapterModelFile, ToStd(prompt.status().message()));
  }
  if (prompt->length() != shape.num_virtual_tokens ||
      prompt->dim() != shape.token_dim) {
    return Corrupt(kAdapterModelFile,
                   Concat("the prompt is ", prompt->length(), " x ",
                          prompt->dim(), ", but ", kAdapterConfigFile, " says ",
                          shape.num_virtual_tokens, " x ", shape.token_dim));
  }
  return prompt;
}

}  // namespace

absl::StatusOr<Artifact> EncodePrompt(const SoftPrompt& prompt,
                                      const v1::PromptManifest& manifest,
                                      const ModelConfig& config) {
  // Keys come out sorted, as PEFT writes them. RANDOM: PEFT refuses TEXT
  // without a tokenizer's path, and never runs the initialisation on loading.
  const nlohmann::json adapter = {
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", ModelIdOf(manifest.base_model())},
      {"inference_mode", true},
      {"modules_to_save", nullptr},
      {"num_attention_heads", config.num_heads},
      {"num_layers", config.num_layers},
      {"num_transformer_submodules", 1},
      {"num_virtual_tokens", prompt.length()},
      {"peft_type", "PROMPT_TUNING"},
      {"peft_version", kPeftVersion},
      {"prompt_tuning_init", "RANDOM"},
      {"prompt_tuning_init_text", nullptr},
      {"revision", nullptr},
      {"task_type", "CAUSAL_LM"},
      {"token_dim", prompt.dim()},
      {"tokenizer_kwargs", nullptr},
      {"tokenizer_name_or_path", nullptr}};

  v1::PromptManifest stamped = manifest;
  stamped.set_format_version(kPromptFormatVersion);
  Artifact artifact;
  artifact.files[std::string(kAdapterConfigFile)] =
      adapter.dump(/*indent=*/2, ' ', /*ensure_ascii=*/true,
                   nlohmann::json::error_handler_t::replace);
  ATTUNE_ASSIGN_OR_RETURN(
      artifact.files[std::string(kAdapterModelFile)],
      WriteSafetensors({{std::string(kPromptTensor), prompt.rows()}},
                       {{"format", "pt"}}));
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kManifestFile)],
                          ToStableJson(stamped));
  return artifact;
}

absl::StatusOr<StoredPrompt> DecodePrompt(const Artifact& artifact) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string* config,
                          FindFile(artifact, kAdapterConfigFile));
  ATTUNE_ASSIGN_OR_RETURN(const std::string* model,
                          FindFile(artifact, kAdapterModelFile));
  ATTUNE_ASSIGN_OR_RETURN(const std::string* manifest_json,
                          FindFile(artifact, kManifestFile));
  ATTUNE_ASSIGN_OR_RETURN(const AdapterShape shape,
                          ParseAdapterConfig(*config));
  v1::PromptManifest manifest;
  const absl::Status parsed = FromStrictJson(*manifest_json, manifest);
  if (!parsed.ok()) return Corrupt(kManifestFile, ToStd(parsed.message()));
  if (manifest.format_version() != kPromptFormatVersion) {
    return Corrupt(kManifestFile,
                   Concat("its format_version is ", manifest.format_version(),
                          "; only ", kPromptFormatVersion, " is read"));
  }
  ATTUNE_ASSIGN_OR_RETURN(SoftPrompt prompt, ParseRows(*model, shape));
  return StoredPrompt{std::move(prompt), std::move(manifest)};
}

absl::Status CheckPromptFits(const StoredPrompt& stored,
                             const ModelInfo& model) {
  if (stored.manifest.model_fingerprint() != model.fingerprint) {
    return MakeError(
        Reason::kModelMismatch,
        Concat("the prompt was made for '", stored.manifest.base_model(),
               "' with fingerprint ", stored.manifest.model_fingerprint(),
               ", but '", ResourceName(kModelCollection, model.id),
               "' has fingerprint ", model.fingerprint,
               ": tune it again on this model"),
        {{"prompt_fingerprint", stored.manifest.model_fingerprint()},
         {"model_fingerprint", model.fingerprint}});
  }
  if (stored.prompt.dim() != model.config.embedding_dim) {
    return MakeError(Reason::kModelMismatch,
                     Concat("the prompt's rows are ", stored.prompt.dim(),
                            " wide, but model '", model.id, "' has width ",
                            model.config.embedding_dim));
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
