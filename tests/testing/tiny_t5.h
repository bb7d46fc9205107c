#ifndef ATTUNE_TESTS_TESTING_TINY_T5_H_
#define ATTUNE_TESTS_TESTING_TINY_T5_H_

#include <string>

#include "absl/status/status.h"

namespace attune {

// Writes a complete T5 of a few kilobytes with random weights and the tokenizer
// of the tiny Llama into `directory`, which is created: 2 layers a side, width
// 32, 300 tokens, tied tables, gated feed-forward. The same bytes each time.
absl::Status WriteTinyT5(const std::string& directory);

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_TINY_T5_H_
