#ifndef ATTUNE_WORKER_MODELS_LANGUAGE_MODEL_H_
#define ATTUNE_WORKER_MODELS_LANGUAGE_MODEL_H_

#include <ATen/core/Tensor.h>

#include "worker/models/base_model.h"

namespace attune::worker {

// A frozen model that predicts the next token.
class LanguageModel : public BaseModel {
 public:
  // hidden: [n, dim] -> logits [n, vocab], fp32; differentiable.
  virtual at::Tensor Logits(const at::Tensor& hidden) const = 0;

  // hidden: [n, dim], token_ids: [k] -> logits [n, k], fp32; differentiable.
  // Reads only k rows of the output head.
  virtual at::Tensor LogitsFor(const at::Tensor& hidden,
                               const at::Tensor& token_ids) const = 0;

  // Whether an adaptation trains the output head: then logits are
  // differentiable with regard to it as well.
  virtual bool TrainsOutput() const { return false; }
};

// `model` must be one.
inline const LanguageModel& AsLanguage(const BaseModel& model) {
  return dynamic_cast<const LanguageModel&>(model);
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_LANGUAGE_MODEL_H_
