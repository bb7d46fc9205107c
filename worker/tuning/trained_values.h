#ifndef ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_
#define ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "attune/v1/method.pb.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/classifier_head.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// Names of what is trained: the rows of a soft prompt [rows, embedding_dim], or
// keys and values of a prefix, each [layers, kv_heads, length, head_dim] of the
// layers that the method gives one, or
// weights of the model (trained_adaptation.h); beside any of them perhaps a
// head, and beside the first two the parameters of a network that helps to
// produce them (prompt_encoder.h).
inline constexpr std::string_view kPromptValue = "prompt";
inline constexpr std::string_view kPrefixKeysValue = "prefix.keys";
inline constexpr std::string_view kPrefixValuesValue = "prefix.values";
inline constexpr std::string_view kHeadWeightValue = "head.weight";
inline constexpr std::string_view kHeadBiasValue = "head.bias";

// What training of `program` begins with: `front`, which is the prompt, the
// prefix or the weights, and, where a head scores, a head of zeros, which likes
// all labels alike.
TensorMap MakeInitialValues(const TaskProgram& program, TensorMap front);

bool HasPrefix(const TensorMap& values);
bool HasPrompt(const TensorMap& values);
// The trained rows of the soft prompt; only where there is one.
const at::Tensor& PromptOf(const TensorMap& values);
// The head among trained values; undefined without one.
ClassifierHead HeadOf(const TensorMap& values);

// The values with what the method's network, if there is one, makes of them in
// its place; part of the graph that the values are in.
TensorMap ProduceValues(const attune::v1::TuningMethod& method,
                        const TensorMap& values);
// What `method` trains, of the produced values and part of their graph.
// `dropout_seed` decides what dropout leaves out. at_marks: a soft prompt's
// rows stand where inputs have their marks.
absl::StatusOr<AttachedPrompt> FrontOf(const LoadedModel& model,
                                       const attune::v1::TuningMethod& method,
                                       const TensorMap& produced,
                                       uint64_t dropout_seed = 0,
                                       bool at_marks = false);
// The values as a version has them: what a network made of them in its place,
// everything else as it is. Without gradients.
TensorMap FoldValues(const attune::v1::TuningMethod& method,
                     const TensorMap& values);
// The folded values as `model` serves them. Errors of AttachPrompt.
absl::StatusOr<AttachedPrompt> AttachValues(
    const LoadedModel& model, const attune::v1::TuningMethod& method,
    const TensorMap& values, bool at_marks = false);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_
