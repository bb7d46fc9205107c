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
// keys and values of a prefix, each [layers, kv_heads, length, head_dim], or
// weights of the model (trained_adaptation.h); beside any of them perhaps a
// head.
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
// The rows of the soft prompt; only where there is one.
const at::Tensor& PromptOf(const TensorMap& values);
// The head among trained values; undefined without one.
ClassifierHead HeadOf(const TensorMap& values);

// The values of a job with the resolved `method` as part of the graph that they
// are in. `dropout_seed` decides what a step's dropout leaves out.
absl::StatusOr<AttachedPrompt> TrainedFront(
    const LoadedModel& model, const attune::v1::TuningMethod& method,
    const TensorMap& values, uint64_t dropout_seed);
// The values as `model` serves them. Errors of AttachPrompt.
absl::StatusOr<AttachedPrompt> AttachValues(
    const LoadedModel& model, const attune::v1::TuningMethod& method,
    const TensorMap& values);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_
