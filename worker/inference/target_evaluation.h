#ifndef ATTUNE_WORKER_INFERENCE_TARGET_EVALUATION_H_
#define ATTUNE_WORKER_INFERENCE_TARGET_EVALUATION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/evaluation_service.pb.h"
#include "worker/inference/inference_call.h"
#include "worker/inference/target_resolver.h"
#include "worker/tasks/split_examples.h"

namespace attune::worker {

// What is measured on which rows.
struct EvaluationCall {
  InferenceTarget target;
  std::optional<InferenceTarget> baseline;
  SplitChoice choice;
  // What they are compared by (TaskMetrics). Empty: the task's first.
  std::string metric;
  std::vector<std::string> rows;  // JSON objects, in the order of the dataset
};

// Who hears of an evaluation while it runs.
struct EvaluationHooks {
  // Called before every piece of computing; an error ends the evaluation.
  std::function<absl::Status()> pause;
  // Rows that are answered, over target and baseline.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

// FAILED_PRECONDITION (kIllegalState) naming the difference where the answers
// to the two tasks cannot be held against each other: another type, other
// labels in whatever order, another field with the answer. Pure.
absl::Status CheckComparable(const attune::v1::TaskSpec& task,
                             const attune::v1::TaskSpec& baseline);

// Measures a target, and the baseline on the same rows, with the numbers that
// the report of a tuning job has for the same rows. Blocks as
// TargetResolver::Resolve does, and computes on the calling thread.
// INVALID_ARGUMENT naming "metric" if it is none of the task's. Errors of
// CheckComparable, Resolve, ReadSplitExamples and PrepareExamples, of the
// hook; kOutOfMemory.
absl::StatusOr<attune::v1::EvaluatePromptResponse> EvaluateTargets(
    const EvaluationCall& call, TargetResolver& resolver,
    const EvaluationHooks& hooks);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_INFERENCE_TARGET_EVALUATION_H_
