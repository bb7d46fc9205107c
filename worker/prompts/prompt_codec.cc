#include "worker/prompts/prompt_codec.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/adaptation_codec.h"
#include "worker/prompts/artifact_files.h"
#include "worker/prompts/stable_json.h"

namespace attune::worker {
namespace {

using attune::v1::TuningMethod;

constexpr std::string_view kPromptTensor = "prompt_embeddings";
constexpr char kHeadWeight[] = "weight";
constexpr char kHeadBias[] = "bias";

// "models/x" -> "x".
std::string ModelIdOf(std::string_view name) {
  return std::string(name.substr(name.find('/') + 1));
}

// What is read of adapter_config.json.
struct AdapterShape {
  bool is_prefix = false;
  int64_t num_virtual_tokens = 0;
  int64_t token_dim = 0;
  // Of a prefix.
  int64_t num_layers = 0;
  int64_t num_heads = 0;
};

// The value of `key`, null or absent for a key that PEFT may leave out.
absl::StatusOr<std::optional<std::string>> ReadString(
    const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) {
    return CorruptArtifactFile(kAdapterConfigFile,
                               Concat("'", key, "' must be a string"));
  }
  return found->get<std::string>();
}

absl::StatusOr<int64_t> ReadCount(const nlohmann::json& config,
                                  const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number_integer() ||
      found->get<int64_t>() < 1) {
    return CorruptArtifactFile(
        kAdapterConfigFile, Concat("'", key, "' must be a positive integer"));
  }
  return found->get<int64_t>();
}

