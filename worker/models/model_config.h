#ifndef ATTUNE_WORKER_MODELS_MODEL_CONFIG_H_
#define ATTUNE_WORKER_MODELS_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/activation.h"

namespace attune::worker {

enum class ModelKind { kCausal, kEncoder, kEncoderDecoder };

// What a checkpoint brings on top of an encoder, by transformers' class.
enum class EncoderHead {
  kNone,
  kMaskedLanguage,  // token logits at every row
  kSequence,        // class logits of the whole input
  kToken,           // class logits at every row
  kDiscriminator,   // one logit at every row: whether the token was replaced
  kSpan,            // logits of the answer's first and last row
};

// "causal", "encoder", "encoder-decoder".
std::string_view ModelKindName(ModelKind kind);

// How positions rotate queries and keys.
struct RotaryConfig {
  enum class Scaling { kNone, kLinear, kLlama3 };

  double theta = 10000.0;
  double fraction =
      1.0;  // of a head's elements that is rotated, from the first
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  // Of Llama 3's scaling.
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  int64_t original_context = 0;
};

// The shape of a base model, from its config.json. Plain data. The first part
// is filled for every architecture, the second by those that have the feature.
struct ModelConfig {
  std::string family;  // model_type: "llama"
  ModelKind kind = ModelKind::kCausal;
  int64_t vocab_size = 0;
  int64_t embedding_dim =
      0;            // width of the rows that go in, so of soft prompts
  int64_t dim = 0;  // width of the hidden states that come out
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn_dim = 0;
  int64_t context_length = 0;
  double norm_epsilon = 1e-5;
  bool tie_embeddings = false;
  std::string checkpoint_dtype;  // dtype the config names, e.g. "bfloat16"
  // Special tokens; -1 or empty where the config names none.
  int64_t bos_token_id = -1;
  std::vector<int64_t> eos_token_ids;
  int64_t pad_token_id = -1;

  Activation activation = Activation::kSilu;
  RotaryConfig rotary;
  double query_scale = 0;    // of scores; 0: head_dim^-0.5
  bool qkv_bias = false;     // of the query, key and value projections
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;  // queries and keys are normalised per head
  // Layers with a window see only so many positions; 0: there are none.
  int64_t sliding_window = 0;
  std::vector<bool> layer_has_window;  // per layer, empty without a window
  RotaryConfig window_rotary;          // of layers with a window (Gemma 3)
  bool parallel_residual = false;      // GPT-NeoX
  bool norm_before = true;             // OPT: norms before the blocks
  int64_t layer_dim = 0;  // OPT: width between its two projections; 0: dim

  // Encoders.
  int64_t position_offset = 0;  // RoBERTa: its positions begin behind padding
  int64_t num_token_types = 0;  // rows of the type table; 0: there is none
  EncoderHead head = EncoderHead::kNone;
  int64_t num_labels = 0;  // of a sequence or token head

  // Encoder-decoders. num_layers are the encoder's, context_length holds for
  // either side.
  int64_t num_decoder_layers = 0;
  int64_t decoder_start_token_id = -1;  // every output begins with it
  // Buckets of the relative position bias, and the distance from which on all
  // share the last one.
  int64_t num_position_buckets = 0;
  int64_t max_position_distance = 0;
  bool gated_mlp = false;  // where a family has both forms
  double head_scale = 1;   // of hidden states before the output head

  // Layers whose keys and values a cache holds: those of the decoder.
  int64_t NumCachedLayers() const {
    return kind == ModelKind::kEncoderDecoder ? num_decoder_layers : num_layers;
  }
  bool LayerHasWindow(int64_t layer) const {
    return !layer_has_window.empty() && layer_has_window[layer];
  }
};

// Reads a config.json; older and newer spellings (`rope_theta` and
// `rope_parameters`, `torch_dtype` and `dtype`) mean the same. InvalidArgument
// naming the key for a missing, ill-typed or impossible value;
// Unimplemented naming the key for a family or an option (rotary scaling,
// biases, another activation) that no code here computes.
absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MODEL_CONFIG_H_
