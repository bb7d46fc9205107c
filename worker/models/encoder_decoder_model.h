#ifndef ATTUNE_WORKER_MODELS_ENCODER_DECODER_MODEL_H_
#define ATTUNE_WORKER_MODELS_ENCODER_DECODER_MODEL_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/decoder_rows.h"
#include "worker/models/encoder_rows.h"
#include "worker/models/kv_cache.h"
#include "worker/models/language_model.h"

namespace attune::worker {

// A frozen encoder-decoder. Both sides share the token table. A sequence caches
// the decoder's self attention; each may be in one call at a time.
class EncoderDecoderModel : public LanguageModel {
 public:
  // -> the encoder's output after the final norm [rows, dim], fp32;
  // differentiable with regard to rows.embeddings. InvalidArgument for a layout
  // that breaks the rules of EncoderRows; Internal if LibTorch fails.
  virtual absl::StatusOr<at::Tensor> Encode(const EncoderRows& rows) const = 0;

  // -> the decoder's hidden states after the final norm [rows, dim], fp32, of
  // the rows that are wanted, as Logits takes them; differentiable with regard
  // to rows.rows.embeddings and rows.memory. Segments with a sequence are
  // appended to it; they may not be used in a differentiable batch. Errors as
  // above.
  virtual absl::StatusOr<at::Tensor> Decode(const DecoderRows& rows) const = 0;

  // Keys and values of the cross attention of one input: a memory to decode
  // against step by step. memory: [n, dim]. Never differentiable.
  virtual absl::StatusOr<std::shared_ptr<const KvBlock>> BuildMemory(
      const at::Tensor& memory) const = 0;
};

// `model` must be one.
inline const EncoderDecoderModel& AsEncoderDecoder(const BaseModel& model) {
  return dynamic_cast<const EncoderDecoderModel&>(model);
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ENCODER_DECODER_MODEL_H_