absl::StatusOr<AdapterShape> ParseAdapterConfig(const std::string& text) {
  const nlohmann::json config =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return CorruptArtifactFile(kAdapterConfigFile, "it is not a JSON object");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> type,
                          ReadString(config, "peft_type"));
  if (type != "PROMPT_TUNING" && type != "PREFIX_TUNING") {
    return CorruptArtifactFile(
        kAdapterConfigFile,
        Concat("'peft_type' is '", type.value_or(""),
               "'; only PROMPT_TUNING and PREFIX_TUNING are read"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> task,
                          ReadString(config, "task_type"));
  if (task.has_value() && task != "CAUSAL_LM" && task != "SEQ_2_SEQ_LM" &&
      task != "FEATURE_EXTRACTION") {
    return CorruptArtifactFile(kAdapterConfigFile,
                               Concat("'task_type' is '", *task,
                                      "'; only CAUSAL_LM, SEQ_2_SEQ_LM and "
                                      "FEATURE_EXTRACTION are read"));
  }
  AdapterShape shape;
  shape.is_prefix = type == "PREFIX_TUNING";
  if (shape.is_prefix) {
    ATTUNE_ASSIGN_OR_RETURN(shape.num_layers, ReadCount(config, "num_layers"));
    ATTUNE_ASSIGN_OR_RETURN(shape.num_heads,
                            ReadCount(config, "num_attention_heads"));
  }
  ATTUNE_ASSIGN_OR_RETURN(shape.num_virtual_tokens,
                          ReadCount(config, "num_virtual_tokens"));
  ATTUNE_ASSIGN_OR_RETURN(shape.token_dim, ReadCount(config, "token_dim"));
  const auto submodules = config.find("num_transformer_submodules");
  if (submodules != config.end() && !submodules->is_null() &&
      *submodules != 1) {
    return CorruptArtifactFile(kAdapterConfigFile,
                               "'num_transformer_submodules' must be 1");
  }
  return shape;
}

absl::StatusOr<ClassifierHead> ParseHead(const std::string& bytes) {
  absl::StatusOr<Safetensors> tensors =
      Safetensors::FromBytes(bytes, std::string(kHeadFile));
  if (!tensors.ok())
    return CorruptArtifactFile(kHeadFile, ToStd(tensors.status().message()));
  if (!tensors->Contains(kHeadWeight) || !tensors->Contains(kHeadBias) ||
      tensors->entries().size() != 2) {
    return CorruptArtifactFile(
        kHeadFile, Concat("it must hold the tensors '", kHeadWeight, "' and '",
                          kHeadBias, "' and no other"));
  }
  const at::Tensor weight = *tensors->Get(kHeadWeight);
  const at::Tensor bias = *tensors->Get(kHeadBias);
  if (weight.scalar_type() != at::kFloat || weight.dim() != 2 ||
      bias.scalar_type() != at::kFloat || bias.dim() != 1 ||
      bias.size(0) != weight.size(0)) {
    return CorruptArtifactFile(
        kHeadFile,
        "'weight' must be F32 [labels, width] and 'bias' F32 "
        "[labels]");
  }
  if (!at::isfinite(weight).all().item<bool>() ||
      !at::isfinite(bias).all().item<bool>()) {
    return CorruptArtifactFile(kHeadFile,
                               "it holds numbers that are not finite");
  }
  return ClassifierHead{weight.clone(), bias.clone()};
}

// Outputs of a task's head.
int NumOutputs(const attune::v1::TaskSpec& task) {
  switch (task.type()) {
    case attune::v1::TASK_TYPE_REGRESSION:
      return 1;
    case attune::v1::TASK_TYPE_EXTRACTIVE_QA:
      return 2;
    default:
      return task.labels_size();
  }
}

// The head that the task of `manifest` asks for; undefined where it asks for
// none.
absl::StatusOr<ClassifierHead> ReadHead(const Artifact& artifact,
                                        const v1::PromptManifest& manifest) {
  const bool wanted =
      manifest.task().label_scoring() == attune::v1::LABEL_SCORING_HEAD;
  if (!wanted) {
    if (artifact.files.contains(std::string(kHeadFile))) {
      return CorruptArtifactFile(kHeadFile, "the task has no head");
    }
    return ClassifierHead();
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string* bytes,
                          FindFile(artifact, kHeadFile));
  ATTUNE_ASSIGN_OR_RETURN(ClassifierHead head, ParseHead(*bytes));
  const int wanted_outputs = NumOutputs(manifest.task());
  if (head.num_labels() != wanted_outputs) {
    return CorruptArtifactFile(
        kHeadFile, Concat("it has ", head.num_labels(),
                          " outputs; the task has ", wanted_outputs));
  }
  return head;
}

// The one tensor of the adapter: [rows, width], fp32, finite.
absl::StatusOr<SoftPrompt> ParseEmbeddings(const std::string& bytes,
                                           int64_t rows, int64_t width) {
  absl::StatusOr<Safetensors> tensors =
      Safetensors::FromBytes(bytes, std::string(kAdapterModelFile));
  if (!tensors.ok()) {
    return CorruptArtifactFile(kAdapterModelFile,
                               ToStd(tensors.status().message()));
  }
  const std::string name(kPromptTensor);
  if (!tensors->Contains(name) || tensors->entries().size() != 1) {
    return CorruptArtifactFile(
        kAdapterModelFile,
        Concat("it must hold the tensor '", name, "' and no other"));
  }
  absl::StatusOr<at::Tensor> tensor = tensors->Get(name);
  if (!tensor.ok()) {
    return CorruptArtifactFile(kAdapterModelFile,
                               ToStd(tensor.status().message()));
  }
  absl::StatusOr<SoftPrompt> prompt = SoftPrompt::Create(*tensor);
  if (!prompt.ok()) {
    return CorruptArtifactFile(kAdapterModelFile,
                               ToStd(prompt.status().message()));
  }
  if (prompt->length() != rows || prompt->dim() != width) {
    return CorruptArtifactFile(
        kAdapterModelFile,
        Concat("the prompt is ", prompt->length(), " x ", prompt->dim(),
               ", but ", kAdapterConfigFile, " says ", rows, " x ", width));
  }
  return prompt;
}

// A row of the file is [layers, 2, kv_heads, head_dim]: keys, then values.
absl::StatusOr<StoredPrefix> ParsePrefix(const std::string& bytes,
                                         const AdapterShape& shape) {
  // Numbers of a hostile file: their product must not overflow.
  constexpr int64_t kMaxPrefixNumber = int64_t{1} << 20;
  if (shape.num_layers > kMaxPrefixNumber ||
      shape.token_dim > kMaxPrefixNumber) {
    return CorruptArtifactFile(kAdapterConfigFile,
                               "its numbers are beyond any model's");
  }
  if (shape.token_dim % shape.num_heads != 0) {
    return CorruptArtifactFile(
        kAdapterConfigFile,
        "'num_attention_heads' does not divide 'token_dim'");
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const SoftPrompt flat,
      ParseEmbeddings(bytes, shape.num_virtual_tokens,
                      shape.num_layers * 2 * shape.token_dim));
  const at::Tensor pairs =
      flat.rows()
          .view({shape.num_virtual_tokens, shape.num_layers, 2, shape.num_heads,
                 shape.token_dim / shape.num_heads})
          .permute({2, 1, 3, 0, 4});
  return StoredPrefix{pairs[0].contiguous(), pairs[1].contiguous()};
}

// keys, values: [layers, kv_heads, length, head_dim] -> as the file has them,
// [length, layers * 2 * kv_heads * head_dim].
at::Tensor FlatPrefix(const StoredPrefix& prefix) {
  return at::stack({prefix.keys, prefix.values}, 1)
      .permute({3, 0, 1, 2, 4})
      .reshape({prefix.keys.size(2), -1});
}

// adapter_config.json. Keys come out sorted, as PEFT writes them.
nlohmann::json AdapterConfig(const StoredPrompt& stored,
                             const ModelConfig& config) {
  nlohmann::json adapter = {
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", ModelIdOf(stored.manifest.base_model())},
      {"inference_mode", true},
      {"modules_to_save", nullptr},
      {"num_attention_heads", config.num_heads},
      {"num_layers", config.num_layers},
      {"num_transformer_submodules", 1},
      {"num_virtual_tokens", stored.length()},
      {"peft_version", kPeftVersion},
      {"revision", nullptr},
      {"task_type", PeftTaskType(config.kind)}};
  if (stored.rows.has_value()) {
    // RANDOM: PEFT refuses TEXT without a tokenizer's path, and never runs the
    // initialisation on loading.
    adapter["peft_type"] = "PROMPT_TUNING";
    adapter["prompt_tuning_init"] = "RANDOM";
    adapter["prompt_tuning_init_text"] = nullptr;
    adapter["token_dim"] = stored.rows->dim();
    adapter["tokenizer_kwargs"] = nullptr;
    adapter["tokenizer_name_or_path"] = nullptr;
    return adapter;
  }
  // PEFT counts key and value heads here.
  const at::Tensor& keys = stored.prefix.keys;
  adapter["encoder_hidden_size"] = keys.size(1) * keys.size(3);
  adapter["num_attention_heads"] = keys.size(1);
  adapter["num_layers"] = keys.size(0);
  adapter["peft_type"] = "PREFIX_TUNING";
  adapter["prefix_projection"] = false;
  adapter["token_dim"] = keys.size(1) * keys.size(3);
  return adapter;
}

absl::Status EncodeFront(const StoredPrompt& stored, const ModelConfig& config,
                         Artifact& artifact) {
  const nlohmann::json adapter = AdapterConfig(stored, config);
  const at::Tensor embeddings =
      stored.rows.has_value() ? stored.rows->rows() : FlatPrefix(stored.prefix);
  artifact.files[std::string(kAdapterConfigFile)] =
      adapter.dump(/*indent=*/2, ' ', /*ensure_ascii=*/true,
                   nlohmann::json::error_handler_t::replace);
  ATTUNE_ASSIGN_OR_RETURN(
      artifact.files[std::string(kAdapterModelFile)],
      WriteSafetensors({{std::string(kPromptTensor), embeddings}},
                       {{"format", "pt"}}));
  return absl::OkStatus();
}

// Reads rows or a prefix.
absl::Status DecodeFront(const Artifact& artifact, StoredPrompt& stored) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string* config,
                          FindFile(artifact, kAdapterConfigFile));
  ATTUNE_ASSIGN_OR_RETURN(const std::string* model,
                          FindFile(artifact, kAdapterModelFile));
  ATTUNE_ASSIGN_OR_RETURN(const AdapterShape shape,
                          ParseAdapterConfig(*config));
  if (shape.is_prefix) {
    ATTUNE_ASSIGN_OR_RETURN(stored.prefix, ParsePrefix(*model, shape));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(
        stored.rows,
        ParseEmbeddings(*model, shape.num_virtual_tokens, shape.token_dim));
  }
  return absl::OkStatus();
}

