#include "worker/models/config_reader.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"

namespace attune::worker {
namespace {

constexpr int kMaxConfigDepth = 16;

}  // namespace

ConfigReader::ConfigReader(std::string path,
                           std::shared_ptr<const nlohmann::json> object)
    : path_(std::move(path)), object_(std::move(object)) {}

absl::StatusOr<ConfigReader> ConfigReader::Parse(std::string_view json) {
  absl::StatusOr<nlohmann::json> config = ParseJson(json, kMaxConfigDepth);
  if (!config.ok()) return WithContext(config.status(), "config.json");
  if (!config->is_object()) {
    return absl::InvalidArgumentError("config.json: not an object");
  }
  ConfigReader reader(
      "", std::make_shared<const nlohmann::json>(*std::move(config)));
  const nlohmann::json* family = reader.Find("model_type");
  if (family == nullptr || !family->is_string()) {
    return reader.Bad("model_type", "is missing or no string");
  }
  reader.family_ = family->get<std::string>();
  return reader;
}

const nlohmann::json* ConfigReader::Find(const char* key) const {
  const auto it = object_->find(key);
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

std::string ConfigReader::Path(std::string_view key) const {
  return Concat(path_, key);
}

bool ConfigReader::Has(const char* key) const { return Find(key) != nullptr; }

absl::Status ConfigReader::Bad(std::string_view key,
                               std::string_view what) const {
  return absl::InvalidArgumentError(
      Concat("config.json: '", Path(key), "' ", what));
}

absl::Status ConfigReader::Unsupported(const char* key) const {
  const nlohmann::json* value = Find(key);
  return absl::UnimplementedError(Concat(
      "config.json: '", Path(key),
      "' = ", value == nullptr ? "null" : value->dump(), " is not supported"));
}

absl::StatusOr<int64_t> ConfigReader::Size(const char* key, int64_t max) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return Bad(key, "is missing");
  if (!value->is_number_integer()) return Bad(key, "is not a whole number");
  const int64_t size = value->get<int64_t>();
  if (size < 1 || size > max) {
    return Bad(key, Concat("= ", size, " is outside [1, ", max, "]"));
  }
  return size;
}

absl::StatusOr<int64_t> ConfigReader::SizeOr(const char* key, int64_t otherwise,
                                             int64_t max) const {
  if (!Has(key)) return otherwise;
  return Size(key, max);
}

absl::StatusOr<double> ConfigReader::PositiveOr(const char* key,
                                                double otherwise) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) return Bad(key, "is not a number");
  const double number = value->get<double>();
  if (!std::isfinite(number) || number <= 0) {
    return Bad(key, Concat("= ", number, " is not above 0"));
  }
  return number;
}

absl::StatusOr<bool> ConfigReader::BoolOr(const char* key,
                                          bool otherwise) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) return Bad(key, "is not true or false");
  return value->get<bool>();
}

absl::StatusOr<std::string> ConfigReader::TextOr(
    const char* key, std::string_view otherwise) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) return Bad(key, "is not a string");
  return value->get<std::string>();
}

absl::StatusOr<std::vector<std::string>> ConfigReader::Texts(
    const char* key) const {
  std::vector<std::string> texts;
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return texts;
  if (!value->is_array()) return Bad(key, "is not a list");
  for (const nlohmann::json& text : *value) {
    if (!text.is_string()) return Bad(key, "holds something but strings");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

absl::StatusOr<Activation> ConfigReader::ActivationOr(
    const char* key, Activation otherwise) const {
  if (!Has(key)) return otherwise;
  ATTUNE_ASSIGN_OR_RETURN(const std::string name, TextOr(key, ""));
  const std::optional<Activation> activation = FindActivation(name);
  if (!activation.has_value()) return Unsupported(key);
  return *activation;
}

absl::StatusOr<int64_t> ConfigReader::NumKeys(const char* key) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return 0;
  if (!value->is_object()) return Bad(key, "is not an object");
  return static_cast<int64_t>(value->size());
}

absl::StatusOr<ConfigReader> ConfigReader::Object(const char* key) const {
  const nlohmann::json* value = Find(key);
  if (value != nullptr && !value->is_object()) {
    return Bad(key, "is not an object");
  }
  ConfigReader reader(
      Path(Concat(key, ".")),
      std::make_shared<const nlohmann::json>(
          value == nullptr ? nlohmann::json::object() : *value));
  reader.family_ = family_;
  return reader;
}

absl::Status ConfigReader::Refuse(
    std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    const nlohmann::json* value = Find(key);
    if (value != nullptr && *value != false) return Unsupported(key);
  }
  return absl::OkStatus();
}

// One id or a list of ids, each inside the vocabulary.
absl::StatusOr<std::vector<int64_t>> ConfigReader::TokenIds(
    const char* key, int64_t vocab_size) const {
  const nlohmann::json* value = Find(key);
  if (value == nullptr) return std::vector<int64_t>();
  const nlohmann::json list =
      value->is_array() ? *value : nlohmann::json::array({*value});
  std::vector<int64_t> ids;
  for (const nlohmann::json& id : list) {
    if (!id.is_number_integer()) return Bad(key, "is not a token id");
    ids.push_back(id.get<int64_t>());
    if (ids.back() < 0 || ids.back() >= vocab_size) {
      return Bad(key, Concat("= ", ids.back(), " is outside the vocabulary of ",
                             vocab_size));
    }
  }
  return ids;
}

absl::StatusOr<int64_t> ConfigReader::TokenIdOr(const char* key,
                                                int64_t vocab_size,
                                                int64_t otherwise) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> ids,
                          TokenIds(key, vocab_size));
  return ids.empty() ? otherwise : ids[0];
}

