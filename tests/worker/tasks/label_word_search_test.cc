#include "worker/tasks/label_word_search.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/models/encoder_model.h"
#include "worker/models/language_model.h"
#include "worker/tasks/language_batch.h"

namespace attune::worker {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using LabelWordLists = std::vector<std::vector<std::string>>;

// More than the tiny vocabulary has.
constexpr int kAllWords = 100;

// The words of the tiny vocabulary that are one token behind a space. " posit"
// is a token, too, but merges begin with its "Ġp".
std::vector<std::string> SpacedTinyWords() { return {"the", "and", "is"}; }

// Those that are one token without a space.
std::vector<std::string> BareTinyWords() {
  return {"he", "in",   "re", "on",  "er", "at",    "en",  "or", "it",
          "os", "is",   "nd", "es",  "ou", "ed",    "ing", "al", "le",
          "ar", "osit", "ve", "ive", "an", "posit", "gat"};
}

// A text with its label.
struct TextOfLabel {
  std::string text;
  std::string label;
};

std::vector<TextOfLabel> TextsOfThreeLabels() {
  return {{"it is", "yes"},       {"and the one", "yes"},
          {"so what", "no"},      {"positive", "maybe"},
          {"gating on", "maybe"}, {"is it in there", "maybe"}};
}

attune::v1::TaskSpec ThreeLabelTask() {
  return LabelTask({"yes", "no", "maybe"});
}

std::vector<PreparedExample> PrepareTexts(
    const TaskProgram& program, const std::vector<TextOfLabel>& texts) {
  std::vector<Example> examples;
  examples.reserve(texts.size());
  for (const TextOfLabel& one : texts) {
    examples.push_back({.row = static_cast<int64_t>(examples.size()) + 1,
                        .fields = Concat(R"({"text": ")", one.text, "\"}"),
                        .answer = one.label});
  }
  return *PrepareExamples(program, examples);
}

// Log-probabilities of the whole vocabulary where the answer stands, of an
// input that is alone in its pass: [vocab], fp64.
at::Tensor LogsOfVocabulary(const TaskProgram& program,
                            const TaskInput& input) {
  const at::NoGradGuard no_grad;
  at::Tensor logits;
  if (program.scores_at_mask()) {
    const EncoderModel& model = program.model().encoder();
    EncoderRows rows;
    rows.embeddings = model.Embed(at::tensor(input.ids, at::kLong));
    rows.segments = {{.begin = 0, .length = rows.embeddings.size(0)}};
    const at::Tensor hidden = *model.Forward(rows);
    logits = *model.HeadLogits(hidden.narrow(0, input.mask_place, 1));
  } else {
    const LanguageModel& model = program.model().language();
    LanguageBatch batch(model);
    std::vector<BatchText> texts(1);
    texts[0].text = input.ids;
    const int segment = batch.AddTexts(texts).front();
    logits = model.Logits(*batch.Run({batch.RowBehindText(segment)}));
  }
  return logits[0].to(at::kDouble).log_softmax(0);
}

// What is to be found among `words`, one word, label and example at a time.
LabelWordLists WordsByHand(const TaskProgram& program,
                           const std::vector<PreparedExample>& examples,
                           const std::vector<std::string>& words) {
  std::vector<at::Tensor> logs;
  logs.reserve(examples.size());
  for (const PreparedExample& one : examples) {
    logs.push_back(LogsOfVocabulary(program, one.input));
  }
  std::vector<std::vector<std::pair<double, std::string>>> scored(
      program.labels().size());
  for (const std::string& word : words) {
    std::vector<double> values;
    values.reserve(examples.size());
    for (size_t i = 0; i < examples.size(); ++i) {
      const bool spaced =
          program.scores_at_mask() || !examples[i].input.bare_answer;
      const std::vector<int64_t> ids =
          program.model()
              .tokenizer->Encode(spaced ? Concat(" ", word) : word, false)
              ->ids;
      EXPECT_THAT(ids, SizeIs(1)) << word;
      values.push_back(logs[i][ids[0]].item<double>());
    }
    size_t best_label = 0;
    double best_score = 0;
    for (size_t label = 0; label < scored.size(); ++label) {
      double sums[] = {0, 0};  // of the others and of the label
      int counts[] = {0, 0};
      for (size_t i = 0; i < examples.size(); ++i) {
        const int side = examples[i].label == static_cast<int>(label) ? 1 : 0;
        sums[side] += values[i];
        ++counts[side];
      }
      if (counts[0] == 0 || counts[1] == 0) continue;
      const double score = sums[1] / counts[1] - sums[0] / counts[0];
      if (score <= best_score) continue;
      best_label = label;
      best_score = score;
    }
    if (best_score > 0) scored[best_label].emplace_back(best_score, word);
  }
  LabelWordLists found(scored.size());
  for (size_t label = 0; label < scored.size(); ++label) {
    std::sort(scored[label].begin(), scored[label].end(), std::greater<>());
    found[label].reserve(scored[label].size());
    for (const auto& [score, word] : scored[label]) {
      found[label].push_back(word);
    }
  }
  return found;
}