constexpr char kMarkedRows[] = "rows";

bool HasMarkedRows(const StoredPrompt& stored) {
  return stored.manifest.task().prompt_placement() ==
         attune::v1::PROMPT_PLACEMENT_MARKERS;
}

absl::Status EncodeMarkedRows(const SoftPrompt& rows, Artifact& artifact) {
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kMarkedRowsFile)],
                          WriteSafetensors({{kMarkedRows, rows.rows()}}));
  return absl::OkStatus();
}

absl::StatusOr<SoftPrompt> DecodeMarkedRows(const Artifact& artifact) {
  ATTUNE_ASSIGN_OR_RETURN(const TensorMap tensors,
                          ReadTensors(artifact, kMarkedRowsFile));
  if (tensors.size() != 1 || !tensors.contains(kMarkedRows)) {
    return CorruptArtifactFile(
        kMarkedRowsFile,
        Concat("it must hold the tensor '", kMarkedRows, "' and no other"));
  }
  absl::StatusOr<SoftPrompt> rows = SoftPrompt::Create(tensors.at(kMarkedRows));
  if (!rows.ok()) {
    return CorruptArtifactFile(kMarkedRowsFile, ToStd(rows.status().message()));
  }
  return rows;
}

}  // namespace

size_t StoredPrompt::num_bytes() const {
  size_t bytes = rows.has_value() ? rows->rows().nbytes() : 0;
  for (const at::Tensor* tensor :
       {&prefix.keys, &prefix.values, &head.weight, &head.bias}) {
    if (tensor->defined()) bytes += tensor->nbytes();
  }
  return bytes + adaptation.num_bytes();
}

