#include "worker/tasks/head_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/finite_differences.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using HeadIds = std::vector<int64_t>;

// A prompt for the tiny encoder with a head over three labels.
AttachedPrompt RandomPrompt(uint64_t seed, int64_t length) {
  at::manual_seed(seed);
  AttachedPrompt prompt;
  prompt.rows = at::randn({length, 32});
  prompt.head = {at::randn({3, 32}), at::randn({3})};
  return prompt;
}

// The definition: one text alone, the mean of its own rows.
at::Tensor ScoresByHand(const AttachedPrompt& prompt, const HeadIds& text) {
  const EncoderModel& model = TinyModel("encoder")->encoder();
  EncoderRows rows;
  rows.embeddings = at::cat({prompt.rows, model.Embed(at::tensor(text))});
  rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
  const at::Tensor hidden = *model.Forward(rows);
  const at::Tensor pooled = hidden.slice(0, prompt.rows.size(0)).mean(0);
  return at::log_softmax(prompt.head.weight.mv(pooled) + prompt.head.bias, 0);
}

TEST(HeadScorer, ScoresTextsOfDifferentPromptsInOneForward) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt first = RandomPrompt(1, 4);
  const AttachedPrompt second = RandomPrompt(2, 1);
  const std::vector<HeadIds> texts = {{20, 21, 22}, {30}, {40, 41}};
  const std::vector<const AttachedPrompt*> prompts = {&first, &second, &first};
  std::vector<HeadQuery> queries;
  for (size_t i = 0; i < texts.size(); ++i) {
    queries.push_back({texts[i], prompts[i]});
  }

  const auto scores = ScoreByHead(TinyModel("encoder")->encoder(), queries);

  ASSERT_OK(scores);
  for (size_t i = 0; i < texts.size(); ++i) {
    const at::Tensor expected = ScoresByHand(*prompts[i], texts[i]);
    double sum = 0;
    for (int label = 0; label < 3; ++label) {
      // Another order of fp32 sums over 32 numbers of order one.
      EXPECT_NEAR((*scores)[i][label], expected[label].item<double>(), 1e-5);
      sum += std::exp((*scores)[i][label]);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST(HeadScorer, TheLossIsThatOfTheRightLabels) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomPrompt(3, 2);
  const HeadIds first = {20, 21};
  const HeadIds second = {50, 51, 52, 53};

  const auto loss = HeadLoss(TinyModel("encoder")->encoder(), prompt,
                             std::vector<HeadSample>{{first, 2}, {second, 0}});

  ASSERT_OK(loss);
  const double expected = -ScoresByHand(prompt, first)[2].item<double>() -
                          ScoresByHand(prompt, second)[0].item<double>();
  EXPECT_NEAR(loss->sum.item<double>(), expected, 1e-5);
  EXPECT_EQ(loss->weight, 2);
  EXPECT_EQ(loss->num_rows, 2 + 2 + 2 + 4);
}

TEST(HeadScorer, ASmoothedLossCountsAllLabels) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomPrompt(3, 2);
  const HeadIds text = {20, 21};

  const auto loss =
      HeadLoss(TinyModel("encoder")->encoder(), prompt,
               std::vector<HeadSample>{{text, 2}}, /*label_smoothing=*/0.3);

  ASSERT_OK(loss);
  const at::Tensor scores = ScoresByHand(prompt, text);
  const double expected =
      -0.7 * scores[2].item<double>() - 0.3 / 3 * scores.sum().item<double>();
  EXPECT_NEAR(loss->sum.item<double>(), expected, 1e-5);
  EXPECT_EQ(loss->weight, 1);
}

// What the head gives before it becomes probabilities, by the definition.
at::Tensor OutputsByHand(const AttachedPrompt& prompt, const HeadIds& text) {
  const EncoderModel& model = TinyModel("encoder")->encoder();
  EncoderRows rows;
  rows.embeddings = at::cat({prompt.rows, model.Embed(at::tensor(text))});
  rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
  const at::Tensor hidden = *model.Forward(rows);
  return prompt.head.weight.mv(hidden.slice(0, prompt.rows.size(0)).mean(0)) +
         prompt.head.bias;
}

TEST(HeadScorer, OutputsAreThoseOfTheHead) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomPrompt(5, 2);
  const HeadIds text = {20, 21};

  const auto outputs =
      HeadOutputs(TinyModel("encoder")->encoder(), {{text, &prompt}});

  ASSERT_OK(outputs);
  const at::Tensor expected = OutputsByHand(prompt, text);
  ASSERT_EQ(outputs->front().size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(outputs->front()[i], expected[i].item<double>(), 1e-5);
  }
}

