#include "worker/tasks/choice_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/testing/reference_llama.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/generation_loss.h"

namespace attune::worker {
namespace {

using Ids = std::vector<int64_t>;
using ChoiceList = std::vector<Ids>;

// Of one token, of several, two that begin alike.
ChoiceList HardChoices() {
  return {{60}, {61, 62, 63, 64, 65}, {60, 66}, {70, 71, 72}};
}

// The model of TinyCausalModel in its plain form.
const ReferenceLlama& PlainModel() {
  static const auto* const model = [] {
    const TempDirectory directory;
    EXPECT_TRUE(WriteTinyLlama(directory.path()).ok());
    return ReferenceLlama::Load(directory.path())->release();
  }();
  return *model;
}

// The log-probabilities of the choices, each of which goes behind prompt and
// text through the plain model in a batch of its own: [choices].
at::Tensor PlainScores(const at::Tensor& prompt, const Ids& text,
                       const ChoiceList& choices) {
  std::vector<at::Tensor> scores;
  for (const Ids& choice : choices) {
    Ids ids = text;
    ids.insert(ids.end(), choice.begin(), choice.end());
    at::Tensor rows = PlainModel().Embed(at::tensor(ids));
    if (prompt.defined()) rows = at::cat({prompt, rows});
    const at::Tensor hidden = PlainModel().Forward(rows.unsqueeze(0))[0];
    const int64_t count = static_cast<int64_t>(choice.size());
    const at::Tensor log_probabilities = at::log_softmax(
        PlainModel().Logits(hidden.narrow(0, rows.size(0) - count - 1, count)),
        1);
    scores.push_back(
        log_probabilities.gather(1, at::tensor(choice).unsqueeze(1)).mean());
  }
  return at::log_softmax(at::stack(scores), 0);
}

void ExpectScores(const std::vector<double>& actual,
                  const at::Tensor& expected) {
  ASSERT_EQ(static_cast<int64_t>(actual.size()), expected.size(0));
  for (size_t i = 0; i < actual.size(); ++i) {
    // fp32 in another order of sums.
    EXPECT_NEAR(actual[i], expected[static_cast<int64_t>(i)].item<double>(),
                1e-5)
        << i;
  }
}

TEST(ChoiceScorer, EqualsEveryChoiceInABatchOfItsOwn) {
  const Ids text = {50, 51, 52};
  const ChoiceList choices = HardChoices();

  const auto scores =
      *ScoreChoices(TinyCausalModel(), {{.text = text, .choices = choices}});

  ExpectScores(scores[0], PlainScores(at::Tensor(), text, choices));
}

TEST(ChoiceScorer, EqualsEveryChoiceInABatchOfItsOwnBehindAPrompt) {
  const Ids text = {50, 51, 52};
  const ChoiceList choices = HardChoices();
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(), TinyPrompt());

  const auto scores =
      *ScoreChoices(TinyCausalModel(),
                    {{.text = text, .choices = choices, .prompt = &prompt}});