absl::StatusOr<Artifact> EncodePrompt(const StoredPrompt& stored,
                                      const ModelConfig& config) {
  v1::PromptManifest stamped = stored.manifest;
  stamped.set_format_version(kPromptFormatVersion);
  Artifact artifact;
  if (stored.prefix.keys.defined() &&
      stored.prefix.keys.size(0) != config.NumCachedLayers()) {
    ATTUNE_RETURN_IF_ERROR(EncodePrefixLayers(stored.prefix, artifact));
  } else if (stored.rows.has_value() && HasMarkedRows(stored)) {
    ATTUNE_RETURN_IF_ERROR(EncodeMarkedRows(*stored.rows, artifact));
  } else if (stored.rows.has_value() || stored.prefix.keys.defined()) {
    ATTUNE_RETURN_IF_ERROR(EncodeFront(stored, config, artifact));
  } else if (stored.manifest.method().has_lora()) {
    ATTUNE_RETURN_IF_ERROR(
        EncodeLora(stored.adaptation, stored.manifest.method().lora(), config,
                   ModelIdOf(stored.manifest.base_model()), artifact));
  } else if (!stored.adaptation.weights.empty()) {
    ATTUNE_RETURN_IF_ERROR(EncodeWeights(stored.adaptation, artifact));
  }
  if (stored.head.defined()) {
    ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kHeadFile)],
                            WriteSafetensors({{kHeadWeight, stored.head.weight},
                                              {kHeadBias, stored.head.bias}}));
  }
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kManifestFile)],
                          ToStableJson(stamped));
  return artifact;
}

