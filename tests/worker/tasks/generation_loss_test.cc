#include "worker/tasks/generation_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using Ids = std::vector<int64_t>;

// The plain way: one whole sequence, logits everywhere.
double LossByHand(const at::Tensor& prompt, const Ids& text,
                  const Ids& answer) {
  const at::NoGradGuard no_grad;
  Ids ids = text;
  ids.insert(ids.end(), answer.begin(), answer.end());
  at::Tensor rows = TinyCausalModel().Embed(at::tensor(ids));
  if (prompt.defined()) rows = at::cat({prompt, rows});
  const at::Tensor log_probabilities = at::log_softmax(
      TinyCausalModel().Logits(*TinyCausalModel().Forward(
          {.embeddings = rows,
           .segments = {{.begin = 0, .length = rows.size(0)}}})),
      1);
  double loss = 0;
  const int64_t first = rows.size(0) - static_cast<int64_t>(answer.size()) - 1;
  for (size_t i = 0; i < answer.size(); ++i) {
    loss -= log_probabilities[first + static_cast<int64_t>(i)][answer[i]]
                .item<double>();
  }
  return loss;
}

TEST(GenerationLoss, EqualsWholeSequencesByHand) {
  const Ids text = {50, 51, 52};
  const Ids answer = {60, 61, 62, 2};
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(), TinyPrompt());

  const std::vector<double> losses = *AnswerLosses(
      TinyCausalModel(), {{.text = text, .answer = answer},
                          {.text = text, .answer = answer, .prompt = &prompt}});

  EXPECT_NEAR(losses[0], LossByHand(at::Tensor(), text, answer), 2e-5);
  EXPECT_NEAR(losses[1], LossByHand(TinyPrompt(), text, answer), 2e-5);
}

TEST(GenerationLoss, WeighsByAnswerTokens) {
  const Ids text = {50, 51, 52};
  const Ids longer = {60, 61, 62, 2};
  const Ids shorter = {2};

  const BatchLoss loss = *AnswerLoss(
      TinyCausalModel(), Front(TinyPrompt()),
      {{.text = text, .answer = longer}, {.text = text, .answer = shorter}});

  EXPECT_EQ(loss.weight, 5);
  EXPECT_EQ(loss.num_rows, 3 + (3 + 3) + (3 + 0));
  EXPECT_NEAR(loss.sum.item<double>(),
              LossByHand(TinyPrompt(), text, longer) +
                  LossByHand(TinyPrompt(), text, shorter),
              5e-5);
}

TEST(GenerationLoss, ACommonBeginningRunsOnceForLossAndGradient) {
  const Ids first = {50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 70};
  const Ids second = {50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 71, 72};
  const Ids answer = {60, 61, 2};
  const std::vector<AnswerSample> samples = {
      {.text = first, .answer = answer}, {.text = second, .answer = answer}};
  const at::Tensor prompt = TinyPrompt().requires_grad_();
  const auto in_steps_of = [&](bool share_beginnings) {
    return *AnswerLoss(TinyCausalModel(), Front(prompt), samples,
                       {.share_beginnings = share_beginnings});
  };
  const auto gradient_of = [&](const BatchLoss& loss) {
    return torch::autograd::grad({loss.sum}, {prompt})[0];
  };

  const BatchLoss shared = in_steps_of(true);
  const BatchLoss repeated = in_steps_of(false);

  EXPECT_EQ(repeated.num_rows - shared.num_rows, 10);
  // The same sums of fp32 numbers in another order.
  EXPECT_NEAR(shared.sum.item<double>(), repeated.sum.item<double>(), 2e-5);
  EXPECT_TRUE(gradient_of(shared).allclose(gradient_of(repeated), 1e-4, 1e-5));
}

