#include "worker/tasks/tag_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/finite_differences.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using TagIds = std::vector<int64_t>;
using ::testing::ElementsAre;

// A prompt for the tiny encoder with a head over three tags.
AttachedPrompt RandomTagPrompt(uint64_t seed, int64_t length) {
  at::manual_seed(seed);
  AttachedPrompt prompt;
  prompt.rows = at::randn({length, 32});
  prompt.head = {at::randn({3, 32}), at::randn({3})};
  return prompt;
}

// Words whose first tokens stand at these places.
std::vector<InputWord> WordsAt(const std::vector<int64_t>& tokens) {
  std::vector<InputWord> words;
  for (const int64_t token : tokens) words.push_back({.token = token});
  return words;
}

// The definition: one text alone, the row of one token -> [tags].
at::Tensor TagScoresByHand(const AttachedPrompt& prompt, const TagIds& text,
                           int64_t token) {
  const EncoderModel& model = TinyModel("encoder")->encoder();
  EncoderRows rows;
  rows.embeddings = at::cat({prompt.rows, model.Embed(at::tensor(text))});
  rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
  const at::Tensor row = (*model.Forward(rows))[prompt.rows.size(0) + token];
  return at::log_softmax(prompt.head.weight.mv(row) + prompt.head.bias, 0);
}

TEST(TagScorer, ScoresWordsOfDifferentPromptsInOneForward) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt first = RandomTagPrompt(1, 4);
  const AttachedPrompt second = RandomTagPrompt(2, 1);
  const TagIds long_text = {20, 21, 22, 23};
  const TagIds short_text = {30};
  const auto long_words = WordsAt({0, 2, -1, 3});
  const auto short_words = WordsAt({0});
  const std::vector<TagQuery> queries = {{long_text, long_words, &first},
                                         {short_text, short_words, &second}};

  const auto scores = ScoreTags(TinyModel("encoder")->encoder(), queries);

  ASSERT_OK(scores);
  ASSERT_EQ((*scores)[0].size(), 3u);
  ASSERT_EQ((*scores)[1].size(), 1u);
  const std::vector<at::Tensor> expected = {
      TagScoresByHand(first, long_text, 0),
      TagScoresByHand(first, long_text, 2),
      TagScoresByHand(first, long_text, 3),
      TagScoresByHand(second, short_text, 0)};
  TagScores all = (*scores)[0];
  all.push_back((*scores)[1][0]);
  for (size_t i = 0; i < expected.size(); ++i) {
    for (int tag = 0; tag < 3; ++tag) {
      // Another order of fp32 sums over 32 numbers of order one.
      EXPECT_NEAR(all[i][tag], expected[i][tag].item<double>(), 1e-5);
    }
  }
}

TEST(TagScorer, ATextWithoutWordsThatAreReadHasNoScores) {
  const AttachedPrompt prompt = RandomTagPrompt(1, 2);
  const TagIds text = {20, 21};
  const auto words = WordsAt({-1});

  const auto scores =
      ScoreTags(TinyModel("encoder")->encoder(), {{text, words, &prompt}});

  ASSERT_OK(scores);
  EXPECT_TRUE((*scores)[0].empty());
}

TEST(TagScorer, TheLossIsThatOfTheRightTagsOfWordsThatAreRead) {
  const at::NoGradGuard no_grad;
  const AttachedPrompt prompt = RandomTagPrompt(3, 2);
  const TagIds first = {20, 21};
  const TagIds second = {50, 51, 52};
  const auto first_words = WordsAt({1, -1});
  const auto second_words = WordsAt({0, 2});
  const std::vector<int> first_tags = {2, 1};
  const std::vector<int> second_tags = {0, 1};

  const auto loss =
      TagLoss(TinyModel("encoder")->encoder(), prompt,
              std::vector<TagSample>{{first, first_words, first_tags},
                                     {second, second_words, second_tags}});

  ASSERT_OK(loss);
  const double expected = -TagScoresByHand(prompt, first, 1)[2].item<double>() -
                          TagScoresByHand(prompt, second, 0)[0].item<double>() -
                          TagScoresByHand(prompt, second, 2)[1].item<double>();
  EXPECT_NEAR(loss->sum.item<double>(), expected, 1e-5);
  EXPECT_EQ(loss->weight, 3);
  EXPECT_EQ(loss->num_rows, 2 + 2 + 2 + 3);
}

TEST(TagScorer, GradientsEqualFiniteDifferences) {
  const AttachedPrompt prompt = RandomTagPrompt(4, 2);
  const TagIds text = {20, 21, 22};
  const auto words = WordsAt({0, 2});
  const std::vector<int> tags = {1, 0};
  const std::vector<TagSample> samples = {{text, words, tags}};
  const auto loss_at = [&](const std::vector<at::Tensor>& values) {
    AttachedPrompt front = Front(values[0]);
    front.head = {values[1], values[2]};
    return TagLoss(TinyModel("encoder")->encoder(), front, samples,
                   /*label_smoothing=*/0.1)
        ->sum;
  };
  ExpectGradientsEqualFiniteDifferences(
      loss_at, {prompt.rows, prompt.head.weight, prompt.head.bias});
}

TEST(DecodeTags, WordsThatAreNotReadAreOutside) {
  const TagScheme tags =
      *TagScheme::Create(std::vector<std::string>{"B-X", "I-X", "O"});
  const auto words = WordsAt({0, -1, 1});

  // Alone the likeliest tags would be B-X and I-X, which may not stand behind
  // O.
  EXPECT_THAT(DecodeTags(tags, words, {{-0.1, -2, -3}, {-2, -0.1, -3}}),
              ElementsAre(0, 2, 0));
}

}  // namespace
}  // namespace attune::worker
