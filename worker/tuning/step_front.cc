#include "worker/tuning/step_front.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "proto/cc/status_macros.h"
#include "worker/tuning/trained_values.h"

namespace attune::worker {
namespace {

// Copies on `device` that ask for gradients.
TensorMap MakeLeaves(const TensorMap& values, const at::Device& device) {
  TensorMap leaves;
  for (const auto& [name, value] : values) {
    leaves[name] = value.detach()
                       .to(device, at::kFloat, /*non_blocking=*/false,
                           /*copy=*/true)
                       .requires_grad_();
  }
  return leaves;
}

}  // namespace

absl::StatusOr<StepFront> StepFront::Create(
    const LoadedModel& model, const attune::v1::TuningMethod& method,
    const TensorMap& values, bool several_parts, bool at_marks) {
  StepFront front(model, method, at_marks);
  front.leaves_ = MakeLeaves(values, model.model->device());
  front.produced_ = ProduceValues(method, front.leaves_);
  for (auto& [name, value] : front.produced_) value = front.AddCut(value);
  if (several_parts && !at_marks &&
      model.info.config.kind == ModelKind::kCausal &&
      HasPrompt(front.produced_)) {
    ATTUNE_RETURN_IF_ERROR(front.RunPrompt());
  }
  return front;
}

at::Tensor StepFront::AddCut(const at::Tensor& far) {
  at::Tensor near = far.detach().requires_grad_();
  cuts_.push_back({.far = far, .near = near, .sum = at::Tensor()});
  return near;
}

absl::Status StepFront::RunPrompt() {
  const at::Tensor& rows = PromptOf(produced_);
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const KvBlock> block,
                          model_->model->BuildPrefix(rows));
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (int64_t layer = 0; layer < block->num_layers(); ++layer) {
    keys.push_back(AddCut(block->keys(layer)));
    values.push_back(AddCut(block->values(layer)));
  }
  prefix_ = std::make_shared<const KvBlock>(std::move(keys), std::move(values));
  num_rows_ = rows.size(0);
  return absl::OkStatus();
}

absl::StatusOr<AttachedPrompt> StepFront::ForPart(uint64_t dropout_seed) const {
  if (prefix_ == nullptr) {
    return FrontOf(*model_, *method_, produced_, dropout_seed, at_marks_);
  }
  AttachedPrompt front;
  front.prefix = prefix_;
  front.head = HeadOf(produced_);
  return front;
}

void StepFront::AddGradients(const at::Tensor& loss) {
  std::vector<at::Tensor> inputs;
  for (const Cut& cut : cuts_) inputs.push_back(cut.near);
  // A weight that these samples do not use has none.
  const std::vector<at::Tensor> gradients = torch::autograd::grad(
      {loss}, inputs, /*grad_outputs=*/{}, /*retain_graph=*/std::nullopt,
      /*create_graph=*/false, /*allow_unused=*/true);
  for (size_t i = 0; i < cuts_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    at::Tensor& sum = cuts_[i].sum;
    sum = sum.defined() ? sum + gradients[i] : gradients[i];
  }
}

std::vector<at::Tensor> StepFront::GoBack(
    size_t begin, size_t end, const std::vector<at::Tensor>& inputs) const {
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> sums;
  for (size_t i = begin; i < end; ++i) {
    if (!cuts_[i].sum.defined() || !cuts_[i].far.requires_grad()) continue;
    outputs.push_back(cuts_[i].far);
    sums.push_back(cuts_[i].sum);
  }
  if (outputs.empty()) return std::vector<at::Tensor>(inputs.size());
  return torch::autograd::grad(outputs, inputs, sums,
                               /*retain_graph=*/std::nullopt,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

TensorMap StepFront::TakeGradients() {
  if (prefix_ != nullptr) {
    Cut& prompt = cuts_[std::distance(
        produced_.begin(), produced_.find(std::string(kPromptValue)))];
    prompt.sum = GoBack(produced_.size(), cuts_.size(), {prompt.near}).front();
  }
  std::vector<at::Tensor> inputs;
  for (const auto& [name, leaf] : leaves_) inputs.push_back(leaf);
  const std::vector<at::Tensor> found = GoBack(0, produced_.size(), inputs);
  TensorMap gradients;
  size_t next = 0;
  for (const auto& [name, leaf] : leaves_) {
    const at::Tensor& gradient = found[next++];
    gradients[name] =
        (gradient.defined() ? gradient : at::zeros_like(leaf)).to(at::kCPU);
  }
  return gradients;
}

}  // namespace attune::worker
