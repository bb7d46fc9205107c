#ifndef ATTUNE_WORKER_MODELS_DECODER_ROWS_H_
#define ATTUNE_WORKER_MODELS_DECODER_ROWS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_config.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// What a segment of the decoder attends to across: rows of the encoder's
// output, or the keys and values made of them once.
struct DecoderMemory {
  int64_t begin = 0;  // first row of DecoderRows::memory
  int64_t length = 0;
  const KvBlock* cached = nullptr;  // in place of rows; borrowed
};

// A batch of decoder rows. Segments are a causal forest as in PackedRows, with
// prefixes and sequences of the decoder's self attention; `memories` has one
// entry per segment, equal within a tree.
struct DecoderRows {
  PackedRows rows;
  std::vector<DecoderMemory> memories;
  at::Tensor memory;  // [memory rows, dim], fp32; undefined if all are cached
};

// Checks what DecoderRows promises. InvalidArgument naming the segment.
absl::Status CheckDecoderRows(const DecoderRows& rows,
                              const ModelConfig& config);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_DECODER_ROWS_H_
