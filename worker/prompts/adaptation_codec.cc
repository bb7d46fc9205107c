#include "worker/prompts/adaptation_codec.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/parameter_table.h"
#include "worker/models/safetensors.h"
#include "worker/prompts/artifact_files.h"
#include "worker/prompts/peft_names.h"

namespace attune::worker {
namespace {

constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr std::string_view kDownSuffix = ".lora_A.weight";
constexpr std::string_view kUpSuffix = ".lora_B.weight";

// A module as PEFT's wrapper of the model names it: encoders are wrapped as
// their bare body.
std::string PeftModule(const std::string& canonical,
                       const ModelConfig& config) {
  if (config.kind != ModelKind::kEncoder) return canonical;
  return canonical.substr(canonical.find('.') + 1);
}

// One of the two matrices that `key` names, or null if it names neither.
at::Tensor* PlaceOf(const std::string& key, Adaptation& adaptation) {
  const bool down = key.ends_with(kDownSuffix);
  const std::string_view suffix = down ? kDownSuffix : kUpSuffix;
  if (!key.starts_with(kPeftPrefix) || !key.ends_with(suffix) ||
      key.size() <= kPeftPrefix.size() + suffix.size()) {
    return nullptr;
  }
  const std::string module = key.substr(
      kPeftPrefix.size(), key.size() - kPeftPrefix.size() - suffix.size());
  LowRankPair& pair = adaptation.low_rank[module];
  return down ? &pair.down : &pair.up;
}

absl::StatusOr<double> ReadScale(const std::string& text, int64_t& rank) {
  const nlohmann::json config =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object() || config.value("peft_type", "") != "LORA") {
    return CorruptArtifactFile(kAdapterConfigFile,
                               "it does not describe a LORA");
  }
  const auto r = config.find("r");
  const auto alpha = config.find("lora_alpha");
  if (r == config.end() || !r->is_number_integer() || r->get<int64_t>() < 1 ||
      alpha == config.end() || !alpha->is_number()) {
    return CorruptArtifactFile(
        kAdapterConfigFile,
        "'r' must be a positive integer and 'lora_alpha' a "
        "number");
  }
  rank = r->get<int64_t>();
  return alpha->get<double>() / static_cast<double>(rank);
}

}  // namespace

absl::Status EncodeLora(const Adaptation& adaptation,
                        const attune::v1::Lora& lora, const ModelConfig& config,
                        std::string_view base_model, Artifact& artifact) {
  std::set<std::string> targets;
  TensorMap tensors;
  for (const auto& [module, pair] : adaptation.low_rank) {
    const std::string name = PeftModule(module, config);
    targets.insert(NameInLayer(name));
    tensors[Concat(kPeftPrefix, name, kDownSuffix)] = pair.down.contiguous();
    tensors[Concat(kPeftPrefix, name, kUpSuffix)] = pair.up.contiguous();
  }
  // Where only some of the layers have an addition, PEFT finds the others by
  // these names, too, and begins theirs as nothing.
  const nlohmann::json adapter = {{"auto_mapping", nullptr},
                                  {"base_model_name_or_path", base_model},
                                  {"bias", "none"},
                                  {"fan_in_fan_out", config.family == "gpt2"},
                                  {"inference_mode", true},
                                  {"init_lora_weights", true},
                                  {"lora_alpha", lora.alpha()},
                                  {"lora_dropout", lora.dropout()},
                                  {"modules_to_save", nullptr},
                                  {"peft_type", "LORA"},
                                  {"peft_version", kPeftVersion},
                                  {"r", lora.rank()},
                                  {"revision", nullptr},
                                  {"target_modules", targets},
                                  {"task_type", PeftTaskType(config.kind)}};
  artifact.files[std::string(kAdapterConfigFile)] =
      adapter.dump(/*indent=*/2, ' ', /*ensure_ascii=*/true,
                   nlohmann::json::error_handler_t::replace);
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kAdapterModelFile)],
                          WriteSafetensors(tensors, {{"format", "pt"}}));
  return absl::OkStatus();
}

absl::StatusOr<Adaptation> DecodeLora(const Artifact& artifact) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string* config,
                          FindFile(artifact, kAdapterConfigFile));
  Adaptation adaptation;
  int64_t rank = 0;
  ATTUNE_ASSIGN_OR_RETURN(adaptation.low_rank_scale, ReadScale(*config, rank));
  ATTUNE_ASSIGN_OR_RETURN(const TensorMap tensors,
                          ReadTensors(artifact, kAdapterModelFile));
  for (const auto& [key, tensor] : tensors) {
    at::Tensor* place = PlaceOf(key, adaptation);
    if (place == nullptr) {
      return CorruptArtifactFile(
          kAdapterModelFile, Concat("tensor '", key, "' is none of a LORA"));
    }
    *place = tensor;
  }
  if (adaptation.low_rank.empty()) {
    return CorruptArtifactFile(kAdapterModelFile, "it holds no tensor");
  }
  for (const auto& [module, pair] : adaptation.low_rank) {
    if (!pair.down.defined() || !pair.up.defined() || pair.down.dim() != 2 ||
        pair.up.dim() != 2 || pair.down.size(0) != rank ||
        pair.up.size(1) != rank) {
      return CorruptArtifactFile(
          kAdapterModelFile,
          Concat("module '", module, "' must have lora_A [", rank,
                 ", in] and lora_B [out, ", rank, "]"));
    }
  }
  return adaptation;
}

absl::Status EncodeWeights(const Adaptation& adaptation, Artifact& artifact) {
  TensorMap tensors;
  for (const auto& [name, weight] : adaptation.weights) {
    tensors[name] = weight.contiguous();
  }
  ATTUNE_ASSIGN_OR_RETURN(artifact.files[std::string(kWeightsFile)],
                          WriteSafetensors(tensors, {{"format", "pt"}}));
  return absl::OkStatus();
}

absl::StatusOr<Adaptation> DecodeWeights(const Artifact& artifact) {
  Adaptation adaptation;
  ATTUNE_ASSIGN_OR_RETURN(adaptation.weights,
                          ReadTensors(artifact, kWeightsFile));
  if (adaptation.weights.empty()) {
    return CorruptArtifactFile(kWeightsFile, "it holds no tensor");
  }
  return adaptation;
}

absl::StatusOr<Adaptation> ResolveModules(Adaptation adaptation,
                                          const BaseModel& model) {
  const ParameterTable& table = model.parameters();
  std::map<std::string, LowRankPair> resolved;
  for (auto& [module, pair] : adaptation.low_rank) {
    const std::string in_body = table.body_prefix() + module;
    const bool known = table.Contains(module + ".weight");
    if (!known && !table.Contains(in_body + ".weight")) {
      return absl::InvalidArgumentError(
          Concat("the model has no linear layer '", module, "'"));
    }
    resolved[known ? module : in_body] = std::move(pair);
  }
  adaptation.low_rank = std::move(resolved);
  return adaptation;
}

}  // namespace attune::worker