absl::StatusOr<StoredPrompt> DecodePrompt(const Artifact& artifact) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string* manifest_json,
                          FindFile(artifact, kManifestFile));
  StoredPrompt stored;
  const absl::Status parsed = FromStrictJson(*manifest_json, stored.manifest);
  if (!parsed.ok())
    return CorruptArtifactFile(kManifestFile, ToStd(parsed.message()));
  if (stored.manifest.format_version() != kPromptFormatVersion) {
    return CorruptArtifactFile(
        kManifestFile,
        Concat("its format_version is ", stored.manifest.format_version(),
               "; only ", kPromptFormatVersion, " is read"));
  }
  switch (stored.manifest.method().method_case()) {
    case TuningMethod::kLora: {
      ATTUNE_ASSIGN_OR_RETURN(stored.adaptation, DecodeLora(artifact));
      break;
    }
    case TuningMethod::kTopLayers:
    case TuningMethod::kAllParameters:
    case TuningMethod::kBiasOnly: {
      ATTUNE_ASSIGN_OR_RETURN(stored.adaptation, DecodeWeights(artifact));
      break;
    }
    case TuningMethod::kHead:
    case TuningMethod::kHardPrompt:
      break;
    default: {
      if (HasMarkedRows(stored)) {
        ATTUNE_ASSIGN_OR_RETURN(stored.rows, DecodeMarkedRows(artifact));
        break;
      }
      if (!artifact.files.contains(std::string(kPrefixFile))) {
        ATTUNE_RETURN_IF_ERROR(DecodeFront(artifact, stored));
        break;
      }
      ATTUNE_ASSIGN_OR_RETURN(
          stored.prefix,
          DecodePrefixLayers(artifact,
                             stored.manifest.method().prefix_tuning()));
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(stored.head, ReadHead(artifact, stored.manifest));
  return stored;
}

absl::StatusOr<AttachedPrompt> AttachStored(const LoadedModel& model,
                                            const StoredPrompt& stored) {
  if (stored.rows.has_value()) {
    return AttachPrompt(model, stored.rows->rows(), stored.head,
                        HasMarkedRows(stored));
  }
  if (stored.prefix.keys.defined()) {
    return AttachPrefix(model, stored.prefix.keys, stored.prefix.values,
                        stored.head, stored.prefix.first_layer);
  }
  if (stored.adaptation.empty()) return AttachHead(model, stored.head);
  absl::StatusOr<Adaptation> adaptation =
      ResolveModules(stored.adaptation, *model.model);
  if (adaptation.ok()) {
    adaptation->merged = stored.manifest.method().lora().merged();
  }
  absl::StatusOr<AttachedPrompt> attached =
      adaptation.ok() ? AttachAdaptation(model, *adaptation, stored.head)
                      : adaptation.status();
  if (absl::IsInvalidArgument(attached.status())) {
    return MakeError(Reason::kModelMismatch,
                     ToStd(attached.status().message()));
  }
  return attached;
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
  if (stored.prefix.keys.defined()) {
    const at::Tensor& keys = stored.prefix.keys;
    const int64_t num_layers = model.config.NumCachedLayers();
    const int64_t end = stored.prefix.first_layer + keys.size(0);
    // An adapter from elsewhere does not say that it is for a range.
    const bool is_range =
        stored.manifest.method().prefix_tuning().num_layers() == keys.size(0);
    if ((is_range ? end > num_layers : end != num_layers) ||
        keys.size(1) != model.config.num_kv_heads ||
        keys.size(3) != model.config.head_dim) {
      return MakeError(
          Reason::kModelMismatch,
          Concat("the prefix is for layers ", stored.prefix.first_layer, " to ",
                 end - 1, " of ", keys.size(1), " heads of ", keys.size(3),
                 ", but model '", model.id, "' has ", num_layers, " layers of ",
                 model.config.num_kv_heads, " heads of ",
                 model.config.head_dim));
    }
  } else if (stored.rows.has_value() &&
             stored.rows->dim() != model.config.embedding_dim) {
    return MakeError(Reason::kModelMismatch,
                     Concat("the prompt's rows are ", stored.rows->dim(),
                            " wide, but model '", model.id, "' has width ",
                            model.config.embedding_dim));
  }
  if (stored.head.defined() && stored.head.weight.size(1) != model.config.dim) {
    return MakeError(Reason::kModelMismatch,
                     Concat("the prompt's head reads ",
                            stored.head.weight.size(1), " numbers, but model '",
                            model.id, "' gives ", model.config.dim));
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