size_t CountWords(const LabelWordLists& found) {
  size_t count = 0;
  for (const std::vector<std::string>& words : found) count += words.size();
  return count;
}

TEST(LabelWordSearch, ComparesLabelsBehindTheText) {
  const auto program = CompileTask(ThreeLabelTask());
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, SpacedTinyWords()));
  EXPECT_EQ(CountWords(*found), 3U);
}

TEST(LabelWordSearch, WordsBehindASpaceOfTheTextHaveNone) {
  attune::v1::TaskSpec task = ThreeLabelTask();
  task.set_template_("Text: {{ text }}\nLabel: ");
  const auto program = CompileTask(task);
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());
  ASSERT_TRUE(examples[0].input.bare_answer);

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, BareTinyWords()));
  EXPECT_EQ(CountWords(*found), 25U);
}

TEST(LabelWordSearch, WordsFitInputsOfBothKinds) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }}");
  const auto program = CompileTask(task);
  const auto examples = PrepareTexts(
      *program, {{"it", "yes"}, {"so ", "yes"}, {"on ", "no"}, {"and", "no"}});
  ASSERT_FALSE(examples[0].input.bare_answer);
  ASSERT_TRUE(examples[1].input.bare_answer);

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, {"is"}));
  EXPECT_EQ(CountWords(*found), 1U);
}

TEST(LabelWordSearch, ComparesLabelsBehindADecodersStart) {
  const auto program = CompileTask(ThreeLabelTask(), 0, "t5");
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, BareTinyWords()));
  EXPECT_EQ(CountWords(*found), 25U);
}

TEST(LabelWordSearch, ComparesLabelsAtTheMask) {
  attune::v1::TaskSpec task = ThreeLabelTask();
  task.set_template_("{{ text }} is {{ mask }}.");
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  const auto program = CompileTask(task, 0, "masked");
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, SpacedTinyWords()));
  EXPECT_EQ(CountWords(*found), 3U);
}

TEST(LabelWordSearch, ManyExamplesFitIntoOnePass) {
  const auto program = CompileTask(LabelTask({"yes", "no"}), 0, "t5");
  std::vector<TextOfLabel> texts;
  texts.reserve(70);
  for (int i = 0; i < 70; ++i) {
    texts.push_back({Concat("it is ", i), i % 3 == 0 ? "yes" : "no"});
  }
  const auto examples = PrepareTexts(*program, texts);
  int num_passes = 0;

  LabelWordOptions options;
  options.words_per_label = kAllWords;
  options.max_rows = 1 << 20;
  options.before_pass = [&](int64_t) {
    ++num_passes;
    return absl::OkStatus();
  };
  const auto found = FindLabelWords(*program, examples, options);

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, BareTinyWords()));
  EXPECT_EQ(CountWords(*found), 25U);
  EXPECT_EQ(num_passes, 1);
}