TEST(GenerationLoss, GradientEqualsFiniteDifferences) {
  const Ids text = {50, 51, 52};
  const Ids answer = {60, 61, 2};
  const std::vector<AnswerSample> samples = {{.text = text, .answer = answer}};
  const at::Tensor prompt = TinyPrompt().requires_grad_();
  const at::Tensor loss =
      AnswerLoss(TinyCausalModel(), Front(prompt), samples)->sum;
  const at::Tensor gradient = torch::autograd::grad({loss}, {prompt})[0];

  const at::NoGradGuard no_grad;
  for (int trial = 0; trial < 5; ++trial) {
    const at::Tensor direction = at::randn_like(prompt);
    const double step = 2e-3;
    const auto loss_at = [&](double distance) {
      return AnswerLoss(TinyCausalModel(), Front(prompt + direction * distance),
                        samples)
          ->sum.item<double>();
    };
    const double difference = (loss_at(step) - loss_at(-step)) / (2 * step);
    const double slope = (gradient * direction).sum().item<double>();

    // Rounding of fp32 losses of about 20 over 4e-3 leaves some 2e-3.
    EXPECT_NEAR(slope, difference, 1e-2 * std::max(1.0, std::abs(slope)));
  }
}

TEST(GenerationLoss, ChunksOfRowsGiveTheSameLossesAndGradients) {
  // 300 rows are three chunks.
  const at::Tensor hidden =
      at::randn_like(TinyCausalModel().Embed(at::arange(300))).requires_grad_();
  const at::Tensor targets = at::arange(300);

  const at::Tensor chunked =
      CrossEntropyRows(TinyCausalModel(), hidden, targets);
  const at::Tensor gradient =
      torch::autograd::grad({(chunked * targets).sum()}, {hidden})[0];

  const at::Tensor whole = -at::log_softmax(TinyCausalModel().Logits(hidden), 1)
                                .gather(1, targets.unsqueeze(1))
                                .squeeze(1);
  const at::Tensor whole_gradient =
      torch::autograd::grad({(whole * targets).sum()}, {hidden})[0];
  EXPECT_TRUE(chunked.allclose(whole, 1e-5, 1e-5));
  EXPECT_TRUE(gradient.allclose(whole_gradient, 1e-4, 1e-3));
}

TEST(GenerationLoss, SmoothingCountsTheWholeVocabulary) {
  const at::Tensor hidden =
      at::randn_like(TinyCausalModel().Embed(at::arange(200))).requires_grad_();
  const at::Tensor targets = at::arange(200);

  const at::Tensor smoothed = CrossEntropyRows(
      TinyCausalModel(), hidden, targets, /*label_smoothing=*/0.1);
  const at::Tensor gradient =
      torch::autograd::grad({smoothed.sum()}, {hidden})[0];

  const at::Tensor scores =
      at::log_softmax(TinyCausalModel().Logits(hidden), 1);
  const at::Tensor expected =
      -0.9 * scores.gather(1, targets.unsqueeze(1)).squeeze(1) -
      0.1 * scores.mean(1);
  const at::Tensor expected_gradient =
      torch::autograd::grad({expected.sum()}, {hidden})[0];
  EXPECT_TRUE(smoothed.allclose(expected, 1e-5, 1e-5));
  EXPECT_TRUE(gradient.allclose(expected_gradient, 1e-4, 1e-5));
}

TEST(GenerationLoss, TrainingSmoothsWhatItIsToldTo) {
  const Ids text = {50, 51, 52};
  const Ids answer = {60, 2};
  const std::vector<AnswerSample> samples = {{.text = text, .answer = answer}};
  const auto loss = [&](double smoothing) {
    return AnswerLoss(TinyCausalModel(), Front(TinyPrompt()), samples,
                      {.label_smoothing = smoothing})
        ->sum.item<double>();
  };

  EXPECT_DOUBLE_EQ(loss(0),
                   AnswerLoss(TinyCausalModel(), Front(TinyPrompt()), samples)
                       ->sum.item<double>());
  EXPECT_GT(std::abs(loss(0.5) - loss(0)), 1e-4);
}

TEST(GenerationLoss, WithoutGradientsTheSameLosses) {
  const at::Tensor hidden = TinyCausalModel().Embed(at::arange(200));
  const at::Tensor targets = at::arange(200);

  const at::Tensor losses =
      CrossEntropyRows(TinyCausalModel(), hidden, targets);

  EXPECT_FALSE(losses.requires_grad());
  EXPECT_TRUE(losses.allclose(CrossEntropyRows(
      TinyCausalModel(), hidden.clone().requires_grad_(), targets)));
}

}  // namespace
}  // namespace attune::worker
