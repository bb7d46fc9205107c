#ifndef ATTUNE_WORKER_MODELS_TOKENIZER_BUILDER_H_
#define ATTUNE_WORKER_MODELS_TOKENIZER_BUILDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "worker/models/tokenizer_settings.h"

namespace attune::worker {

// Builds the tokenizer.json that transformers would build for a directory that
// has none, from what the tokenizer's family keeps instead: vocab.txt
// (WordPiece), vocab.json and merges.txt (byte-level BPE), spiece.model or
// sentencepiece.bpe.model (unigram). NotFound naming the files if they are
// missing, Unimplemented if the family is not known, DataLoss naming file and
// place for corrupt ones.
absl::StatusOr<std::string> BuildTokenizerJson(
    const std::string& directory, const TokenizerSettings& settings);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_TOKENIZER_BUILDER_H_