TEST(HeadScorer, LabelsAboveOneHalfHaveOddsAboveOne) {
  EXPECT_EQ(LabelsAbove({-0.1, 0.1, 0, 3}), (std::vector<int>{1, 3}));
}

TEST(HeadScorer, TheLossOfLabelsIsTheirMeanBinaryCrossEntropy) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomPrompt(6, 2);
  const HeadIds first = {20, 21};
  const HeadIds second = {50, 51, 52};
  const std::vector<int> both = {0, 2};

  const auto loss =
      LabelSetLoss(TinyModel("encoder")->encoder(), prompt,
                   std::vector<LabelSetSample>{{first, both}, {second, {}}});

  ASSERT_OK(loss);
  double expected = 0;
  for (const auto& [text, right] :
       {std::pair(first, std::vector<bool>{true, false, true}),
        std::pair(second, std::vector<bool>{false, false, false})}) {
    const at::Tensor outputs = OutputsByHand(prompt, text);
    for (int i = 0; i < 3; ++i) {
      const double yes = 1 / (1 + std::exp(-outputs[i].item<double>()));
      expected -= std::log(right[i] ? yes : 1 - yes) / 3;
    }
  }
  EXPECT_NEAR(loss->sum.item<double>(), expected, 1e-4);
  EXPECT_EQ(loss->weight, 2);
}

TEST(HeadScorer, TheLossOfANumberIsItsSquaredError) {
  const at::NoGradGuard no_grad;
  AttachedPrompt prompt = RandomPrompt(7, 2);
  prompt.head = {prompt.head.weight.slice(0, 0, 1),
                 prompt.head.bias.slice(0, 0, 1)};
  const HeadIds text = {20, 21};

  const auto loss = NumberLoss(TinyModel("encoder")->encoder(), prompt,
                               std::vector<NumberSample>{{text, 0.5}});

  ASSERT_OK(loss);
  const double error = OutputsByHand(prompt, text)[0].item<double>() - 0.5;
  EXPECT_NEAR(loss->sum.item<double>(), error * error,
              1e-5 * (1 + error * error));
}

TEST(HeadScorer, GradientsOfLabelSetsEqualFiniteDifferences) {
  const AttachedPrompt prompt = RandomPrompt(8, 2);
  const HeadIds text = {20, 21, 22};
  const std::vector<int> labels = {1};
  ExpectGradientsEqualFiniteDifferences(
      [&](const std::vector<at::Tensor>& values) {
        AttachedPrompt front = Front(values[0]);
        front.head = {values[1], values[2]};
        return LabelSetLoss(TinyModel("encoder")->encoder(), front,
                            std::vector<LabelSetSample>{{text, labels}})
            ->sum;
      },
      {prompt.rows, prompt.head.weight, prompt.head.bias});
}

TEST(HeadScorer, GradientsOfNumbersEqualFiniteDifferences) {
  const AttachedPrompt prompt = RandomPrompt(9, 2);
  const HeadIds text = {20, 21, 22};
  ExpectGradientsEqualFiniteDifferences(
      [&](const std::vector<at::Tensor>& values) {
        AttachedPrompt front = Front(values[0]);
        front.head = {values[1], values[2]};
        return NumberLoss(TinyModel("encoder")->encoder(), front,
                          std::vector<NumberSample>{{text, 0.25}})
            ->sum;
      },
      // Small weights, so that the loss is of order one.
      {prompt.rows, 0.1 * prompt.head.weight.slice(0, 0, 1),
       prompt.head.bias.slice(0, 0, 1).clone()});
}

TEST(HeadScorer, GradientsEqualFiniteDifferences) {
  const AttachedPrompt prompt = RandomPrompt(4, 2);
  const HeadIds text = {20, 21, 22};
  const std::vector<HeadSample> samples = {{text, 1}};
  const auto loss_at = [&](const std::vector<at::Tensor>& values) {
    AttachedPrompt front = Front(values[0]);
    front.head = {values[1], values[2]};
    return HeadLoss(TinyModel("encoder")->encoder(), front, samples)->sum;
  };
  ExpectGradientsEqualFiniteDifferences(
      loss_at, {prompt.rows, prompt.head.weight, prompt.head.bias});
}

}  // namespace
}  // namespace attune::worker
