#include "worker/tasks/evaluation.h"

#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/metrics/answer_match.h"
#include "worker/tasks/beam_decoder.h"
#include "worker/tasks/choice_scorer.h"
#include "worker/tasks/generation_loss.h"
#include "worker/tasks/greedy_decoder.h"
#include "worker/tasks/label_scorer.h"
#include "worker/tasks/span_scorer.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Lt;

std::vector<PreparedExample> Examples(const TaskProgram& program, int count,
                                      const std::string& answer) {
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i) {
    examples.push_back({.row = i + 1,
                        .fields = absl::StrCat(R"({"text": "it is )", i, "\"}"),
                        .answer = answer});
  }
  return *PrepareExamples(program, examples);
}

TEST(Evaluation, MeasuresLabels) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const auto examples = Examples(*program, 6, "no");

  const auto report = *Evaluate(*program, examples, {.split = "test"});

  double loss = 0;
  double hits = 0;
  for (const PreparedExample& example : examples) {
    const auto scores =
        (*ScoreLabels(program->model().causal(),
                      {{.text = example.input.ids,
                        .trie = &program->trie(example.input)}}))[0];
    loss -= scores[1] / 6;
    if (scores[1] > scores[0]) ++hits;
  }
  EXPECT_EQ(report.split(), "test");
  EXPECT_EQ(report.num_rows(), 6);
  EXPECT_NEAR(report.loss(), loss, 1e-5);
  EXPECT_DOUBLE_EQ(report.metrics().at("accuracy"), hits / 6);
  EXPECT_EQ(report.classes_size(), 2);
  EXPECT_EQ(report.classes(1).support(), 6);
}

TEST(Evaluation, TellsWhatWasAnsweredToEachRow) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const auto examples = Examples(*program, 6, "no");
  std::vector<RowOutcome> outcomes;

  const auto report =
      *Evaluate(*program, examples, {.max_rows = 40, .outcomes = &outcomes});

  ASSERT_EQ(outcomes.size(), 6u);
  double loss = 0;
  for (const RowOutcome& one : outcomes) {
    // Of two labels, the right one is answered where it has more than half.
    EXPECT_EQ(one.label, std::exp(-one.loss) > 0.5 ? 1 : 0);
    loss += one.loss / 6;
  }
  EXPECT_NEAR(report.loss(), loss, 1e-12);
}

TEST(Evaluation, WeighsLabelsAsTheTasksCalibrationSays) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  const auto plain = CompileTask(task);
  task.mutable_calibration()->add_log_priors(-3);
  task.mutable_calibration()->add_log_priors(-0.5);
  const auto calibrated = CompileTask(task);
  const auto examples = Examples(*plain, 4, "no");
  std::vector<std::vector<double>> before;
  std::vector<std::vector<double>> after;

  EXPECT_OK(Evaluate(*plain, examples, {.probabilities = &before}));
  EXPECT_OK(Evaluate(*calibrated, examples, {.probabilities = &after}));

  ASSERT_EQ(after.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const double yes = before[i][0] * std::exp(3);
    const double no = before[i][1] * std::exp(0.5);
    EXPECT_NEAR(after[i][0], yes / (yes + no), 1e-9);
    EXPECT_NEAR(after[i][1], no / (yes + no), 1e-9);
  }
}

TEST(Evaluation, TellsHowSureItIsWhereAsked) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const auto examples = Examples(*program, 6, "no");

  const auto plain = *Evaluate(*program, examples, {});
  const auto sure = *Evaluate(*program, examples, {.with_intervals = true});

  EXPECT_TRUE(plain.intervals().empty());
  EXPECT_LE(sure.intervals().at("loss").low(), sure.loss());
  EXPECT_GE(sure.intervals().at("loss").high(), sure.loss());
  EXPECT_EQ(sure.intervals().count("accuracy"), 1u);
}

