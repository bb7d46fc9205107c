#include "worker/tasks/mask_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/encoder_batch.h"

namespace attune::worker {
namespace {

// Texts with masks of all lengths in one forward. Made for one call.
class MaskBatch {
 public:
  explicit MaskBatch(const EncoderModel& model) : model_(model) {}

  // `prompt` may be null.
  void Add(const MaskedText& masked, const AttachedPrompt* prompt) {
    words_.push_back(masked.words);
    const auto place = masked.text.begin() + masked.mask_place;
    for (const MaskWords::Group& group : masked.words->groups()) {
      std::vector<int64_t> ids(masked.text.begin(), place);
      ids.insert(ids.end(), group.length, *place);
      ids.insert(ids.end(), place + 1, masked.text.end());
      if (prompt != nullptr) {
        batch_.AddText(ids, *prompt);
      } else {
        batch_.AddText(ids, /*rows=*/at::Tensor(), /*prefix=*/nullptr);
      }
      const int64_t first =
          batch_.texts().back().text_begin() + masked.mask_place;
      for (int64_t i = 0; i < group.length; ++i) rows_.push_back(first + i);
    }
  }

  int64_t num_rows() const { return batch_.num_rows(); }

  // -> what the labels of each text weigh, [labels], as logarithms, fp64.
  absl::StatusOr<std::vector<at::Tensor>> WeighLabels() const {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden,
                            model_.Forward(batch_.Build(model_)));
    ATTUNE_ASSIGN_OR_RETURN(
        const at::Tensor logits,
        model_.HeadLogits(hidden.index_select(0, OnDevice(rows_))));
    const at::Tensor scores = at::log_softmax(logits, /*dim=*/1);
    std::vector<at::Tensor> weights;
    weights.reserve(words_.size());
    int64_t row = 0;
    for (const MaskWords* words : words_) {
      std::vector<at::Tensor> of_words;
      std::vector<int64_t> labels;
      for (const MaskWords::Group& group : words->groups()) {
        const at::Tensor tokens =
            OnDevice(group.ids).view({group.num_words(), group.length}).t();
        of_words.push_back(
            scores.narrow(0, row, group.length).gather(1, tokens).mean(0));
        labels.insert(labels.end(), group.labels.begin(), group.labels.end());
        row += group.length;
      }
      weights.push_back(AddUp(at::cat(of_words), labels, words->num_labels()));
    }
    return weights;
  }

 private:
  at::Tensor OnDevice(const std::vector<int64_t>& values) const {
    return at::tensor(values, at::kLong).to(model_.device());
  }

  // of_words: logarithms of what words weigh -> of what their labels do. In
  // fp64, so that no label weighs nothing beside a much likelier one.
  at::Tensor AddUp(const at::Tensor& of_words,
                   const std::vector<int64_t>& labels, int num_labels) const {
    const at::Tensor largest = of_words.detach().max();
    const at::Tensor shares = (of_words - largest).to(at::kDouble).exp();
    return at::zeros({num_labels}, shares.options())
        .index_add(0, OnDevice(labels), shares)
        .log();
  }

  const EncoderModel& model_;
  EncoderBatch batch_;
  std::vector<const MaskWords*> words_;  // of each text
  std::vector<int64_t> rows_;            // of all masks
};

}  // namespace

int64_t NumMaskedRows(const MaskedText& text) {
  int64_t rows = 0;
  for (const MaskWords::Group& group : text.words->groups()) {
    rows += static_cast<int64_t>(text.text.size()) - 1 + group.length;
  }
  return rows;
}

int64_t NumMaskRows(const MaskQuery& query) {
  const bool has_rows = query.prompt != nullptr && query.prompt->rows.defined();
  const auto copies = static_cast<int64_t>(query.masked.words->groups().size());
  return NumMaskedRows(query.masked) +
         (has_rows ? copies * query.prompt->rows.size(0) : 0);
}

absl::StatusOr<std::vector<std::vector<double>>> ScoreAtMask(
    const EncoderModel& model, absl::Span<const MaskQuery> queries) {
  using Scores = std::vector<std::vector<double>>;
  if (queries.empty()) return Scores();
  return CatchTorchErrors("scoring masks", [&]() -> absl::StatusOr<Scores> {
    const at::NoGradGuard no_grad;
    MaskBatch batch(model);
    for (const MaskQuery& query : queries) {
      batch.Add(query.masked, query.prompt);
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<at::Tensor> weights,
                            batch.WeighLabels());
    Scores scores;
    scores.reserve(weights.size());
    for (const at::Tensor& weight : weights) {
      const at::Tensor one = at::log_softmax(weight, /*dim=*/0).cpu();
      const double* first = one.const_data_ptr<double>();
      scores.emplace_back(first, first + one.numel());
    }
    return scores;
  });
}

absl::StatusOr<BatchLoss> MaskLoss(const EncoderModel& model,
                                   const AttachedPrompt& prompt,
                                   absl::Span<const MaskSample> samples,
                                   double label_smoothing) {
  return CatchTorchErrors("mask loss", [&]() -> absl::StatusOr<BatchLoss> {
    MaskBatch batch(model);
    std::vector<int64_t> labels;
    labels.reserve(samples.size());
    for (const MaskSample& sample : samples) {
      batch.Add(sample.masked, &prompt);
      labels.push_back(sample.label);
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<at::Tensor> weights,
                            batch.WeighLabels());
    // All samples have the labels of one task.
    const at::Tensor logits = at::stack(weights).to(at::kFloat);
    return BatchLoss{
        .sum = at::cross_entropy_loss(
            logits, at::tensor(labels, at::kLong).to(logits.device()),
            /*weight=*/{}, at::Reduction::Sum, /*ignore_index=*/-100,
            label_smoothing),
        .weight = static_cast<double>(samples.size()),
        .num_rows = batch.num_rows()};
  });
}

}  // namespace attune::worker
