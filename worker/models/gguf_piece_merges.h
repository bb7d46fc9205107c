#ifndef ATTUNE_WORKER_MODELS_GGUF_PIECE_MERGES_H_
#define ATTUNE_WORKER_MODELS_GGUF_PIECE_MERGES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::worker {

// llama.cpp's types of tokens.
inline constexpr int64_t kGgufTokenNormal = 1;
inline constexpr int64_t kGgufTokenUnknown = 2;
inline constexpr int64_t kGgufTokenControl = 3;
inline constexpr int64_t kGgufTokenUserDefined = 4;
inline constexpr int64_t kGgufTokenByte = 6;

// Ids of two pieces that become one.
struct GgufPieceMerge {
  size_t left;
  size_t right;
};

// The merges of sentencepiece's BPE, which keeps a score of every piece
// instead: every two pieces that make a third one, in the order in which
// transformers derives them: by the score of what they make, the longer left
// part first. Only normal and user-defined tokens are made out of text, and
// those that a user defined before all others. One type and finite score each.
// DataLoss naming a token that is too long to be cut everywhere.
absl::StatusOr<std::vector<GgufPieceMerge>> MergesOfScores(
    const std::vector<std::string>& tokens, const std::vector<int64_t>& types,
    const std::vector<double>& scores, std::string_view origin);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_PIECE_MERGES_H_