TEST(Evaluation, BatchesDoNotChangeTheResult) {
  const auto program = CompileTask(LabelTask({"yes", "no", "neither"}));
  const auto examples = Examples(*program, 20, "no");

  const auto small = *Evaluate(*program, examples, {.max_rows = 1});
  const auto large = *Evaluate(*program, examples, {.max_rows = 10'000});

  EXPECT_NEAR(small.loss(), large.loss(), 1e-5);
  EXPECT_EQ(small.metrics().at("accuracy"), large.metrics().at("accuracy"));
}

TEST(Evaluation, MeasuresAnswersFoundInSeveralWindows) {
  at::manual_seed(11);
  AttachedPrompt prompt;
  prompt.head = {at::randn({2, 32}), at::randn({2})};
  const auto program = CompileTask(SpanTask(), 0, "encoder");
  std::vector<Example> rows;
  for (int i = 0; i < 6; ++i) {
    rows.push_back(
        {.row = i + 1,
         .fields = absl::StrCat(R"({"question": "it", "context": ")",
                                std::string(60 * i + 20, 'a' + i), " 1 2 3\"}"),
         .answer = i % 2 == 0 ? "[]" : "[[0,4],[21,24]]"});
  }
  const auto examples = *PrepareExamples(*program, rows);

  const auto report = *Evaluate(*program, examples, {.prompt = &prompt});
  const auto in_parts =
      *Evaluate(*program, examples, {.prompt = &prompt, .max_rows = 1});

  double loss = 0;
  double windows = 0;
  double exact = 0;
  double f1 = 0;
  for (const PreparedExample& example : examples) {
    const InputContext& context = example.input.context;
    const auto scores =
        (*ScoreSpans(program->model().encoder(),
                     {{.windows = context.windows, .prompt = &prompt}}))[0];
    std::vector<std::string> right;
    for (const ContextSpan& span : example.spans) {
      right.push_back(context.text.substr(span.begin, span.end - span.begin));
    }
    for (size_t w = 0; w < scores.size(); ++w) {
      loss += SpanLossOf(scores[w],
                         TokensOfFirst(context.windows[w], example.spans));
    }
    windows += static_cast<double>(scores.size());
    const ContextSpan given = FindBestSpan(context.windows, scores, 30).span;
    const AnswerMatch match = MatchAnswers(
        right, context.text.substr(given.begin, given.end - given.begin));
    exact += match.exact / 6;
    f1 += match.f1 / 6;
  }
  EXPECT_GT(windows, 12);
  EXPECT_NEAR(report.loss(), loss / windows, 1e-5);
  EXPECT_NEAR(report.metrics().at("exact_match"), exact, 1e-12);
  EXPECT_NEAR(report.metrics().at("f1"), f1, 1e-12);
  EXPECT_NEAR(in_parts.loss(), report.loss(), 1e-5);
}

TEST(Evaluation, AsksBeforeEveryPass) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const auto examples = Examples(*program, 3, "no");
  std::vector<int64_t> done;

  EvaluationOptions options;
  options.max_rows = 1;
  options.before_pass = [&](int64_t count, int64_t total) {
    done.push_back(count);
    EXPECT_EQ(total, 3);
    return absl::OkStatus();
  };
  ASSERT_OK(Evaluate(*program, examples, options));

  EXPECT_THAT(done, ElementsAre(0, 1, 2));
}

TEST(Evaluation, EndsWithTheErrorOfTheCaller) {
  const auto program = CompileTask(LabelTask({"yes", "no"}));
  const auto examples = Examples(*program, 3, "no");

  EvaluationOptions options;
  options.before_pass = [](int64_t, int64_t) {
    return MakeError(Reason::kCancelled, "enough");
  };

  EXPECT_THAT(Evaluate(*program, examples, options),
              ReasonIs(Reason::kCancelled, HasSubstr("enough")));
}

TEST(Evaluation, MeasuresAnswersPerToken) {
  const auto program = CompileTask(TextTask(5));
  const auto examples = Examples(*program, 4, "the");

  const auto report = *Evaluate(*program, examples, {});

  double loss = 0;
  double tokens = 0;
  for (const PreparedExample& example : examples) {
    loss += (*AnswerLosses(
        program->model().causal(),
        {{.text = example.input.ids, .answer = example.answer_ids}}))[0];
    tokens += static_cast<double>(example.answer_ids.size());
  }
  EXPECT_NEAR(report.loss(), loss / tokens, 1e-4);
  EXPECT_TRUE(report.metrics().contains("exact_match"));
  EXPECT_EQ(report.classes_size(), 0);
}

TEST(Evaluation, ExactMatchIsWhatTheModelSays) {
  const auto program = CompileTask(TextTask(5));
  auto examples = Examples(*program, 2, "the");
  const auto said = *DecodeGreedily(*program, nullptr, {&examples[0].input},
                                    [] { return absl::OkStatus(); });
  examples[0].answer = said[0];

  const auto report = *Evaluate(*program, examples, {});

  EXPECT_DOUBLE_EQ(report.metrics().at("exact_match"), 0.5);
}

