#include "worker/tasks/label_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using Ids = std::vector<int64_t>;

Ids Encode(const std::string& text) {
  return TinyModel()->tokenizer->Encode(text, false)->ids;
}

struct WordOfLabel {
  int label;
  std::string text;
};

// The plain way: one whole sequence per word, every token weighed against the
// tokens that could stand in its place.
std::vector<double> ByHand(const at::Tensor& prompt, const Ids& text,
                           const std::vector<WordOfLabel>& words,
                           int num_labels, int64_t end_token) {
  std::map<Ids, std::set<int64_t>> continuations;
  std::vector<Ids> sequences;
  for (const WordOfLabel& word : words) {
    Ids ids = Encode(word.text);
    ids.push_back(end_token);
    sequences.push_back(ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      continuations[Ids(ids.begin(), ids.begin() + i)].insert(ids[i]);
    }
  }
  const at::NoGradGuard no_grad;
  std::vector<double> probabilities(num_labels, 0);
  for (size_t w = 0; w < words.size(); ++w) {
    double log_probability = 0;
    for (size_t i = 0; i < sequences[w].size(); ++i) {
      const Ids before(sequences[w].begin(), sequences[w].begin() + i);
      Ids ids = text;
      ids.insert(ids.end(), before.begin(), before.end());
      at::Tensor rows = TinyCausalModel().Embed(at::tensor(ids));
      if (prompt.defined()) rows = at::cat({prompt, rows});
      const at::Tensor hidden = *TinyCausalModel().Forward(
          {.embeddings = rows,
           .segments = {{.begin = 0, .length = rows.size(0)}}});
      const at::Tensor logits =
          TinyCausalModel().Logits(hidden.slice(0, rows.size(0) - 1))[0];
      double all = 0;
      for (int64_t token : continuations[before]) {
        all += std::exp(logits[token].item<double>());
      }
      log_probability += logits[sequences[w][i]].item<double>() - std::log(all);
    }
    probabilities[words[w].label] += std::exp(log_probability);
  }
  return probabilities;
}

struct Case {
  std::vector<WordOfLabel> words;
  int num_labels;
};

LabelTrie TrieOf(const Case& one) {
  std::vector<LabelTrie::Word> words;
  for (const WordOfLabel& word : one.words) {
    words.push_back({word.label, word.text, Encode(word.text)});
  }
  return *LabelTrie::Build(words, one.num_labels, /*end_token=*/2);
}

// Words that share beginnings, that continue each other, several per label.
Case HardCase() {
  return {{{0, " positive"},
           {0, " good"},
           {1, " posing"},
           {1, " pos"},
           {2, " the"},
           {2, " them"},
           {3, " x"}},
          4};
}

std::vector<double> Exponentials(const std::vector<double>& logarithms) {
  std::vector<double> values;
  for (double value : logarithms) values.push_back(std::exp(value));
  return values;
}

void ExpectNear(const std::vector<double>& actual,
                const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance) << i;
  }
}

TEST(LabelScorer, EqualsWholeSequencesByHand) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids text = Encode("it is and the");

  const auto scores =
      *ScoreLabels(TinyCausalModel(), {{.text = text, .trie = &trie}});

  // fp32 in another order of sums.
  ExpectNear(Exponentials(scores[0]),
             ByHand(at::Tensor(), text, HardCase().words, 4, 2), 2e-6);
}

TEST(LabelScorer, EqualsWholeSequencesByHandBehindACachedPrompt) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids text = Encode("it is and the");
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(), TinyPrompt());

  const auto scores = *ScoreLabels(
      TinyCausalModel(), {{.text = text, .trie = &trie, .prompt = &prompt}});

  ExpectNear(Exponentials(scores[0]),
             ByHand(TinyPrompt(), text, HardCase().words, 4, 2), 2e-6);
}

TEST(LabelScorer, ProbabilitiesAddUpToOne) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids text = Encode("and");

  const auto scores =
      *ScoreLabels(TinyCausalModel(), {{.text = text, .trie = &trie}});
  double sum = 0;
  for (double score : scores[0]) sum += std::exp(score);

  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST(LabelScorer, MixesPromptsTasksAndLengthsInOneBatch) {
  const LabelTrie hard = TrieOf(HardCase());
  const LabelTrie easy = TrieOf({{{0, " a"}, {1, " b"}}, 2});
  const Ids first = Encode("it is and the");
  const Ids second = Encode("x");
  const AttachedPrompt prompt = *AttachPrompt(*TinyModel(), TinyPrompt());
  const std::vector<LabelQuery> queries = {
      {.text = first, .trie = &hard, .prompt = &prompt},
      {.text = second, .trie = &easy},
      {.text = second, .trie = &hard, .prompt = &prompt}};

  const auto together = *ScoreLabels(TinyCausalModel(), queries);

  for (size_t i = 0; i < queries.size(); ++i) {
    const auto alone = *ScoreLabels(TinyCausalModel(), {queries[i]});
    ExpectNear(together[i], alone[0], 2e-5);
  }
}

TEST(LabelScorer, NoQueriesHaveNoScores) {
  EXPECT_TRUE(ScoreLabels(TinyCausalModel(), {})->empty());
}

TEST(LabelScorer, CountsTextAndBranches) {
  const LabelTrie trie = TrieOf({{{0, " 12"}, {1, " 13"}}, 2});
  const Ids text = Encode("0");

  // " " and "1" are run to ask which digit follows.
  EXPECT_EQ(NumScoringRows({.text = text, .trie = &trie}),
            static_cast<int64_t>(text.size()) + 2);
}