TEST(LabelWordSearch, AsksBeforeEveryPassAndFindsTheSameInPasses) {
  const auto program = CompileTask(ThreeLabelTask(), 0, "t5");
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());
  std::vector<int64_t> told;

  LabelWordOptions options;
  options.max_rows = 1;
  options.before_pass = [&](int64_t done) {
    told.push_back(done);
    return absl::OkStatus();
  };
  const auto found = FindLabelWords(*program, examples, options);
  const auto at_once = FindLabelWords(*program, examples, {});

  ASSERT_OK(found);
  ASSERT_OK(at_once);
  EXPECT_EQ(*found, *at_once);
  EXPECT_THAT(told, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(LabelWordSearch, EndsWithTheErrorOfTheCaller) {
  const auto program = CompileTask(ThreeLabelTask());
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());
  int num_passes = 0;

  LabelWordOptions options;
  options.max_rows = 1;
  options.before_pass = [&](int64_t) {
    return ++num_passes < 3 ? absl::OkStatus()
                            : MakeError(Reason::kCancelled, "enough");
  };

  EXPECT_THAT(FindLabelWords(*program, examples, options),
              ReasonIs(Reason::kCancelled, HasSubstr("enough")));
  EXPECT_EQ(num_passes, 3);
}

TEST(LabelWordSearch, FindsTheSameAgain) {
  const auto program = CompileTask(ThreeLabelTask(), 0, "t5");
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());

  const auto once = FindLabelWords(*program, examples, {});
  const auto again = FindLabelWords(*program, examples, {});

  ASSERT_OK(once);
  ASSERT_OK(again);
  EXPECT_GT(CountWords(*once), 0U);
  EXPECT_EQ(*once, *again);
}

TEST(LabelWordSearch, GivesEachLabelItsBestWordsOnly) {
  const auto program = CompileTask(ThreeLabelTask(), 0, "t5");
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());
  const auto all =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});
  ASSERT_OK(all);

  const auto found = FindLabelWords(*program, examples, {.words_per_label = 2});
  const auto none = FindLabelWords(*program, examples, {.words_per_label = 0});

  ASSERT_OK(found);
  ASSERT_OK(none);
  ASSERT_EQ(found->size(), all->size());
  for (size_t label = 0; label < all->size(); ++label) {
    std::vector<std::string> best = (*all)[label];
    if (best.size() > 2) best.resize(2);
    EXPECT_EQ((*found)[label], best) << label;
  }
  EXPECT_THAT(*none, ElementsAre(IsEmpty(), IsEmpty(), IsEmpty()));
}

TEST(LabelWordSearch, NoWordGoesToTwoLabels) {
  const auto program = CompileTask(ThreeLabelTask(), 0, "t5");
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  std::set<std::string> distinct;
  for (const std::vector<std::string>& words : *found) {
    distinct.insert(words.begin(), words.end());
  }
  EXPECT_EQ(distinct.size(), CountWords(*found));
}

TEST(LabelWordSearch, TheTasksOwnWordsAreNotFound) {
  attune::v1::TaskSpec task = ThreeLabelTask();
  task.mutable_labels(0)->add_words("the");
  task.mutable_labels(1)->add_words("so and so");
  task.mutable_labels(2)->add_words("is");
  const auto program = CompileTask(task);
  const auto examples = PrepareTexts(*program, TextsOfThreeLabels());

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  EXPECT_EQ(*found, WordsByHand(*program, examples, {"and"}));
  EXPECT_EQ(CountWords(*found), 1U);
}

TEST(LabelWordSearch, LabelsWithoutExamplesGetNone) {
  const auto program = CompileTask(ThreeLabelTask());
  const auto examples =
      PrepareTexts(*program, {{"it is", "yes"}, {"so what", "maybe"}});

  const auto found =
      FindLabelWords(*program, examples, {.words_per_label = kAllWords});

  ASSERT_OK(found);
  ASSERT_THAT(*found, SizeIs(3));
  EXPECT_THAT((*found)[1], IsEmpty());
  EXPECT_EQ(CountWords(*found), 3U);
}

