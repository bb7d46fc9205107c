#ifndef ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_
#define ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/classifier_head.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// A trained prompt in the form in which a model of its kind takes it again and
// again. Immutable, shared by those who use it.
struct AttachedPrompt {
  // Of a causal model: keys and values that every text reads.
  std::shared_ptr<const KvBlock> prefix;
  // Of the other kinds, where the prompt reads the text as much as the text
  // the prompt: [length, embedding_dim], fp32, on the model's device.
  at::Tensor rows;
  // The output layer learned beside it; undefined without one.
  ClassifierHead head;

  int64_t length() const {
    return prefix != nullptr ? prefix->length() : rows.size(0);
  }
  size_t num_bytes() const;
};

// Prepares rows [length, embedding_dim] and `head` (may be undefined), which
// may be on another device. Errors of CausalModel::BuildPrefix.
absl::StatusOr<AttachedPrompt> AttachPrompt(const LoadedModel& model,
                                            const at::Tensor& rows,
                                            const ClassifierHead& head = {});

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_