TEST(LabelLoss, IsMinusTheLogarithmOfTheRightLabelsProbability) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids first = Encode("it is");
  const Ids second = Encode("the and a");

  const BatchLoss loss =
      *LabelLoss(TinyCausalModel(), Front(TinyPrompt()),
                 {{.text = first, .trie = &trie, .label = 1},
                  {.text = second, .trie = &trie, .label = 2}});

  const auto by_hand = [&](const Ids& text, int label) {
    return std::log(ByHand(TinyPrompt(), text, HardCase().words, 4, 2)[label]);
  };
  EXPECT_NEAR(loss.sum.item<double>(), -by_hand(first, 1) - by_hand(second, 2),
              2e-5);
  EXPECT_EQ(loss.weight, 2);
}

TEST(LabelLoss, RunsThePromptOnceAndOnlyTheBranchesItNeeds) {
  const LabelTrie trie = TrieOf({{{0, " 12"}, {1, " 13"}, {2, " 2"}}, 3});
  const Ids text = Encode("0");
  const LabelSample in_branch{.text = text, .trie = &trie, .label = 0};

  const BatchLoss loss = *LabelLoss(TinyCausalModel(), Front(TinyPrompt()),
                                    {in_branch, in_branch});

  EXPECT_EQ(loss.num_rows, 3 + 2 * (static_cast<int64_t>(text.size()) + 2));
}

TEST(LabelLoss, EqualsTheDifferentiableScores) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids text = Encode("it is");

  const at::Tensor scores =
      *LabelLogProbabilities(TinyCausalModel(), Front(TinyPrompt()), trie,
                             {absl::Span<const int64_t>(text)});
  const BatchLoss loss =
      *LabelLoss(TinyCausalModel(), Front(TinyPrompt()),
                 {{.text = text, .trie = &trie, .label = 3}});

  EXPECT_EQ(scores.size(0), 1);
  EXPECT_EQ(scores.size(1), 4);
  EXPECT_NEAR(loss.sum.item<double>(), -scores[0][3].item<double>(), 1e-5);
}

TEST(LabelLoss, SmoothingCountsAllLabels) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids first = Encode("it is");
  const Ids second = Encode("the and a");

  const BatchLoss loss =
      *LabelLoss(TinyCausalModel(), Front(TinyPrompt()),
                 {{.text = first, .trie = &trie, .label = 1},
                  {.text = second, .trie = &trie, .label = 2}},
                 {.label_smoothing = 0.2});

  const auto by_hand = [&](const Ids& text, int label) {
    const std::vector<double> probabilities =
        ByHand(TinyPrompt(), text, HardCase().words, 4, 2);
    double sum = -0.8 * std::log(probabilities[label]);
    for (double probability : probabilities) {
      sum -= 0.2 / 4 * std::log(probability);
    }
    return sum;
  };
  EXPECT_NEAR(loss.sum.item<double>(), by_hand(first, 1) + by_hand(second, 2),
              2e-5);
  EXPECT_EQ(loss.weight, 2);
}

TEST(LabelLoss, GradientOfASmoothedLossIsThatOfItsLabels) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids text = Encode("it is");
  const at::Tensor prompt = TinyPrompt().requires_grad_();
  const at::Tensor smoothed =
      LabelLoss(TinyCausalModel(), Front(prompt),
                {{.text = text, .trie = &trie, .label = 0}},
                {.label_smoothing = 0.4})
          ->sum;
  const at::Tensor gradient = torch::autograd::grad({smoothed}, {prompt})[0];

  const at::Tensor scores =
      *LabelLogProbabilities(TinyCausalModel(), Front(prompt), trie,
                             {absl::Span<const int64_t>(text)});
  const at::Tensor plain = -0.6 * scores[0][0] - 0.1 * scores[0].sum();
  const at::Tensor expected = torch::autograd::grad({plain}, {prompt})[0];

  // The same sums of fp32 numbers in another order.
  EXPECT_TRUE(gradient.allclose(expected, 1e-4, 1e-5));
}

TEST(LabelLoss, GradientEqualsFiniteDifferences) {
  const LabelTrie trie = TrieOf(HardCase());
  const Ids first = Encode("it is");
  const Ids second = Encode("and the a");
  const std::vector<LabelSample> samples = {
      {.text = first, .trie = &trie, .label = 0},
      {.text = second, .trie = &trie, .label = 1}};
  const at::Tensor prompt = TinyPrompt().requires_grad_();
  const at::Tensor loss =
      LabelLoss(TinyCausalModel(), Front(prompt), samples)->sum;
  const at::Tensor gradient = torch::autograd::grad({loss}, {prompt})[0];

  const at::NoGradGuard no_grad;
  for (int trial = 0; trial < 5; ++trial) {
    const at::Tensor direction = at::randn_like(prompt);
    const double step = 2e-3;
    const auto loss_at = [&](double distance) {
      return LabelLoss(TinyCausalModel(), Front(prompt + direction * distance),
                       samples)
          ->sum.item<double>();
    };
    const double difference = (loss_at(step) - loss_at(-step)) / (2 * step);
    const double slope = (gradient * direction).sum().item<double>();

    // Rounding of fp32 losses of about 5 over 4e-3 leaves some 1e-3.
    EXPECT_NEAR(slope, difference, 5e-3 * std::max(1.0, std::abs(slope)));
  }
}

}  // namespace
}  // namespace attune::worker
