#include "worker/models/model_config.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"

namespace attune::worker {
namespace {

using Json = nlohmann::json;

constexpr int kMaxConfigDepth = 16;
constexpr int64_t kMaxSize = int64_t{1} << 24;  // of any one dimension
constexpr int64_t kMaxLayers = 1024;

absl::Status BadKey(std::string_view key, std::string_view what) {
  return absl::InvalidArgumentError(Concat("config.json: '", key, "' ", what));
}

absl::Status UnsupportedKey(std::string_view key, const Json& value) {
  return absl::UnimplementedError(
      Concat("config.json: '", key, "' = ", value.dump(), " is not supported"));
}

// The value, or null where the key is missing or null.
const Json* Find(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

// A whole number in [1, max].
absl::StatusOr<int64_t> GetSize(const Json& config, const char* key,
                                int64_t max = kMaxSize) {
  const Json* value = Find(config, key);
  if (value == nullptr) return BadKey(key, "is missing");
  if (!value->is_number_integer()) return BadKey(key, "is not a whole number");
  const int64_t size = value->get<int64_t>();
  if (size < 1 || size > max) {
    return BadKey(key, Concat("= ", size, " is outside [1, ", max, "]"));
  }
  return size;
}

absl::StatusOr<int64_t> GetSizeOr(const Json& config, const char* key,
                                  int64_t otherwise) {
  if (Find(config, key) == nullptr) return otherwise;
  return GetSize(config, key);
}

// A finite number above zero.
absl::StatusOr<double> GetPositiveOr(const Json& config, const char* key,
                                     double otherwise) {
  const Json* value = Find(config, key);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) return BadKey(key, "is not a number");
  const double number = value->get<double>();
  if (!std::isfinite(number) || number <= 0) {
    return BadKey(key, Concat("= ", number, " is not above 0"));
  }
  return number;
}

absl::StatusOr<bool> GetBoolOr(const Json& config, const char* key,
                               bool otherwise) {
  const Json* value = Find(config, key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) return BadKey(key, "is not true or false");
  return value->get<bool>();
}

// One id or a list of ids, each inside the vocabulary.
absl::StatusOr<std::vector<int64_t>> GetTokenIds(const Json& config,
                                                 const char* key,
                                                 int64_t vocab_size) {
  const Json* value = Find(config, key);
  if (value == nullptr) return std::vector<int64_t>();
  const Json list = value->is_array() ? *value : Json::array({*value});
  std::vector<int64_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer()) return BadKey(key, "is not a token id");
    ids.push_back(id.get<int64_t>());
    if (ids.back() < 0 || ids.back() >= vocab_size) {
      return BadKey(key, Concat("= ", ids.back(),
                                " is outside the vocabulary of ", vocab_size));
    }
  }
  return ids;
}

absl::Status ReadTokens(const Json& config, ModelConfig& model) {
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<int64_t> bos,
      GetTokenIds(config, "bos_token_id", model.vocab_size));
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<int64_t> pad,
      GetTokenIds(config, "pad_token_id", model.vocab_size));
  ATTUNE_ASSIGN_OR_RETURN(
      model.eos_token_ids,
      GetTokenIds(config, "eos_token_id", model.vocab_size));
  if (!bos.empty()) model.bos_token_id = bos[0];
  if (!pad.empty()) model.pad_token_id = pad[0];
  return absl::OkStatus();
}

absl::Status ReadShape(const Json& config, ModelConfig& model) {
  ATTUNE_ASSIGN_OR_RETURN(model.vocab_size, GetSize(config, "vocab_size"));
  ATTUNE_ASSIGN_OR_RETURN(model.dim, GetSize(config, "hidden_size"));
  ATTUNE_ASSIGN_OR_RETURN(model.num_layers,
                          GetSize(config, "num_hidden_layers", kMaxLayers));
  ATTUNE_ASSIGN_OR_RETURN(model.num_heads,
                          GetSize(config, "num_attention_heads"));
  ATTUNE_ASSIGN_OR_RETURN(
      model.num_kv_heads,
      GetSizeOr(config, "num_key_value_heads", model.num_heads));
  ATTUNE_ASSIGN_OR_RETURN(model.ffn_dim, GetSize(config, "intermediate_size"));
  ATTUNE_ASSIGN_OR_RETURN(model.context_length,
                          GetSize(config, "max_position_embeddings"));
  if (Find(config, "head_dim") == nullptr && model.dim % model.num_heads != 0) {
    return BadKey("num_attention_heads",
                  Concat("= ", model.num_heads, " does not divide hidden_size ",
                         model.dim));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      model.head_dim,
      GetSizeOr(config, "head_dim", model.dim / model.num_heads));
  if (model.head_dim % 2 != 0) {
    return BadKey("head_dim", Concat("= ", model.head_dim,
                                     " is odd; rotary positions pair "
                                     "its elements"));
  }
  // All heads together are one dimension of a weight too.
  if (model.head_dim * model.num_heads > kMaxSize) {
    return BadKey("head_dim",
                  Concat("= ", model.head_dim, " times ", model.num_heads,
                         " heads is beyond ", kMaxSize));
  }
  if (model.num_heads % model.num_kv_heads != 0) {
    return BadKey(
        "num_key_value_heads",
        Concat("= ", model.num_kv_heads,
               " does not divide num_attention_heads ", model.num_heads));
  }
  return absl::OkStatus();
}

