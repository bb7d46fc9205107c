#include "worker/tasks/head_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/encoder_batch.h"

namespace attune::worker {
namespace {

// -> the mean of each text's own rows, [texts, dim].
absl::StatusOr<at::Tensor> PooledTexts(const EncoderModel& model,
                                       const EncoderBatch& batch) {
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                          model.Forward(batch.Build(model)));
  std::vector<at::Tensor> means;
  for (const EncoderBatch::Text& text : batch.texts()) {
    means.push_back(hidden.narrow(0, text.text_begin(), text.length).mean(0));
  }
  return at::stack(means);
}

std::vector<double> ToDoubles(const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kCPU, at::kDouble).contiguous();
  const double* first = copy.const_data_ptr<double>();
  return {first, first + copy.numel()};
}

// -> what `finish` makes of each query's outputs, [1, outputs].
template <typename Finish>
absl::StatusOr<std::vector<std::vector<double>>> RunHeads(
    const EncoderModel& model, absl::Span<const HeadQuery> queries,
    Finish finish) {
  using Outputs = std::vector<std::vector<double>>;
  if (queries.empty()) return Outputs();
  return CatchTorchErrors("scoring texts", [&]() -> absl::StatusOr<Outputs> {
    const at::NoGradGuard no_grad;
    EncoderBatch batch;
    for (const HeadQuery& query : queries) {
      batch.AddText(query.text, *query.prompt);
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor pooled, PooledTexts(model, batch));
    Outputs outputs;
    for (size_t i = 0; i < queries.size(); ++i) {
      outputs.push_back(ToDoubles(finish(queries[i].prompt->head.Logits(
          pooled.narrow(0, static_cast<int64_t>(i), 1)))));
    }
    return outputs;
  });
}

// The loss of samples: `loss_of` makes it of what the head gives, [samples,
// outputs]. Sample: a struct with a text.
template <typename Sample, typename LossOfOutputs>
absl::StatusOr<BatchLoss> LossOfHead(const EncoderModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const Sample> samples,
                                     LossOfOutputs loss_of) {
  return CatchTorchErrors("head loss", [&]() -> absl::StatusOr<BatchLoss> {
    EncoderBatch batch;
    for (const Sample& sample : samples) {
      batch.AddText(sample.text, prompt);
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor pooled, PooledTexts(model, batch));
    return BatchLoss{.sum = loss_of(prompt.head.Logits(pooled)),
                     .weight = static_cast<double>(samples.size()),
                     .num_rows = batch.num_rows()};
  });
}

}  // namespace

absl::StatusOr<std::vector<std::vector<double>>> ScoreByHead(
    const EncoderModel& model, absl::Span<const HeadQuery> queries) {
  return RunHeads(model, queries, [](const at::Tensor& outputs) {
    return at::log_softmax(outputs, /*dim=*/1);
  });
}

absl::StatusOr<std::vector<std::vector<double>>> HeadOutputs(
    const EncoderModel& model, absl::Span<const HeadQuery> queries) {
  return RunHeads(model, queries,
                  [](const at::Tensor& outputs) { return outputs; });
}

std::vector<int> LabelsAbove(absl::Span<const double> outputs) {
  std::vector<int> labels;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i] > 0) labels.push_back(static_cast<int>(i));
  }
  return labels;
}

int64_t NumHeadRows(const HeadQuery& query) {
  return EncoderBatch::CountRows(query.text, query.prompt->rows);
}

absl::StatusOr<BatchLoss> HeadLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const HeadSample> samples,
                                   double label_smoothing) {
  std::vector<int64_t> labels;
  for (const HeadSample& sample : samples) labels.push_back(sample.label);
  return LossOfHead(model, prompt, samples, [&](const at::Tensor& outputs) {
    return at::cross_entropy_loss(
        outputs, at::tensor(labels, at::kLong).to(outputs.device()),
        /*weight=*/{}, at::Reduction::Sum, /*ignore_index=*/-100,
        label_smoothing);
  });
}

absl::StatusOr<BatchLoss> LabelSetLoss(
    const EncoderModel& model, const AttachedPrompt& prompt,
    absl::Span<const LabelSetSample> samples) {
  const int64_t num_labels = prompt.head.num_labels();
  at::Tensor right =
      at::zeros({static_cast<int64_t>(samples.size()), num_labels}, at::kFloat);
  for (size_t i = 0; i < samples.size(); ++i) {
    for (const int label : samples[i].labels) {
      right[static_cast<int64_t>(i)][label] = 1;
    }
  }
  return LossOfHead(model, prompt, samples, [&](const at::Tensor& outputs) {
    return at::binary_cross_entropy_with_logits(
               outputs, right.to(outputs.device()), /*weight=*/{},
               /*pos_weight=*/{}, at::Reduction::Sum) /
           static_cast<double>(num_labels);
  });
}

absl::StatusOr<BatchLoss> NumberLoss(const EncoderModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const NumberSample> samples) {
  std::vector<double> numbers;
  for (const NumberSample& sample : samples) numbers.push_back(sample.number);
  return LossOfHead(model, prompt, samples, [&](const at::Tensor& outputs) {
    return at::mse_loss(outputs.select(1, 0),
                        at::tensor(numbers, at::kFloat).to(outputs.device()),
                        at::Reduction::Sum);
  });
}

}  // namespace attune::worker
