#include "worker/tasks/span_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/finite_differences.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::DoubleNear;
using ::testing::Pointwise;

// A prompt for the tiny encoder with a head of two outputs.
AttachedPrompt RandomSpanPrompt(uint64_t seed, int64_t length) {
  at::manual_seed(seed);
  AttachedPrompt prompt;
  prompt.rows = at::randn({length, 32});
  prompt.head = {at::randn({2, 32}), at::randn({2})};
  return prompt;
}

// `context` tokens from the place `first` on, each two bytes long.
ContextWindow WindowOf(const std::vector<int64_t>& ids, int64_t first,
                       size_t context) {
  ContextWindow window;
  window.ids = ids;
  window.first = first;
  for (size_t i = 0; i < context; ++i) {
    window.tokens.push_back({2 * i, 2 * i + 2});
  }
  window.end = 2 * context;
  return window;
}

// The definition: one window alone -> [1 + tokens, 2].
at::Tensor SpanOutputsByHand(const AttachedPrompt& prompt,
                             const ContextWindow& window) {
  const EncoderModel& model = TinyModel("encoder")->encoder();
  EncoderRows rows;
  rows.embeddings = at::cat({prompt.rows, model.Embed(at::tensor(window.ids))});
  rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
  const at::Tensor hidden = *model.Forward(rows);
  std::vector<at::Tensor> candidates = {hidden[prompt.rows.size(0)]};
  for (size_t i = 0; i < window.tokens.size(); ++i) {
    candidates.push_back(
        hidden[prompt.rows.size(0) + window.first + static_cast<int64_t>(i)]);
  }
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& row : candidates) {
    outputs.push_back(
        (prompt.head.weight.mv(row) + prompt.head.bias).unsqueeze(0));
  }
  return at::cat(outputs);
}

TEST(SpanScorer, ScoresWindowsOfDifferentPromptsInOneForward) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt first = RandomSpanPrompt(1, 3);
  const AttachedPrompt second = RandomSpanPrompt(2, 1);
  const std::vector<ContextWindow> two = {WindowOf({20, 21, 22, 23}, 2, 2),
                                          WindowOf({20, 21, 24}, 2, 1)};
  const std::vector<ContextWindow> one = {WindowOf({30, 31, 32}, 1, 2)};

  const auto scores = ScoreSpans(TinyModel("encoder")->encoder(),
                                 {{two, &first}, {one, &second}});

  ASSERT_OK(scores);
  ASSERT_EQ((*scores)[0].size(), 2u);
  ASSERT_EQ((*scores)[1].size(), 1u);
  const auto expect = [](const SpanScores& given, const at::Tensor& outputs) {
    ASSERT_EQ(static_cast<int64_t>(given.begins.size()), outputs.size(0));
    for (int64_t i = 0; i < outputs.size(0); ++i) {
      // Another order of fp32 sums over 32 numbers of order one.
      EXPECT_NEAR(given.begins[i], outputs[i][0].item<double>(), 1e-5);
      EXPECT_NEAR(given.ends[i], outputs[i][1].item<double>(), 1e-5);
    }
  };
  expect((*scores)[0][0], SpanOutputsByHand(first, two[0]));
  expect((*scores)[0][1], SpanOutputsByHand(first, two[1]));
  expect((*scores)[1][0], SpanOutputsByHand(second, one[0]));
}

TEST(SpanScorer, SmallerPassesGiveTheSameScores) {
  const AttachedPrompt prompt = RandomSpanPrompt(6, 3);
  const std::vector<ContextWindow> windows = {WindowOf({20, 21, 22, 23}, 2, 2),
                                              WindowOf({20, 21, 24}, 2, 1),
                                              WindowOf({30, 31, 32}, 1, 2)};
  const EncoderModel& model = TinyModel("encoder")->encoder();
  const SpanQuery query = {.windows = windows, .prompt = &prompt};

  const auto at_once = ScoreSpans(model, {query, query});
  const auto in_parts = ScoreSpans(model, {query, query}, /*max_rows=*/8);

  ASSERT_OK(at_once);
  ASSERT_OK(in_parts);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t w = 0; w < windows.size(); ++w) {
      EXPECT_THAT((*in_parts)[i][w].begins,
                  Pointwise(DoubleNear(1e-5), (*at_once)[i][w].begins));
      EXPECT_THAT((*in_parts)[i][w].ends,
                  Pointwise(DoubleNear(1e-5), (*at_once)[i][w].ends));
    }
  }
}

TEST(SpanScorer, SmoothingSharesWithAllPlacesOfTheWindow) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomSpanPrompt(3, 2);
  const ContextWindow window = WindowOf({20, 21, 22, 23}, 1, 3);

  const auto loss = SpanLoss(TinyModel("encoder")->encoder(), prompt,
                             std::vector<SpanSample>{{&window, {1, 3}}},
                             /*label_smoothing=*/0.2);

  ASSERT_OK(loss);
  const at::Tensor scores =
      at::log_softmax(SpanOutputsByHand(prompt, window), 0);
  double expected = 0;
  for (int i = 0; i < 4; ++i) {
    expected -= (0.05 + (i == 1 ? 0.8 : 0)) * scores[i][0].item<double>() / 2;
    expected -= (0.05 + (i == 3 ? 0.8 : 0)) * scores[i][1].item<double>() / 2;
  }
  EXPECT_NEAR(loss->sum.item<double>(), expected, 1e-5);
}

