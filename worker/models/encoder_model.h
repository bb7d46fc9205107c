#ifndef ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_
#define ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "worker/models/base_model.h"
#include "worker/models/encoder_rows.h"

namespace attune::worker {

// A frozen bidirectional encoder.
class EncoderModel : public BaseModel {
 public:
  // -> hidden states of the last layer [rows, dim], fp32; differentiable with
  // regard to rows.embeddings. InvalidArgument for a layout that breaks the
  // rules of EncoderRows; Internal if LibTorch fails.
  virtual absl::StatusOr<at::Tensor> Forward(const EncoderRows& rows) const = 0;

  // The logits of config().head, differentiable. hidden: [n, dim] ->
  // kMaskedLanguage: [n, vocab]; kToken: [n, num_labels]; kDiscriminator: [n,
  // 1]; kSpan: [n, 2]; kSequence: [n, num_labels], where the rows are the first
  // of each input. FailedPrecondition if there is no head.
  virtual absl::StatusOr<at::Tensor> HeadLogits(
      const at::Tensor& hidden) const = 0;
};

// `model` must be one.
inline const EncoderModel& AsEncoder(const BaseModel& model) {
  return dynamic_cast<const EncoderModel&>(model);
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ENCODER_MODEL_H_