TEST(LabelWordSearch, OneLabelAloneGetsNone) {
  const auto program = CompileTask(ThreeLabelTask());
  const auto examples =
      PrepareTexts(*program, {{"it is", "yes"}, {"so what", "yes"}});

  const auto found = FindLabelWords(*program, examples, {});
  const auto of_nothing = FindLabelWords(*program, {}, {});

  ASSERT_OK(found);
  ASSERT_OK(of_nothing);
  EXPECT_THAT(*found, ElementsAre(IsEmpty(), IsEmpty(), IsEmpty()));
  EXPECT_THAT(*of_nothing, ElementsAre(IsEmpty(), IsEmpty(), IsEmpty()));
}

TEST(ChooseLabelWords, ScoresMeansAgainstThoseOfAllOthers) {
  const LabelWordEvidence evidence = {
      .num_examples = {2, 1, 1},
      .sums = {{-2, -8, -4}, {-3, -1, -2}, {-5, -4, -2}},
      .likelihoods = {0.5, 0.3, 0.2}};

  // Their scores: 3, -2/3 and -10/3; -3/2, 3 and -1; 0, 0 and 0.
  EXPECT_THAT(ChooseLabelWords(evidence, 3),
              ElementsAre(ElementsAre(0U), ElementsAre(1U), IsEmpty()));
}

TEST(ChooseLabelWords, AreTheBestFirstAndOfEqualsTheFirst) {
  const LabelWordEvidence evidence = {
      .num_examples = {1, 1},
      .sums = {{-2, -1, -3, -1}, {-4, -4, -4, -4}},
      .likelihoods = {0.1, 0.2, 0.3, 0.4}};

  EXPECT_THAT(ChooseLabelWords(evidence, 4),
              ElementsAre(ElementsAre(1U, 3U, 0U, 2U), IsEmpty()));
  EXPECT_THAT(ChooseLabelWords(evidence, 2),
              ElementsAre(ElementsAre(1U, 3U), IsEmpty()));
}

TEST(ChooseLabelWords, AWordOfTwoLabelsGoesToTheFirst) {
  const LabelWordEvidence evidence = {.num_examples = {1, 1, 1},
                                      .sums = {{-4.0}, {-1.0}, {-1.0}},
                                      .likelihoods = {0.5}};

  EXPECT_THAT(ChooseLabelWords(evidence, 1),
              ElementsAre(IsEmpty(), ElementsAre(0U), IsEmpty()));
}

TEST(ChooseLabelWords, RareWordsDoNotCount) {
  LabelWordEvidence evidence;
  evidence.num_examples = {1, 1};
  evidence.sums.assign(2, std::vector<double>(kMaxLikelyWords + 1, -9));
  evidence.sums[0].back() = -1;
  evidence.likelihoods.assign(kMaxLikelyWords + 1, 0.5);

  evidence.likelihoods.back() = 0.25;
  EXPECT_THAT(ChooseLabelWords(evidence, 1), Each(IsEmpty()));
  evidence.likelihoods.back() = 0.5;  // of equals the first are likelier
  EXPECT_THAT(ChooseLabelWords(evidence, 1), Each(IsEmpty()));
  evidence.likelihoods.back() = 0.75;
  EXPECT_THAT(ChooseLabelWords(evidence, 1),
              ElementsAre(ElementsAre(kMaxLikelyWords), IsEmpty()));
}

TEST(ChooseLabelWords, WordsWithoutANumberDoNotCount) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
  const LabelWordEvidence evidence = {
      .num_examples = {1, 1},
      .sums = {{kNotANumber, -1, -1}, {kNotANumber, -kInfinity, -2}},
      .likelihoods = {kNotANumber, 0.5, 0.1}};

  EXPECT_THAT(ChooseLabelWords(evidence, 3),
              ElementsAre(ElementsAre(2U), IsEmpty()));
}

TEST(ChooseLabelWords, NothingIsLikelierThanNoOthers) {
  const LabelWordEvidence evidence = {
      .num_examples = {2, 0},
      .sums = {std::vector<double>{-1, -2}, std::vector<double>()},
      .likelihoods = {0.5, 0.1}};

  EXPECT_THAT(ChooseLabelWords(evidence, 3), ElementsAre(IsEmpty(), IsEmpty()));
}

}  // namespace
}  // namespace attune::worker
