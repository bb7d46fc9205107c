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

// A prompt in the form in which a model of its kind takes it: in training part
// of the graph, in serving constant and shared by those who use it. Has a
// prefix or rows, on the model's device.
struct AttachedPrompt {
  // Keys and values before those of every layer: a trained prefix and, where a
  // causal model serves, what it made of a soft prompt's rows once. Of an
  // encoder-decoder's decoder.
  std::shared_ptr<const KvBlock> prefix;
  // Rows in front of the input: [length, embedding_dim], fp32. Of kinds where
  // the prompt reads the text as much as the text the prompt and, in training,
  // of all.
  at::Tensor rows;
  // The output layer learned beside it; undefined without one.
  ClassifierHead head;

  int64_t length() const {
    if (prefix != nullptr) return prefix->length();
    return rows.defined() ? rows.size(0) : 0;
  }
  size_t num_bytes() const;
};

// Prepares the rows [length, embedding_dim] of a soft prompt and `head` (may be
// undefined) for serving; both may be on another device. Errors of
// CausalModel::BuildPrefix.
absl::StatusOr<AttachedPrompt> AttachPrompt(const LoadedModel& model,
                                            const at::Tensor& rows,
                                            const ClassifierHead& head = {});

// The same for the keys and values of a trained prefix, each [layers, kv_heads,
// length, head_dim].
AttachedPrompt AttachPrefix(const LoadedModel& model, const at::Tensor& keys,
                            const at::Tensor& values,
                            const ClassifierHead& head = {});

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_
