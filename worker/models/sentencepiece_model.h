#ifndef ATTUNE_WORKER_MODELS_SENTENCEPIECE_MODEL_H_
#define ATTUNE_WORKER_MODELS_SENTENCEPIECE_MODEL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::worker {

// What a tokenizer needs of a file that the sentencepiece library wrote: a
// protobuf message sentencepiece.ModelProto.
struct SentencePieceModel {
  // Values as in the message.
  enum class PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  enum class Algorithm { kUnigram = 1, kBpe = 2, kWord = 3, kCharacter = 4 };

  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;
  };

  std::vector<Piece> pieces;  // by id
  Algorithm algorithm = Algorithm::kUnigram;
  // How text is normalised, compiled into a trie; empty: not at all.
  std::string precompiled_charsmap;
};

// Reads the bytes of the file `path`. DataLoss naming it and the piece or byte
// for what is no such message, and for scores that are no numbers.
absl::StatusOr<SentencePieceModel> ParseSentencePieceModel(
    std::string_view bytes, std::string_view path);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_SENTENCEPIECE_MODEL_H_