  ExpectScores(scores[0], PlainScores(TinyPrompt(), text, choices));
}

TEST(ChoiceScorer, OfAnEncoderDecoderEqualsEveryAnswerAlone) {
  const LanguageModel& model = AsLanguage(*TinyModel("t5")->model);
  const Ids text = {50, 51, 52};
  const ChoiceList choices = HardChoices();
  const AttachedPrompt prompt =
      *AttachPrompt(*TinyModel("t5"), model.Embed(at::tensor(Ids{20, 40, 60})));
  for (const AttachedPrompt* front :
       std::vector<const AttachedPrompt*>{nullptr, &prompt}) {
    const auto scores = *ScoreChoices(
        model, {{.text = text, .choices = choices, .prompt = front}});

    std::vector<double> means;
    for (const Ids& choice : choices) {
      const auto losses = *AnswerLosses(
          model, {{.text = text, .answer = choice, .prompt = front}});
      means.push_back(-losses[0] / static_cast<double>(choice.size()));
    }
    ExpectScores(scores[0], at::log_softmax(at::tensor(means), 0));
  }
}

TEST(ChoiceScorer, ProbabilitiesAddUpToOne) {
  const Ids text = {50, 51};
  const ChoiceList choices = HardChoices();

  const auto scores =
      *ScoreChoices(TinyCausalModel(), {{.text = text, .choices = choices}});
  double sum = 0;
  for (const double score : scores[0]) sum += std::exp(score);

  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST(ChoiceScorer, MixesPromptsAndNumbersOfChoicesInOneBatch) {
  const Ids first = {50, 51, 52};
  const Ids second = {53};
  const ChoiceList hard = HardChoices();
  const ChoiceList short_ones = {{80}, {81}};
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(), TinyPrompt());
  const std::vector<ChoiceQuery> queries = {
      {.text = first, .choices = hard, .prompt = &prompt},
      {.text = second, .choices = short_ones},
      {.text = second, .choices = hard, .prompt = &prompt}};

  const auto together = *ScoreChoices(TinyCausalModel(), queries);

  ASSERT_EQ(together.size(), 3u);
  ExpectScores(together[0], PlainScores(TinyPrompt(), first, hard));
  ExpectScores(together[1], PlainScores(at::Tensor(), second, short_ones));
  ExpectScores(together[2], PlainScores(TinyPrompt(), second, hard));
}

TEST(ChoiceScorer, NoQueriesHaveNoScores) {
  EXPECT_TRUE(ScoreChoices(TinyCausalModel(), {})->empty());
}

TEST(ChoiceScorer, CountsTextAndAllButTheLastTokens) {
  const Ids text = {50, 51, 52};
  const ChoiceList choices = HardChoices();

  EXPECT_EQ(NumBranchRows(choices), 0 + 4 + 1 + 2);
  EXPECT_EQ(NumChoiceRows({.text = text, .choices = choices}), 3 + 7);
}

TEST(ChoiceLoss, IsMinusTheLogarithmOfTheRightChoicesProbability) {
  const Ids first = {50, 51, 52};
  const Ids second = {53, 54};
  const ChoiceList hard = HardChoices();
  const ChoiceList short_ones = {{80}, {81}};

  const BatchLoss loss =
      *ChoiceLoss(TinyCausalModel(), Front(TinyPrompt()),
                  {{.text = first, .choices = hard, .right = 2},
                   {.text = second, .choices = short_ones, .right = 1}});

  EXPECT_NEAR(
      loss.sum.item<double>(),
      -PlainScores(TinyPrompt(), first, hard)[2].item<double>() -
          PlainScores(TinyPrompt(), second, short_ones)[1].item<double>(),
      2e-5);
  EXPECT_EQ(loss.weight, 2);
  // The prompt stands there once.
  EXPECT_EQ(loss.num_rows, 3 + (3 + NumBranchRows(hard)) + 2);
}

TEST(ChoiceLoss, SmoothingCountsAllChoicesOfTheRow) {
  const Ids text = {50, 51, 52};
  const ChoiceList choices = HardChoices();

  const BatchLoss loss =
      *ChoiceLoss(TinyCausalModel(), Front(TinyPrompt()),
                  {{.text = text, .choices = choices, .right = 1}},
                  {.label_smoothing = 0.2});

  const at::Tensor plain = PlainScores(TinyPrompt(), text, choices);
  EXPECT_NEAR(
      loss.sum.item<double>(),
      -0.8 * plain[1].item<double>() - 0.2 / 4 * plain.sum().item<double>(),
      2e-5);
  EXPECT_EQ(loss.weight, 1);
}

TEST(ChoiceLoss, GradientIsThatOfThePlainModel) {
  const Ids first = {50, 51, 52};
  const Ids second = {53, 54};
  const ChoiceList choices = HardChoices();
  const at::Tensor prompt = TinyPrompt().requires_grad_();

  const at::Tensor loss =
      ChoiceLoss(TinyCausalModel(), Front(prompt),
                 {{.text = first, .choices = choices, .right = 3},
                  {.text = second, .choices = choices, .right = 0}})
          ->sum;
  const at::Tensor gradient = torch::autograd::grad({loss}, {prompt})[0];

  const at::Tensor plain = -PlainScores(prompt, first, choices)[3] -
                           PlainScores(prompt, second, choices)[0];
  const at::Tensor expected = torch::autograd::grad({plain}, {prompt})[0];
  EXPECT_GT(expected.abs().max().item<double>(), 1e-3);
  // The same sums of fp32 numbers in another order.
  EXPECT_TRUE(gradient.allclose(expected, 1e-3, 1e-5));
}

TEST(ChoiceLoss, GradientOfAnEncoderDecoderIsThatOfEveryAnswerAlone) {
  const LanguageModel& model = AsLanguage(*TinyModel("t5")->model);
  const Ids text = {50, 51, 52};
  const ChoiceList choices = HardChoices();
  const at::Tensor prompt =
      model.Embed(at::tensor(Ids{20, 40, 60})).requires_grad_();
  const at::Tensor loss =
      ChoiceLoss(model, Front(prompt),
                 {{.text = text, .choices = choices, .right = 1}})
          ->sum;
  const at::Tensor gradient = torch::autograd::grad({loss}, {prompt})[0];

  std::vector<at::Tensor> means;
  for (const Ids& choice : choices) {
    const BatchLoss alone =
        *AnswerLoss(model, Front(prompt), {{.text = text, .answer = choice}});
    means.push_back(-alone.sum / alone.weight);
  }
  const at::Tensor plain = -at::log_softmax(at::stack(means), 0)[1];
  const at::Tensor expected = torch::autograd::grad({plain}, {prompt})[0];
  EXPECT_NEAR(loss.item<double>(), plain.item<double>(), 1e-5);
  EXPECT_GT(expected.abs().max().item<double>(), 1e-3);
  // The same sums of fp32 numbers in another order.
  EXPECT_TRUE(gradient.allclose(expected, 1e-3, 1e-5));
}

TEST(ChoiceLoss, ACommonBeginningRunsOnceForLossAndGradient) {
  const Ids first = {50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 70};
  const Ids second = {50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 71, 72};
  const ChoiceList choices = HardChoices();
  const std::vector<ChoiceSample> samples = {
      {.text = first, .choices = choices, .right = 0},
      {.text = second, .choices = choices, .right = 2}};
  const at::Tensor prompt = TinyPrompt().requires_grad_();
  const auto in_steps_of = [&](bool share_beginnings) {
    return *ChoiceLoss(TinyCausalModel(), Front(prompt), samples,
                       {.share_beginnings = share_beginnings});
  };
  const auto gradient_of = [&](const BatchLoss& loss) {
    return torch::autograd::grad({loss.sum}, {prompt})[0];
  };

  const BatchLoss shared = in_steps_of(true);
  const BatchLoss repeated = in_steps_of(false);

  EXPECT_EQ(repeated.num_rows - shared.num_rows, 10);
  EXPECT_NEAR(shared.sum.item<double>(), repeated.sum.item<double>(), 2e-5);
  EXPECT_TRUE(gradient_of(shared).allclose(gradient_of(repeated), 1e-4, 1e-5));
}

}  // namespace
}  // namespace attune::worker
