#ifndef ATTUNE_WORKER_TUNING_STEP_FRONT_H_
#define ATTUNE_WORKER_TUNING_STEP_FRONT_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/method.pb.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/kv_cache.h"
#include "worker/models/model_store.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// What one training step trains, as the parts of its batch take it. What is the
// same for all parts runs once, forward and backward: a network that helps and,
// in a causal model, the prompt's rows, whose keys and values are all that a
// part reads of them. So the graph is cut: parts differentiate what comes out,
// their gradients are added up there, and go on from there once (the chain
// rule; exact). Everything outlives its use; grad mode must be on. Not
// thread-safe.
class StepFront {
 public:
  // `values` are named as in TrainingState and belong to the resolved `method`;
  // they are copied. several_parts: with a single one there is nothing to
  // share, and the prompt's rows stand in its batch. at_marks: as of FrontOf;
  // rows among the text depend on it and are never shared. Errors of the model.
  static absl::StatusOr<StepFront> Create(
      const LoadedModel& model, const attune::v1::TuningMethod& method,
      const TensorMap& values, bool several_parts, bool at_marks = false);

  // Rows that it put through the model itself.
  int64_t num_rows() const { return num_rows_; }

  // `dropout_seed` decides what dropout leaves out of this part.
  absl::StatusOr<AttachedPrompt> ForPart(uint64_t dropout_seed) const;

  // Adds the gradients of `loss`, a scalar that a part computed.
  void AddGradients(const at::Tensor& loss);

  // -> the sum of the gradients with regard to the values: as they, fp32, CPU;
  // zeros where no loss depends on one. Call once, at the end.
  TensorMap TakeGradients();

 private:
  // A place where the graph is cut.
  struct Cut {
    at::Tensor far;   // what was computed, on the values' side
    at::Tensor near;  // the leaf that parts take instead
    at::Tensor sum;   // of the gradients at it; undefined: none yet
  };

  StepFront(const LoadedModel& model, const attune::v1::TuningMethod& method,
            bool at_marks)
      : model_(&model), method_(&method), at_marks_(at_marks) {}

  // -> the near side.
  at::Tensor AddCut(const at::Tensor& far);
  absl::Status RunPrompt();
  // Takes the sums at cuts [begin, end) back to `inputs` -> a gradient of each,
  // undefined where there is none.
  std::vector<at::Tensor> GoBack(size_t begin, size_t end,
                                 const std::vector<at::Tensor>& inputs) const;

  const LoadedModel* model_;
  const attune::v1::TuningMethod* method_;
  bool at_marks_;
  TensorMap leaves_;       // the values
  TensorMap produced_;     // what a network made of them: near sides
  std::vector<Cut> cuts_;  // of produced_ in its order, then of the prefix
  std::shared_ptr<const KvBlock> prefix_;  // of the prompt's rows; may be null
  int64_t num_rows_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_STEP_FRONT_H_
