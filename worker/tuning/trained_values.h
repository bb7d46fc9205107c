#ifndef ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_
#define ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_

#include <ATen/core/Tensor.h>

#include <string_view>

#include "absl/status/statusor.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/classifier_head.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// Names of what is trained. "prompt" is always there.
inline constexpr std::string_view kPromptValue = "prompt";
inline constexpr std::string_view kHeadWeightValue = "head.weight";
inline constexpr std::string_view kHeadBiasValue = "head.bias";

// What training of `program` begins with: `prompt` [rows, embedding_dim] and,
// where a head scores, a head of zeros, which likes all labels alike.
TensorMap MakeInitialValues(const TaskProgram& program,
                            const at::Tensor& prompt);

// The prompt among trained values.
const at::Tensor& PromptOf(const TensorMap& values);
// The head among trained values; undefined without one.
ClassifierHead HeadOf(const TensorMap& values);

// Both as `model` takes them. Errors of AttachPrompt.
absl::StatusOr<AttachedPrompt> AttachValues(const LoadedModel& model,
                                            const TensorMap& values);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_TRAINED_VALUES_H_
