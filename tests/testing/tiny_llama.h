#ifndef ATTUNE_TESTS_TESTING_TINY_LLAMA_H_
#define ATTUNE_TESTS_TESTING_TINY_LLAMA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

// A complete Llama model of a few kilobytes with random weights: for tests that
// need a base model but not its wisdom.
namespace attune {

// The defaults: 2 layers, width 32, 4 heads over 2 key heads, 300 tokens.
struct TinyLlamaOptions {
  uint32_t seed = 1;  // of the weights
  bool tie_embeddings = true;
  bool chat_template = true;
  int64_t context_length = 256;
  int64_t num_layers = 2;
  // Files the weights are split into; more than one makes an index.
  int num_shards = 1;
};

// Writes config.json, tokenizer.json, tokenizer_config.json and the weights
// into `directory`, which is created. The same options give the same bytes.
absl::Status WriteTinyLlama(const std::string& directory,
                            const TinyLlamaOptions& options = {});

// The tokenizer.json of that model: byte-level BPE with all 256 bytes, 41
// merges of common English and three special tokens: <|endoftext|> (id 0),
// <|im_start|> (1) and <|im_end|> (2).
std::string TinyTokenizerJson();

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_TINY_LLAMA_H_
