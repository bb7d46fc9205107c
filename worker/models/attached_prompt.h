#ifndef ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_
#define ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/adaptation.h"
#include "worker/models/base_model.h"
#include "worker/models/classifier_head.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// What was tuned in the form in which a model of its kind takes it: in training
// part of the graph, in serving constant and shared by those who use it. Has at
// most one of a prefix, rows, marked rows and a model, on the base's device.
struct AttachedPrompt {
  // Keys and values before those of every layer: a trained prefix and, where a
  // causal model serves, what it made of a soft prompt's rows once. Of an
  // encoder-decoder's decoder.
  std::shared_ptr<const KvBlock> prefix;
  // Rows in front of the input: [length, embedding_dim], fp32. Of kinds where
  // the prompt reads the text as much as the text the prompt and, in training,
  // of all.
  at::Tensor rows;
  // Rows that stand where inputs have their marks, among the tokens: [n,
  // embedding_dim], fp32. They are part of the inputs' length.
  at::Tensor marked_rows;
  // The base with the weights that were tuned; null: the base itself.
  std::shared_ptr<const BaseModel> adapted;
  size_t adapted_bytes = 0;  // that `adapted` has beyond the base
  // The output layer learned beside it; undefined without one.
  ClassifierHead head;

  int64_t length() const {
    if (prefix != nullptr) return prefix->length();
    return rows.defined() ? rows.size(0) : 0;
  }
  size_t num_bytes() const;
};

// Prepares the rows [length, embedding_dim] of a soft prompt, in front of
// inputs or at their marks, and `head` (may be undefined) for serving; both may
// be on another device. Errors of CausalModel::BuildPrefix.
absl::StatusOr<AttachedPrompt> AttachPrompt(const LoadedModel& model,
                                            const at::Tensor& rows,
                                            const ClassifierHead& head = {},
                                            bool at_marks = false);

// The same for the keys and values of a trained prefix, each [layers, kv_heads,
// length, head_dim], that stand before the layers from `first_layer` on.
AttachedPrompt AttachPrefix(const LoadedModel& model, const at::Tensor& keys,
                            const at::Tensor& values,
                            const ClassifierHead& head = {},
                            int64_t first_layer = 0);

// The same for weights of the base: shares all others with it, but not the
// base's life. InvalidArgument for what does not fit the base, see AdaptModel.
absl::StatusOr<AttachedPrompt> AttachAdaptation(
    const LoadedModel& model, const Adaptation& adaptation,
    const ClassifierHead& head = {});

// The same for a head alone; may be undefined: then nothing was tuned.
AttachedPrompt AttachHead(const LoadedModel& model, const ClassifierHead& head);

// The model that computes what `prompt` (null: nothing) was tuned for.
const BaseModel& ModelWith(const AttachedPrompt* prompt,
                           const LoadedModel& base);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ATTACHED_PROMPT_H_