// `rope_theta` at the top (older files) or inside `rope_parameters` (newer).
absl::Status ReadRotary(const Json& config, ModelConfig& model) {
  const Json* scaling = Find(config, "rope_scaling");
  const Json* parameters = Find(config, "rope_parameters");
  for (const auto& [key, value] : {std::pair{"rope_scaling", scaling},
                                   std::pair{"rope_parameters", parameters}}) {
    if (value == nullptr) continue;
    if (!value->is_object()) return BadKey(key, "is not an object");
    for (const char* type_key : {"rope_type", "type"}) {
      const Json* type = Find(*value, type_key);
      if (type != nullptr && *type != "default") {
        return UnsupportedKey(Concat(key, ".", type_key), *type);
      }
    }
  }
  for (const Json* object : {&config, parameters}) {
    if (object == nullptr) continue;
    const Json* partial = Find(*object, "partial_rotary_factor");
    if (partial != nullptr && *partial != 1.0) {
      return UnsupportedKey("partial_rotary_factor", *partial);
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(model.rope_theta,
                          GetPositiveOr(config, "rope_theta", 10000.0));
  if (parameters != nullptr) {
    ATTUNE_ASSIGN_OR_RETURN(
        model.rope_theta,
        GetPositiveOr(*parameters, "rope_theta", model.rope_theta));
  }
  return absl::OkStatus();
}

// Options that would change the arithmetic and that no code here computes.
absl::Status RefuseUnsupported(const Json& config) {
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    ATTUNE_ASSIGN_OR_RETURN(bool set, GetBoolOr(config, key, false));
    if (set) return UnsupportedKey(key, Json(true));
  }
  const Json* activation = Find(config, "hidden_act");
  if (activation != nullptr && *activation != "silu") {
    return UnsupportedKey("hidden_act", *activation);
  }
  const Json* quantization = Find(config, "quantization_config");
  if (quantization != nullptr) {
    return UnsupportedKey("quantization_config", *quantization);
  }
  return absl::OkStatus();
}

}  // namespace

int64_t ModelConfig::NumParameters() const {
  const int64_t attention = 2 * dim * head_dim * (num_heads + num_kv_heads);
  const int64_t layer = attention + 3 * dim * ffn_dim + 2 * dim;
  const int64_t tables = (tie_embeddings ? 1 : 2) * vocab_size * dim;
  return num_layers * layer + tables + dim;
}

absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json) {
  ATTUNE_ASSIGN_OR_RETURN(Json config, ParseJson(json, kMaxConfigDepth));
  if (!config.is_object()) {
    return absl::InvalidArgumentError("config.json: not an object");
  }
  const Json* family = Find(config, "model_type");
  if (family == nullptr || !family->is_string()) {
    return BadKey("model_type", "is missing or no string");
  }
  if (*family != "llama") return UnsupportedKey("model_type", *family);
  ModelConfig model;
  model.family = family->get<std::string>();
  ATTUNE_RETURN_IF_ERROR(ReadShape(config, model));
  ATTUNE_RETURN_IF_ERROR(RefuseUnsupported(config));
  ATTUNE_RETURN_IF_ERROR(ReadRotary(config, model));
  ATTUNE_ASSIGN_OR_RETURN(model.norm_epsilon,
                          GetPositiveOr(config, "rms_norm_eps", 1e-6));
  ATTUNE_ASSIGN_OR_RETURN(model.tie_embeddings,
                          GetBoolOr(config, "tie_word_embeddings", false));
  ATTUNE_RETURN_IF_ERROR(ReadTokens(config, model));
  for (const char* key : {"torch_dtype", "dtype"}) {
    const Json* dtype = Find(config, key);
    if (dtype == nullptr) continue;
    if (!dtype->is_string()) return BadKey(key, "is not a string");
    model.checkpoint_dtype = dtype->get<std::string>();
  }
  return model;
}

}  // namespace attune::worker
