#ifndef ATTUNE_WORKER_MODELS_CAUSAL_MODEL_H_
#define ATTUNE_WORKER_MODELS_CAUSAL_MODEL_H_

#include <ATen/core/Tensor.h>

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/kv_cache.h"
#include "worker/models/language_model.h"
#include "worker/models/packed_rows.h"

namespace attune::worker {

// A frozen causal language model. Each KvSequence may be in one call at a time.
class CausalModel : public LanguageModel {
 public:
  // -> hidden states after the final norm [rows, dim], fp32, of the rows that
  // are wanted; differentiable with regard to rows.embeddings. Segments with a
  // sequence are appended to it; they may not be used with grad mode on.
  // InvalidArgument for a layout that breaks the rules of PackedRows; Internal
  // if LibTorch fails.
  virtual absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const = 0;
};

// `model` must be one.
inline const CausalModel& AsCausal(const BaseModel& model) {
  return dynamic_cast<const CausalModel&>(model);
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CAUSAL_MODEL_H_
