#ifndef ATTUNE_WORKER_MODELS_ENCODER_DECODER_MODEL_H_
#define ATTUNE_WORKER_MODELS_ENCODER_DECODER_MODEL_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/encoder_model.h"
#include "worker/models/kv_cache.h"
#include "worker/models/language_model.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// What a decoder's root segment attends to across: rows of the encoder's
// output, or the keys and values made of them once.
struct DecoderMemory {
  int64_t begin = 0;  // first row of `memory`
  int64_t length = 0;
  const KvBlock* cached = nullptr;  // in place of rows; borrowed
};

// A batch of decoder rows. Segments are a causal forest as in PackedRows;
// `memories` has one entry per segment, equal within a tree.
struct DecoderRows {
  PackedRows rows;
  std::vector<DecoderMemory> memories;
  at::Tensor memory;  // [memory rows, dim]; undefined if all are cached
};

// A frozen encoder-decoder. Both sides share the token table. A sequence is the
// decoder's own cache; each may be in one call at a time.
class EncoderDecoderModel : public LanguageModel {
 public:
  // -> the encoder's output [rows, dim]; differentiable.
  virtual absl::StatusOr<at::Tensor> Encode(const EncoderRows& rows) const = 0;

  // -> the decoder's hidden states after the final norm [rows, dim];
  // differentiable with regard to rows.rows.embeddings and rows.memory.
  virtual absl::StatusOr<at::Tensor> Decode(const DecoderRows& rows) const = 0;

  // Keys and values of the cross attention of one input: a memory to decode
  // against step by step. memory: [n, dim]. Never differentiable.
  virtual absl::StatusOr<std::shared_ptr<const KvBlock>> BuildMemory(
      const at::Tensor& memory) const = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ENCODER_DECODER_MODEL_H_
