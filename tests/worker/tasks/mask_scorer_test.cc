#include "worker/tasks/mask_scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/prompt_marks.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;
using TokenIds = std::vector<int64_t>;

// fp32 sums in another order.
constexpr double kMaskTolerance = 1e-5;

attune::v1::TaskSpec MaskTask() {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("{{ text }} is {{ mask }}.");
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  task.mutable_labels(0)->add_words("good");
  task.mutable_labels(0)->add_words("the one and only");
  task.mutable_labels(1)->add_words("bad");
  return task;
}

// The same, step by step: a forward of its own for every word.
std::vector<double> PlainScores(const TaskProgram& program,
                                const TaskInput& input,
                                const at::Tensor& rows = {}) {
  const at::NoGradGuard no_grad;
  const EncoderModel& model = program.model().encoder();
  std::vector<double> weights(program.labels().size(), 0);
  for (size_t label = 0; label < weights.size(); ++label) {
    for (const std::string& word :
         program.task().labels(static_cast<int>(label)).words()) {
      const TokenIds tokens =
          program.model().tokenizer->Encode(" " + word, false)->ids;
      TokenIds ids = input.ids;
      ids.insert(ids.begin() + input.mask_place, tokens.size() - 1,
                 ids[input.mask_place]);
      at::Tensor embeddings = model.Embed(at::tensor(ids, at::kLong));
      int64_t first = input.mask_place;
      if (rows.defined()) {
        embeddings = at::cat({rows, embeddings});
        first += rows.size(0);
      }
      EncoderRows all;
      all.segments = {{.begin = 0, .length = embeddings.size(0)}};
      all.embeddings = embeddings;
      const at::Tensor logits = *model.HeadLogits(model.Forward(all)->narrow(
          0, first, static_cast<int64_t>(tokens.size())));
      const at::Tensor scores = logits.to(at::kDouble).log_softmax(1);
      double sum = 0;
      for (size_t i = 0; i < tokens.size(); ++i) {
        sum += scores[static_cast<int64_t>(i)][tokens[i]].item<double>();
      }
      weights[label] += std::exp(sum / static_cast<double>(tokens.size()));
    }
  }
  double total = 0;
  for (const double weight : weights) total += weight;
  for (double& weight : weights) weight = std::log(weight / total);
  return weights;
}

void ExpectNear(const std::vector<double>& ours,
                const std::vector<double>& expected) {
  ASSERT_EQ(ours.size(), expected.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i], expected[i], kMaskTolerance) << i;
  }
}

TEST(MaskScorer, WeighsWordsOfAllLengthsAtTheMask) {
  const auto program = CompileTask(MaskTask(), 0, "masked");
  const TaskInput one = *program->PrepareInput(R"({"text": "it"})", 1);
  const TaskInput two = *program->PrepareInput(R"({"text": "so what"})", 1);

  const auto scores =
      ScoreAtMask(program->model().encoder(),
                  std::vector<MaskQuery>{{MaskedTextOf(*program, one)},
                                         {MaskedTextOf(*program, two)}});

  ASSERT_OK(scores);
  ExpectNear((*scores)[0], PlainScores(*program, one));
  ExpectNear((*scores)[1], PlainScores(*program, two));
  EXPECT_NEAR(std::exp((*scores)[0][0]) + std::exp((*scores)[0][1]), 1, 1e-9);
}

TEST(MaskScorer, QueriesMayStandBehindDifferentPrompts) {
  const auto program = CompileTask(MaskTask(), 3, "masked");
  const TaskInput input = *program->PrepareInput(R"({"text": "it"})", 1);
  const at::Tensor rows =
      program->model().model->Embed(at::tensor(TokenIds{20, 40, 60}));
  const AttachedPrompt prompt = Front(rows);

  const auto scores = ScoreAtMask(
      program->model().encoder(),
      std::vector<MaskQuery>{{MaskedTextOf(*program, input), &prompt},
                             {MaskedTextOf(*program, input)}});

  ASSERT_OK(scores);
  ExpectNear((*scores)[0], PlainScores(*program, input, rows));
  ExpectNear((*scores)[1], PlainScores(*program, input));
}

