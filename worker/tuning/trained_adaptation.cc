#include "worker/tuning/trained_adaptation.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "proto/cc/artifact.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/parameter_table.h"
#include "worker/tasks/seeded_random.h"

namespace attune::worker {
namespace {

using attune::v1::Lora;
using attune::v1::TuningMethod;

constexpr std::string_view kWeightsPrefix = "weights.";
constexpr std::string_view kLoraPrefix = "lora.";
constexpr std::string_view kDown = ".down";
constexpr std::string_view kUp = ".up";
constexpr int kDefaultRank = 8;
constexpr int kMaxRank = 256;
constexpr double kDefaultAlpha = 16;
constexpr double kMaxAlpha = 10'000;
constexpr int kDefaultTopLayers = 2;
constexpr int kMaxTargets = 64;
// Keeps the noise of additions apart from the seed's other uses.
constexpr uint64_t kLoraStream = 200;

const ParameterTable& TableOf(const LoadedModel& model) {
  return model.model->parameters();
}

bool IsOfAttention(const std::string& module) {
  const std::string lower = absl::AsciiStrToLower(module);
  return lower.find("attn") != lower.npos ||
         lower.find("attention") != lower.npos;
}

// Whether `module` is meant by its whole name or its last parts.
bool IsNamed(const std::string& module, const std::string& target) {
  return module == target || module.ends_with("." + target);
}

// The linear layers inside the model's layers that `target` means.
std::vector<std::string> ModulesOf(const LoadedModel& model,
                                   const std::string& target) {
  std::vector<std::string> modules;
  for (const std::string& module : TableOf(model).Modules()) {
    if (LayerOf(module).has_value() && IsNamed(module, target)) {
      modules.push_back(module);
    }
  }
  return modules;
}

std::vector<std::string> LayerModules(const LoadedModel& model) {
  std::vector<std::string> names;
  for (const std::string& module : TableOf(model).Modules()) {
    if (!LayerOf(module).has_value()) continue;
    const std::string name = NameInLayer(module);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  return names;
}

absl::Status CheckTargets(const LoadedModel& model, const Lora& lora) {
  for (int i = 0; i < lora.target_modules_size(); ++i) {
    const std::string path = Concat("spec.method.lora.target_modules[", i, "]");
    const std::vector<std::string> modules =
        ModulesOf(model, lora.target_modules(i));
    if (modules.empty()) {
      return InvalidField(
          path, Concat("no layer of '", model.info.id, "' has a linear layer '",
                       lora.target_modules(i), "'; there are ",
                       absl::StrJoin(LayerModules(model), ", ")));
    }
    for (const std::string& module : modules) {
      const at::Tensor& weight =
          TableOf(model).parameters().at(module + ".weight").stored;
      if (std::min(weight.size(0), weight.size(1)) < lora.rank()) {
        return InvalidField(
            "spec.method.lora.rank",
            Concat("is ", lora.rank(), ", but '", module, "' is only ",
                   weight.size(0), " x ", weight.size(1)));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ResolveLora(const LoadedModel& model, Lora& lora) {
  if (!lora.has_rank()) lora.set_rank(kDefaultRank);
  if (!lora.has_alpha()) lora.set_alpha(kDefaultAlpha);
  if (lora.rank() < 1 || lora.rank() > kMaxRank) {
    return InvalidField("spec.method.lora.rank", "must be 1 to 256");
  }
  if (!std::isfinite(lora.alpha()) || lora.alpha() <= 0 ||
      lora.alpha() > kMaxAlpha) {
    return InvalidField("spec.method.lora.alpha",
                        "must be above 0 and at most 10,000");
  }
  if (!(lora.dropout() >= 0 && lora.dropout() < 1)) {
    return InvalidField("spec.method.lora.dropout",
                        "must be at least 0 and below 1");
  }
  if (lora.target_modules_size() > kMaxTargets) {
    return InvalidField("spec.method.lora.target_modules",
                        "must have at most 64 names");
  }
  if (lora.target_modules().empty()) {
    for (const std::string& name : LayerModules(model)) {
      if (IsOfAttention(name)) lora.add_target_modules(name);
    }
    // OPT and others would have none if a family named attention otherwise.
    if (lora.target_modules().empty()) {
      return InvalidField("spec.method.lora.target_modules",
                          Concat("must be set for '", model.info.id,
                                 "': its linear layers are ",
                                 absl::StrJoin(LayerModules(model), ", ")));
    }
  }
  return CheckTargets(model, lora);
}

int64_t NumTrainableLayers(const LoadedModel& model) {
  const ModelConfig& config = model.info.config;
  return config.kind == ModelKind::kEncoderDecoder ? config.num_decoder_layers
                                                   : config.num_layers;
}

// Whether the weight takes part in what tasks compute: no head of an encoder's
// checkpoint, no pooler, and nothing through which no gradient comes back.
bool IsTrainable(const LoadedModel& model, const std::string& name) {
  if (name.find("relative_attention_bias") != name.npos) return false;
  return model.info.config.kind != ModelKind::kEncoder ||
         (name.starts_with(TableOf(model).body_prefix()) &&
          name.find("pooler.") == name.npos);
}

bool IsTrainedBy(const LoadedModel& model, const TuningMethod& method,
                 const std::string& name) {
  if (!IsTrainable(model, name)) return false;
  switch (method.method_case()) {
    case TuningMethod::kAllParameters:
      return true;
    case TuningMethod::kBiasOnly:
      return name.ends_with(".bias");
    case TuningMethod::kTopLayers: {
      const std::optional<int64_t> layer = LayerOf(name);
      const bool decodes =
          model.info.config.kind != ModelKind::kEncoderDecoder ||
          name.starts_with("decoder.");
      return decodes && layer.has_value() &&
             *layer >=
                 NumTrainableLayers(model) - method.top_layers().num_layers();
    }
    default:
      return false;
  }
}

std::vector<std::string> TrainedWeights(const LoadedModel& model,
                                        const TuningMethod& method) {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : TableOf(model).parameters()) {
    if (IsTrainedBy(model, method, name)) names.push_back(name);
  }
  return names;
}

absl::Status CheckWeights(const LoadedModel& model,
                          const TuningMethod& method) {
  int64_t bytes = 0;
  for (const std::string& name : TrainedWeights(model, method)) {
    bytes += TableOf(model).parameters().at(name).stored.numel() *
             static_cast<int64_t>(sizeof(float));
  }
  if (bytes == 0) {
    return MakeError(Reason::kIllegalState,
                     Concat("'", model.info.id,
                            "' has no biases to train: choose lora, or another "
                            "method"));
  }
  if (bytes > kMaxArtifactBytes) {
    return MakeError(
        Reason::kIllegalState,
        Concat("the trained weights of '", model.info.id, "' take ",
               bytes >> 20, " MiB, and a version holds at most ",
               kMaxArtifactBytes >> 20,
               ": choose lora, or train fewer layers with top_layers"));
  }
  return absl::OkStatus();
}

at::Tensor EvenNoise(int64_t rows, int64_t columns, SeededRandom& random) {
  const double bound = 1 / std::sqrt(static_cast<double>(columns));
  at::Tensor noise = at::empty({rows, columns}, at::kFloat);
  float* next = noise.mutable_data_ptr<float>();
  for (int64_t i = 0; i < noise.numel(); ++i) {
    next[i] = static_cast<float>((2 * random.Uniform() - 1) * bound);
  }
  return noise;
}

}  // namespace

bool AdaptsModel(const TuningMethod& method) {
  switch (method.method_case()) {
    case TuningMethod::kLora:
    case TuningMethod::kTopLayers:
    case TuningMethod::kAllParameters:
    case TuningMethod::kBiasOnly:
      return true;
    default:
      return false;
  }
}

absl::Status ResolveAdaptation(const LoadedModel& model, TuningMethod& method) {
  if (!AdaptsModel(method)) return absl::OkStatus();
  if (method.has_lora()) return ResolveLora(model, *method.mutable_lora());
  if (method.has_top_layers()) {
    attune::v1::TopLayers& top = *method.mutable_top_layers();
    const int64_t most = NumTrainableLayers(model);
    if (!top.has_num_layers()) {
      top.set_num_layers(
          static_cast<int32_t>(std::min<int64_t>(kDefaultTopLayers, most)));
    }
    if (top.num_layers() < 1 || top.num_layers() > most) {
      return InvalidField(
          "spec.method.top_layers.num_layers",
          Concat("must be 1 to ", most, " for '", model.info.id, "'"));
    }
  }
  return CheckWeights(model, method);
}

TensorMap MakeInitialAdaptation(const LoadedModel& model,
                                const TuningMethod& method, uint64_t seed) {
  TensorMap values;
  for (const std::string& name : TrainedWeights(model, method)) {
    values[Concat(kWeightsPrefix, name)] = TableOf(model).Value(name);
  }
  uint64_t stream = kLoraStream;
  for (const std::string& target : method.lora().target_modules()) {
    for (const std::string& module : ModulesOf(model, target)) {
      const at::Tensor& weight =
          TableOf(model).parameters().at(module + ".weight").stored;
      const int64_t rank = method.lora().rank();
      SeededRandom random(seed, stream++);
      values[Concat(kLoraPrefix, module, kDown)] =
          EvenNoise(rank, weight.size(1), random);
      values[Concat(kLoraPrefix, module, kUp)] =
          at::zeros({weight.size(0), rank}, at::kFloat);
    }
  }
  return values;
}

Adaptation AdaptationOf(const TuningMethod& method, const TensorMap& values) {
  Adaptation adaptation;
  for (const auto& [name, value] : values) {
    if (name.starts_with(kWeightsPrefix)) {
      adaptation.weights[name.substr(kWeightsPrefix.size())] = value;
    } else if (name.starts_with(kLoraPrefix)) {
      const bool down = name.ends_with(kDown);
      const size_t end = name.size() - (down ? kDown : kUp).size();
      LowRankPair& pair = adaptation.low_rank[name.substr(
          kLoraPrefix.size(), end - kLoraPrefix.size())];
      (down ? pair.down : pair.up) = value;
    }
  }
  if (method.has_lora()) {
    adaptation.low_rank_scale = method.lora().alpha() / method.lora().rank();
  }
  return adaptation;
}

}  // namespace attune::worker
