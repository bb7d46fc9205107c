#ifndef ATTUNE_WORKER_MODELS_MODEL_CONFIG_H_
#define ATTUNE_WORKER_MODELS_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::worker {

// The shape of a base model, from its config.json. Plain data.
struct ModelConfig {
  std::string family;  // model_type: "llama"
  int64_t vocab_size = 0;
  int64_t dim = 0;  // hidden_size
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_dim = 0;         // intermediate_size
  int64_t context_length = 0;  // max_position_embeddings
  double norm_epsilon = 1e-5;
  double rope_theta = 10000.0;
  bool tie_embeddings = false;
  std::string checkpoint_dtype;  // dtype the config names, e.g. "bfloat16"
  // Special tokens; -1 or empty where the config names none.
  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_ids;
  int64_t pad_token_id = -1;

  // Number of weights, embeddings counted once when tied.
  int64_t NumParameters() const;
};

// Reads a config.json; older and newer spellings (`rope_theta` and
// `rope_parameters`, `torch_dtype` and `dtype`) mean the same. InvalidArgument
// naming the key for a missing, ill-typed or impossible value;
// Unimplemented naming the key for a family or an option (rotary scaling,
// biases, another activation) that no code here computes.
absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_CONFIG_H_
