#ifndef ATTUNE_WORKER_FORWARD_ROWS_H_
#define ATTUNE_WORKER_FORWARD_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model_config.h"

namespace attune::worker {

// One input of attune-worker forward as token ids, all of the model's
// vocabulary.
struct ForwardRow {
  std::vector<int64_t> input_ids;
  // One per id, for encoders; empty: all 0.
  std::vector<int64_t> token_types;
  std::vector<int64_t> decoder_input_ids;  // of encoder-decoders only
};

// What the rows of a file have to fit.
struct ForwardRowRules {
  std::string model_dir;  // of the tokenizer, which only texts need
  ModelConfig config;
  // What a row has left of the context beside a prompt.
  int64_t max_tokens = 0;
  int64_t max_decoder_tokens = 0;
};

// Reads a file of JSON objects, one per line: {"text": ...} with special tokens
// added, {"text": ..., "text_pair": ...} or {"input_ids": [...]}, each perhaps
// with "token_type_ids" (encoders) or "decoder_input_ids" (encoder-decoders;
// without them the decoder gets its start token alone). Other fields do not
// count. NotFound for a missing file; InvalidArgument naming file and line for
// a row that is wrong, empty or too long.
absl::StatusOr<std::vector<ForwardRow>> ReadForwardRows(
    const std::string& path, const ForwardRowRules& rules);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_FORWARD_ROWS_H_