TEST(MaskScorer, TheLossIsThatOfTheRightLabelAndReachesThePrompt) {
  const auto program = CompileTask(MaskTask(), 3, "masked");
  const TaskInput input = *program->PrepareInput(R"({"text": "it"})", 1);
  const at::Tensor rows = program->model()
                              .model->Embed(at::tensor(TokenIds{20, 40, 60}))
                              .detach()
                              .requires_grad_();
  const std::vector<double> expected =
      PlainScores(*program, input, rows.detach());

  const auto loss =
      MaskLoss(program->model().encoder(), Front(rows),
               std::vector<MaskSample>{{MaskedTextOf(*program, input), 0},
                                       {MaskedTextOf(*program, input), 1}});

  ASSERT_OK(loss);
  EXPECT_EQ(loss->weight, 2);
  EXPECT_NEAR(loss->sum.item<double>(), -expected[0] - expected[1],
              2 * kMaskTolerance);
  EXPECT_EQ(
      loss->num_rows,
      2 * NumMaskRows({MaskedTextOf(*program, input),
                       std::make_unique<AttachedPrompt>(Front(rows)).get()}));
  loss->sum.backward();
  EXPECT_GT(rows.grad().abs().sum().item<double>(), 0);
}

TEST(MaskScorer, SmoothingCountsAllLabels) {
  const auto program = CompileTask(MaskTask(), 3, "masked");
  const TaskInput input = *program->PrepareInput(R"({"text": "it"})", 1);
  const at::Tensor rows =
      program->model().model->Embed(at::tensor(TokenIds{20, 40, 60}));
  const std::vector<double> scores = PlainScores(*program, input, rows);

  const auto loss =
      MaskLoss(program->model().encoder(), Front(rows),
               std::vector<MaskSample>{{MaskedTextOf(*program, input), 0}},
               /*label_smoothing=*/0.2);

  ASSERT_OK(loss);
  EXPECT_NEAR(loss->sum.item<double>(),
              -0.8 * scores[0] - 0.1 * (scores[0] + scores[1]), kMaskTolerance);
}

TEST(MaskScorer, AnInputHasOneMask) {
  const auto program = CompileTask(MaskTask(), 0, "masked");

  const TaskInput input = *program->PrepareInput(R"({"text": "it"})", 1);
  EXPECT_EQ(program->model().tokenizer->IdToToken(input.ids[input.mask_place]),
            "<|im_start|>");
  EXPECT_THAT(program->fields_read(), testing::ElementsAre("text"));
  EXPECT_THAT(program->PrepareInput(R"({"text": "<|im_start|>"})", 1).status(),
              ReasonIs(Reason::kInvalidData, HasSubstr("2 masks")));
}

TEST(MaskScorer, TheTemplateHasTheMask) {
  attune::v1::TaskSpec task = MaskTask();
  task.set_template_("{{ text }}");

  EXPECT_THAT(TaskProgram::Compile(task, TinyModel("masked"), 0).status(),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("{{ mask }}")));
}

TEST(MaskScorer, LongWordsKeepTheirRoomInTheContext) {
  const auto program = CompileTask(MaskTask(), 0, "masked");
  std::string text;
  for (int i = 0; i < 300; ++i) text += "a ";

  const TaskInput input =
      *program->PrepareInput("{\"text\": \"" + text + "\"}", 1);

  EXPECT_TRUE(input.truncated);
  EXPECT_LE(static_cast<int64_t>(input.ids.size()) - 1 +
                program->mask_words().max_length(),
            program->model().info.config.context_length);
  EXPECT_OK(
      ScoreAtMask(program->model().encoder(),
                  std::vector<MaskQuery>{{MaskedTextOf(*program, input)}}));
}

TEST(MaskScorer, RowsAtMarkersStandBesideTheMask) {
  attune::v1::TaskSpec task = MaskTask();
  task.set_template_("{{ text }} is {{ soft_prompt }} {{ mask }}.");
  task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  const auto program = CompileTask(task, 3, "masked");
  const TaskInput input = *program->PrepareInput(R"({"text": "it"})", 1);
  AttachedPrompt prompt;
  prompt.marked_rows =
      program->model().model->Embed(at::tensor(TokenIds{20, 40, 60}));
  TaskInput replaced = input;
  int64_t next = 20;
  for (int64_t& id : replaced.ids) {
    if (PromptRowOfId(id) >= 0) {
      id = next;
      next += 20;
    }
  }
  ASSERT_EQ(next, 80);

  const auto scores = ScoreAtMask(
      program->model().encoder(),
      std::vector<MaskQuery>{{MaskedTextOf(*program, input), &prompt}});

  ASSERT_OK(scores);
  ExpectNear((*scores)[0], PlainScores(*program, replaced));
}

}  // namespace
}  // namespace attune::worker
