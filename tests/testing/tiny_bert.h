#ifndef ATTUNE_TESTS_TESTING_TINY_BERT_H_
#define ATTUNE_TESTS_TESTING_TINY_BERT_H_

#include <string>

#include "absl/status/status.h"

namespace attune {

// Writes a complete BERT encoder of a few kilobytes with random weights and the
// tokenizer of the tiny Llama into `directory`, which is created: 2 layers,
// width 32, 300 tokens, a context of 128, no head or the one that fills masks;
// its mask is "<|im_start|>". The same bytes each time.
absl::Status WriteTinyBert(const std::string& directory,
                           bool fills_masks = false);

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_TINY_BERT_H_
