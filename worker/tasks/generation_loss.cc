#include "worker/tasks/generation_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "proto/cc/status_macros.h"
#include "worker/models/torch_errors.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

// Rows whose logits exist at once: 128 x 49,152 x 4 bytes = 25 MB.
constexpr int64_t kChunkRows = 128;

// hidden: [n, dim], targets: [n] -> [n].
at::Tensor ChunkLosses(const LanguageModel& model, const at::Tensor& hidden,
                       const at::Tensor& targets, double label_smoothing) {
  return at::cross_entropy_loss(model.Logits(hidden), targets,
                                /*weight=*/{}, at::Reduction::None,
                                /*ignore_index=*/-100, label_smoothing);
}

struct RowLosses {
  at::Tensor losses;    // [n]
  at::Tensor gradient;  // of their sum with regard to the logits, [n, vocab]
};

// Cross-entropy with its gradient, which is what the softmax has beyond the
// targets' shares. Beside the logits only the gradient needs their memory.
// logits: [n, vocab], targets: [n]
RowLosses LossesWithGradient(const at::Tensor& logits,
                             const at::Tensor& targets,
                             double label_smoothing) {
  const at::NoGradGuard no_grad;
  const at::Tensor target = targets.unsqueeze(1);
  at::Tensor log_probabilities = at::log_softmax(logits, 1);
  RowLosses result;
  result.losses = -log_probabilities.gather(1, target).squeeze(1);
  if (label_smoothing > 0) {
    result.losses = (1 - label_smoothing) * result.losses -
                    label_smoothing * log_probabilities.mean(1);
  }
  result.gradient = log_probabilities.exp_();
  if (label_smoothing > 0) {
    result.gradient.sub_(label_smoothing / static_cast<double>(logits.size(1)));
  }
  result.gradient.scatter_add_(
      1, target, at::full_like(target, label_smoothing - 1, logits.options()));
  return result;
}

// Cross-entropy whose backward only scales the gradient found in forward: the
// loss of a row depends on that row alone.
class CrossEntropyFunction
    : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& hidden, const at::Tensor& targets,
                            const LanguageModel* model,
                            double label_smoothing) {
    std::vector<at::Tensor> losses;
    std::vector<at::Tensor> gradients;
    for (int64_t begin = 0; begin < hidden.size(0); begin += kChunkRows) {
      const at::AutoGradMode grad_mode(true);
      const int64_t end = std::min(begin + kChunkRows, hidden.size(0));
      const at::Tensor rows =
          hidden.slice(0, begin, end).detach().requires_grad_();
      const at::Tensor logits = model->Logits(rows);
      const RowLosses chunk = LossesWithGradient(
          logits, targets.slice(0, begin, end), label_smoothing);
      gradients.push_back(
          torch::autograd::grad({logits}, {rows}, {chunk.gradient})[0]);
      losses.push_back(chunk.losses);
    }
    context->saved_data["gradient"] = at::cat(gradients);
    return at::cat(losses);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& outputs) {
    const at::Tensor gradient = context->saved_data["gradient"].toTensor();
    return {gradient * outputs[0].unsqueeze(1), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

// A batch with its answers' tokens and the rows that predict them.
struct AnswerBatch {
  LanguageBatch batch;
  std::vector<int64_t> rows;
  std::vector<int64_t> targets;

  // The answer's last token predicts nothing, so it is not run.
  void Add(absl::Span<const AnswerSample> samples, bool share_beginnings) {
    std::vector<BatchText> texts;
    for (const AnswerSample& sample : samples) {
      texts.push_back(
          {.text = sample.text,
           .prompt = sample.prompt,
           .following = sample.answer.first(sample.answer.size() - 1)});
    }
    const std::vector<int> segments = batch.AddTexts(texts, share_beginnings);
    for (size_t i = 0; i < samples.size(); ++i) {
      const int64_t first = batch.RowBehindText(segments[i]);
      for (size_t j = 0; j < samples[i].answer.size(); ++j) {
        rows.push_back(first + static_cast<int64_t>(j));
        targets.push_back(samples[i].answer[j]);
      }
    }
  }

  // -> the loss of every answer token, [tokens].
  absl::StatusOr<at::Tensor> Losses(const LanguageModel& model,
                                    double label_smoothing = 0) const {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor hidden, batch.Run(rows));
    return CrossEntropyRows(model, hidden,
                            at::tensor(targets).to(hidden.device()),
                            label_smoothing);
  }
};

}  // namespace

at::Tensor CrossEntropyRows(const LanguageModel& model,
                            const at::Tensor& hidden, const at::Tensor& targets,
                            double label_smoothing) {
  // An output head that is trained needs the logits' own graph.
  if (at::GradMode::is_enabled() && hidden.requires_grad() &&
      !model.TrainsOutput()) {
    return CrossEntropyFunction::apply(hidden, targets, &model,
                                       label_smoothing);
  }
  std::vector<at::Tensor> losses;
  for (int64_t begin = 0; begin < hidden.size(0); begin += kChunkRows) {
    const int64_t end = std::min(begin + kChunkRows, hidden.size(0));
    losses.push_back(ChunkLosses(model, hidden.slice(0, begin, end),
                                 targets.slice(0, begin, end),
                                 label_smoothing));
  }
  return at::cat(losses);
}

absl::StatusOr<BatchLoss> AnswerLoss(const LanguageModel& model,
                                     const AttachedPrompt& prompt,
                                     absl::Span<const AnswerSample> samples,
                                     const LossOptions& options) {
  return CatchTorchErrors("answer loss", [&]() -> absl::StatusOr<BatchLoss> {
    AnswerBatch answers{
        .batch = LanguageBatch(model), .rows = {}, .targets = {}};
    answers.batch.SharePrompt(prompt);
    answers.Add(samples, options.share_beginnings);
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor losses,
                            answers.Losses(model, options.label_smoothing));
    return BatchLoss{.sum = losses.sum(),
                     .weight = static_cast<double>(answers.targets.size()),
                     .num_rows = answers.batch.num_rows()};
  });
}

absl::StatusOr<std::vector<double>> AnswerLosses(
    const LanguageModel& model, absl::Span<const AnswerSample> samples) {
  using Losses = std::vector<double>;
  if (samples.empty()) return Losses();
  return CatchTorchErrors("answer losses", [&]() -> absl::StatusOr<Losses> {
    const at::NoGradGuard no_grad;
    AnswerBatch answers{
        .batch = LanguageBatch(model), .rows = {}, .targets = {}};
    answers.Add(samples, /*share_beginnings=*/true);
    ATTUNE_ASSIGN_OR_RETURN(at::Tensor tokens, answers.Losses(model));
    tokens = tokens.to(at::kCPU, at::kDouble).contiguous();
    const double* next = tokens.const_data_ptr<double>();
    Losses losses;
    for (const AnswerSample& sample : samples) {
      double sum = 0;
      for (size_t i = 0; i < sample.answer.size(); ++i) sum += *next++;
      losses.push_back(sum);
    }
    return losses;
  });
}

}  // namespace attune::worker