TEST(Evaluation, AnswersAreDecodedByTheTasksBeams) {
  attune::v1::TaskSpec task = TextTask(16);
  const auto greedy = CompileTask(task);
  task.mutable_decoding()->set_num_beams(4);
  const auto program = CompileTask(task);
  auto examples = Examples(*program, 20, "the");  // more than one batch
  std::vector<const TaskInput*> inputs;
  for (const PreparedExample& one : examples) inputs.push_back(&one.input);
  const auto go_on = [] { return absl::OkStatus(); };
  const auto said = *DecodeByBeams(*program, nullptr, inputs, go_on);
  ASSERT_NE(said, *DecodeGreedily(*greedy, nullptr, inputs, go_on));
  for (size_t i = 0; i < examples.size(); ++i) examples[i].answer = said[i];

  const auto report = *Evaluate(*program, examples, {});

  EXPECT_DOUBLE_EQ(report.metrics().at("exact_match"), 1);
}

TEST(Evaluation, LongInputsAreDecodedInSeveralParts) {
  const auto program = CompileTask(TextTask(2));
  auto examples = Examples(*program, 30, "the");
  for (PreparedExample& one : examples) one.input.ids.resize(200, 50);
  std::vector<int64_t> done;

  EvaluationOptions options;
  options.before_pass = [&](int64_t count, int64_t) {
    done.push_back(count);
    return absl::OkStatus();
  };
  const auto report = *Evaluate(*program, examples, options);

  // 30 texts of 200 tokens are more than go through the model at once.
  EXPECT_THAT(done, Contains(AllOf(Gt(0), Lt(30))));
  EXPECT_TRUE(report.metrics().contains("exact_match"));
}

TEST(Evaluation, DecodingCanBeLeftOut) {
  const auto program = CompileTask(TextTask(5));
  const auto examples = Examples(*program, 2, "the");

  const auto report = *Evaluate(*program, examples, {.decode_answers = false});

  EXPECT_FALSE(report.metrics().contains("exact_match"));
}

TEST(Evaluation, APromptChangesTheResult) {
  const auto program = CompileTask(LabelTask({"yes", "no"}), 2);
  const auto examples = Examples(*program, 3, "no");
  const AttachedPrompt prompt = *AttachPrompt(
      program->model(),
      program->model().model->Embed(at::tensor(std::vector<int64_t>{30, 31})));

  const auto bare = *Evaluate(*program, examples, {});
  const auto tuned = *Evaluate(*program, examples, {.prompt = &prompt});

  EXPECT_NE(bare.loss(), tuned.loss());
}

TEST(Evaluation, MeasuresChoicesByTheirProbabilities) {
  for (const std::string model : {"tiny", "t5"}) {
    const auto program =
        CompileTask(ChoiceTask(), /*num_prompt_rows=*/0, model);
    std::vector<Example> rows;
    for (int i = 0; i < 6; ++i) {
      rows.push_back(
          {.row = i + 1,
           .fields = absl::StrCat(R"({"text": "it is )", i,
                                  R"(", "choices": ["the", "a 1")",
                                  i % 2 == 0 ? "]}" : R"(, "12 it"]})"),
           .answer = "a 1"});
    }
    const auto examples = *PrepareExamples(*program, rows);
    std::vector<RowOutcome> outcomes;

    // Passes of one row each.
    const auto report = *Evaluate(
        *program, examples,
        {.with_intervals = true, .max_rows = 1, .outcomes = &outcomes});

    double loss = 0;
    double hits = 0;
    for (size_t i = 0; i < examples.size(); ++i) {
      const TaskInput& input = examples[i].input;
      const auto scores = (*ScoreChoices(
          AsLanguage(*program->model().model),
          {{.text = input.ids, .choices = input.choices.ids}}))[0];
      ASSERT_EQ(scores.size(), i % 2 == 0 ? 2u : 3u);
      loss -= scores[1] / 6;
      hits += outcomes[i].label == 1 ? 1 : 0;
      for (const double score : scores) {
        EXPECT_LE(score, scores[outcomes[i].label]);
      }
    }
    EXPECT_NEAR(report.loss(), loss, 1e-5);
    EXPECT_DOUBLE_EQ(report.metrics().at("accuracy"), hits / 6);
    EXPECT_EQ(report.metrics().size(), 3u);  // "ece" and "brier", too
    EXPECT_GT(report.metrics().at("brier"), 0);
    EXPECT_TRUE(report.intervals().contains("accuracy"));
    EXPECT_TRUE(report.intervals().contains("loss"));
    EXPECT_GT(report.reliability_size(), 0);
    EXPECT_EQ(report.classes_size(), 0);
    EXPECT_FALSE(report.has_confusion_matrix());
  }
}

}  // namespace
}  // namespace attune::worker