absl::Status ConfigReader::ReadCommon(ModelConfig& config) const {
  config.family = family_;
  ATTUNE_ASSIGN_OR_RETURN(config.vocab_size, Size("vocab_size"));
  ATTUNE_ASSIGN_OR_RETURN(config.bos_token_id,
                          TokenIdOr("bos_token_id", config.vocab_size, -1));
  ATTUNE_ASSIGN_OR_RETURN(config.pad_token_id,
                          TokenIdOr("pad_token_id", config.vocab_size, -1));
  ATTUNE_ASSIGN_OR_RETURN(config.eos_token_ids,
                          TokenIds("eos_token_id", config.vocab_size));
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (!Has(key)) continue;
    ATTUNE_ASSIGN_OR_RETURN(config.checkpoint_dtype, TextOr(key, ""));
  }
  return Refuse({"quantization_config"});
}

absl::Status ConfigReader::ReadScaling(const ConfigReader& top,
                                       RotaryConfig& rotary) const {
  const char* key = Has("rope_type") ? "rope_type" : "type";
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, TextOr(key, "default"));
  if (type == "default") return absl::OkStatus();
  if (type != "linear" && type != "llama3") return Unsupported(key);
  if (!Has("factor")) return Bad("factor", "is missing");
  ATTUNE_ASSIGN_OR_RETURN(rotary.factor, PositiveOr("factor", 1));
  if (type == "linear") {
    rotary.scaling = RotaryConfig::Scaling::kLinear;
    return absl::OkStatus();
  }
  rotary.scaling = RotaryConfig::Scaling::kLlama3;
  ATTUNE_ASSIGN_OR_RETURN(rotary.low_frequency_factor,
                          PositiveOr("low_freq_factor", 1));
  ATTUNE_ASSIGN_OR_RETURN(rotary.high_frequency_factor,
                          PositiveOr("high_freq_factor", 4));
  if (rotary.high_frequency_factor <= rotary.low_frequency_factor) {
    return Bad("high_freq_factor", "is not above low_freq_factor");
  }
  const ConfigReader& place =
      Has("original_max_position_embeddings") ? *this : top;
  ATTUNE_ASSIGN_OR_RETURN(rotary.original_context,
                          place.Size("original_max_position_embeddings"));
  return absl::OkStatus();
}

absl::StatusOr<RotaryConfig> ConfigReader::Rotary(
    double default_theta, const char* layer_type) const {
  RotaryConfig rotary;
  ATTUNE_ASSIGN_OR_RETURN(rotary.theta,
                          PositiveOr("rope_theta", default_theta));
  ATTUNE_ASSIGN_OR_RETURN(rotary.fraction,
                          PositiveOr("partial_rotary_factor", 1.0));
  // Newer files have everything in rope_parameters, older ones rope_theta at
  // the top and the rest in rope_scaling.
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!Has(key)) continue;
    ATTUNE_ASSIGN_OR_RETURN(ConfigReader object, Object(key));
    if (layer_type != nullptr && object.Has(layer_type)) {
      ATTUNE_ASSIGN_OR_RETURN(object, object.Object(layer_type));
    }
    ATTUNE_ASSIGN_OR_RETURN(rotary.theta,
                            object.PositiveOr("rope_theta", rotary.theta));
    ATTUNE_ASSIGN_OR_RETURN(
        rotary.fraction,
        object.PositiveOr("partial_rotary_factor", rotary.fraction));
    ATTUNE_RETURN_IF_ERROR(object.ReadScaling(*this, rotary));
  }
  if (rotary.fraction > 1) {
    return Bad("partial_rotary_factor",
               Concat("= ", rotary.fraction, " is above 1"));
  }
  return rotary;
}

absl::Status ConfigReader::CheckHeads(ModelConfig& config) const {
  if (config.head_dim == 0) {
    const int64_t dim = config.layer_dim > 0 ? config.layer_dim : config.dim;
    if (dim % config.num_heads != 0) {
      return Bad(
          "num_attention_heads",
          Concat("= ", config.num_heads, " does not divide hidden_size ", dim));
    }
    config.head_dim = dim / config.num_heads;
  }
  // All heads together are one dimension of a weight too.
  if (config.head_dim * config.num_heads > kMaxSize) {
    return Bad("head_dim",
               Concat("= ", config.head_dim, " times ", config.num_heads,
                      " heads is beyond ", kMaxSize));
  }
  if (config.num_heads % config.num_kv_heads != 0) {
    return Bad(
        "num_key_value_heads",
        Concat("= ", config.num_kv_heads,
               " does not divide num_attention_heads ", config.num_heads));
  }
  return absl::OkStatus();
}

absl::Status ConfigReader::CheckRotaryDim(int64_t rotary_dim) const {
  if (rotary_dim % 2 == 0 && rotary_dim > 0) return absl::OkStatus();
  return Bad("head_dim", Concat("= ", rotary_dim,
                                " is odd; rotary positions pair its elements"));
}

absl::StatusOr<std::vector<bool>> ConfigReader::WindowLayers(
    int64_t num_layers, int64_t first) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> types,
                          Texts("layer_types"));
  std::vector<bool> has_window;
  if (types.empty()) {
    for (int64_t i = 0; i < num_layers; ++i) has_window.push_back(i >= first);
    return has_window;
  }
  if (static_cast<int64_t>(types.size()) != num_layers) {
    return Bad("layer_types",
               Concat("names ", types.size(), " layers of ", num_layers));
  }
  for (const std::string& type : types) {
    if (type != "sliding_attention" && type != "full_attention") {
      return Unsupported("layer_types");
    }
    has_window.push_back(type == "sliding_attention");
  }
  return has_window;
}

}  // namespace attune::worker
