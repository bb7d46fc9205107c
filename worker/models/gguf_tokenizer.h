#ifndef ATTUNE_WORKER_MODELS_GGUF_TOKENIZER_H_
#define ATTUNE_WORKER_MODELS_GGUF_TOKENIZER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "worker/models/gguf.h"

namespace attune::worker {

// The tokenizer files of a Hugging Face directory, as text.
struct TokenizerFiles {
  std::string tokenizer_json;
  std::string tokenizer_config_json;   // special tokens, chat template
  std::string generation_config_json;  // ids of the special tokens
  int64_t vocab_size = 0;
};

// Rebuilds them from a GGUF file's vocabulary. Two kinds are supported: byte-
// level BPE (`gpt2`) with the pre-tokenisers `gpt-2`, `llama-bpe` (Llama 3),
// `qwen2` and `smollm` (every digit alone), and sentencepiece's BPE (`llama`:
// Llama 2, Gemma), whose merges follow from the scores. Unimplemented names any
// other. DataLoss names a key that is missing or wrong.
absl::StatusOr<TokenizerFiles> ConvertTokenizer(const Gguf& gguf,
                                                int64_t context_length);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_TOKENIZER_H_