TEST(SpanScorer, TheLossIsThatOfBeginningAndEnd) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomSpanPrompt(3, 2);
  const ContextWindow with = WindowOf({20, 21, 22, 23}, 1, 3);
  const ContextWindow without = WindowOf({40, 41}, 1, 1);

  const auto loss =
      SpanLoss(TinyModel("encoder")->encoder(), prompt,
               std::vector<SpanSample>{{&with, {1, 3}}, {&without, {0, 0}}});

  ASSERT_OK(loss);
  const at::Tensor a = at::log_softmax(SpanOutputsByHand(prompt, with), 0);
  const at::Tensor b = at::log_softmax(SpanOutputsByHand(prompt, without), 0);
  const double expected =
      -(a[1][0] + a[3][1] + b[0][0] + b[0][1]).item<double>() / 2;
  EXPECT_NEAR(loss->sum.item<double>(), expected, 1e-5);
  EXPECT_EQ(loss->weight, 2);
  const auto scores =
      ScoreSpans(TinyModel("encoder")->encoder(), {{{&with, 1}, &prompt}});
  EXPECT_NEAR(SpanLossOf((*scores)[0][0], {1, 3}),
              -(a[1][0] + a[3][1]).item<double>() / 2, 1e-5);
}

TEST(SpanScorer, GradientsEqualFiniteDifferences) {
  const AttachedPrompt prompt = RandomSpanPrompt(4, 2);
  const ContextWindow window = WindowOf({20, 21, 22, 23}, 1, 3);
  ExpectGradientsEqualFiniteDifferences(
      [&](const std::vector<at::Tensor>& values) {
        AttachedPrompt front = Front(values[0]);
        front.head = {values[1], values[2]};
        return SpanLoss(TinyModel("encoder")->encoder(), front,
                        std::vector<SpanSample>{{&window, {2, 3}}})
            ->sum;
      },
      {prompt.rows, prompt.head.weight, prompt.head.bias});
}

// Scores of no answer, then of three tokens.
SpanScores ScoresOf(std::vector<double> begins, std::vector<double> ends) {
  return {.begins = std::move(begins), .ends = std::move(ends)};
}

TEST(FindBestSpan, IsTheBestOfAllWindows) {
  std::mt19937 random(7);
  std::normal_distribution<double> noise(0, 2);
  for (int round = 0; round < 200; ++round) {
    std::vector<ContextWindow> windows;
    std::vector<SpanScores> scores;
    double best = -1e9;
    double no_answer = 1e9;
    ContextSpan expected;
    for (int w = 0; w < 2; ++w) {
      windows.push_back(WindowOf({1, 2, 3, 4}, 1, 3));
      for (auto& token : windows.back().tokens) {
        token.begin += 4 * w;
        token.end += 4 * w;
      }
      SpanScores drawn;
      for (int i = 0; i < 4; ++i) {
        drawn.begins.push_back(noise(random));
        drawn.ends.push_back(noise(random));
      }
      no_answer = std::min(no_answer, drawn.begins[0] + drawn.ends[0]);
      for (int i = 1; i < 4; ++i) {
        for (int j = i; j < 4 && j - i < 2; ++j) {
          if (drawn.begins[i] + drawn.ends[j] <= best) continue;
          best = drawn.begins[i] + drawn.ends[j];
          expected = {windows[w].tokens[i - 1].begin,
                      windows[w].tokens[j - 1].end};
        }
      }
      scores.push_back(drawn);
    }
    if (best <= no_answer) expected = {};

    const ScoredSpan found = FindBestSpan(windows, scores, /*max_tokens=*/2);

    EXPECT_EQ(found.span, expected);
    EXPECT_GT(found.score, 0);
    EXPECT_LE(found.score, 1);
  }
}

TEST(FindBestSpan, ScoresAnswersByTheirProbabilities) {
  const std::vector<ContextWindow> window = {WindowOf({1, 2, 3, 4}, 1, 3)};
  const double most = std::log(7.0);  // of 10 with three others

  const ScoredSpan answer = FindBestSpan(
      window,
      std::vector<SpanScores>{ScoresOf({0, most, 0, 0}, {0, 0, most, 0})}, 30);
  const ScoredSpan none = FindBestSpan(
      window,
      std::vector<SpanScores>{ScoresOf({most, 0, 0, 0}, {most, 0, 0, 0})}, 30);

  EXPECT_EQ(answer.span, (ContextSpan{0, 4}));
  EXPECT_NEAR(answer.score, 0.49, 1e-12);
  EXPECT_TRUE(none.span.empty());
  EXPECT_NEAR(none.score, 0.49, 1e-12);
}

TEST(FindBestSpan, WhatStandsForNoCharacterAnswersNothing) {
  std::vector<ContextWindow> window = {WindowOf({1, 2, 3, 4}, 1, 3)};
  window[0].tokens[1] = {2, 2};  // a space that was cut off

  const ScoredSpan found = FindBestSpan(
      window, std::vector<SpanScores>{ScoresOf({0, 0, 9, 1}, {0, 0, 9, 1})}, 1);

  EXPECT_EQ(found.span, (ContextSpan{4, 6}));
}

TEST(FindBestSpan, NoScoreIsNoAnswer) {
  const std::vector<ContextWindow> window = {WindowOf({1, 2, 3, 4}, 1, 3)};
  for (const double wrong : {std::nan(""), HUGE_VAL}) {
    for (const size_t place : {0, 2}) {
      SpanScores scores = ScoresOf({0, 1, 0, 0}, {0, 1, 0, 0});
      scores.begins[place] = wrong;

      const ScoredSpan found =
          FindBestSpan(window, std::vector<SpanScores>{scores}, 30);

      EXPECT_TRUE(std::isnan(found.score));
    }
  }
}

}  // namespace
}  // namespace attune::worker
