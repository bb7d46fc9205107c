#include "worker/tasks/head_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

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

std::vector<double> LogProbabilities(const ClassifierHead& head,
                                     const at::Tensor& pooled) {
  const at::Tensor scores =
      at::log_softmax(head.Logits(pooled.unsqueeze(0)), /*dim=*/1)
          .to(at::kCPU, at::kDouble)
          .contiguous();
  const double* first = scores.const_data_ptr<double>();
  return {first, first + scores.numel()};
}

}  // namespace

absl::StatusOr<std::vector<std::vector<double>>> ScoreByHead(
    const EncoderModel& model, absl::Span<const HeadQuery> queries) {
  using Scores = std::vector<std::vector<double>>;
  if (queries.empty()) return Scores();
  return CatchTorchErrors("scoring labels", [&]() -> absl::StatusOr<Scores> {
    const at::NoGradGuard no_grad;
    EncoderBatch batch;
    for (const HeadQuery& query : queries) {
      batch.AddText(query.text, query.prompt->rows, query.prompt->prefix.get());
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor pooled, PooledTexts(model, batch));
    Scores scores;
    for (size_t i = 0; i < queries.size(); ++i) {
      scores.push_back(LogProbabilities(queries[i].prompt->head,
                                        pooled[static_cast<int64_t>(i)]));
    }
    return scores;
  });
}

int64_t NumHeadRows(const HeadQuery& query) {
  const at::Tensor& rows = query.prompt->rows;
  return (rows.defined() ? rows.size(0) : 0) +
         static_cast<int64_t>(query.text.size());
}

absl::StatusOr<BatchLoss> HeadLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const HeadSample> samples,
                                   double label_smoothing) {
  return CatchTorchErrors("head loss", [&]() -> absl::StatusOr<BatchLoss> {
    EncoderBatch batch;
    std::vector<int64_t> labels;
    for (const HeadSample& sample : samples) {
      batch.AddText(sample.text, prompt.rows, prompt.prefix.get());
      labels.push_back(sample.label);
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor pooled, PooledTexts(model, batch));
    return BatchLoss{.sum = at::cross_entropy_loss(
                         prompt.head.Logits(pooled),
                         at::tensor(labels, at::kLong).to(pooled.device()),
                         /*weight=*/{}, at::Reduction::Sum,
                         /*ignore_index=*/-100, label_smoothing),
                     .weight = static_cast<double>(samples.size()),
                     .num_rows = batch.num_rows()};
  });
}

}  // namespace attune::worker
