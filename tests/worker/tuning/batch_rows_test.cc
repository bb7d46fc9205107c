#include "worker/tuning/batch_rows.h"

#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kPromptRows = 4;

// The rows of two texts in training of `values`, and the tokens of each.
struct CountedTexts {
  BatchRows rows;
  std::vector<int64_t> num_tokens;
};

CountedTexts CountTexts(const std::string& model,
                        const attune::v1::TaskSpec& task,
                        const TensorMap& values, const std::string& answer) {
  const std::shared_ptr<const LoadedModel> loaded = TinyModel(model);
  const auto program = *TaskProgram::Compile(task, loaded, kPromptRows);
  const std::vector<PreparedExample> examples = *PrepareExamples(
      *program, {{.fields = R"({"text": "1"})", .answer = answer},
                 {.fields = R"({"text": "1 2 3"})", .answer = answer}});
  std::vector<const PreparedExample*> batch;
  CountedTexts counted;
  for (const PreparedExample& one : examples) {
    batch.push_back(&one);
    counted.num_tokens.push_back(
        static_cast<int64_t>(one.input.ids.size() + one.answer_ids.size()));
  }
  counted.rows = CountBatchRows(*program, values, batch, /*options=*/{});
  return counted;
}

TEST(BatchRows, ThePromptOfACausalModelIsShared) {
  const CountedTexts counted = CountTexts(
      "tiny", TextTask(4), {{"prompt", at::zeros({kPromptRows, 8})}}, "the");

  EXPECT_EQ(counted.rows.shared, kPromptRows);
  EXPECT_THAT(counted.rows.samples,
              ElementsAre(counted.num_tokens[0], counted.num_tokens[1]));
  EXPECT_LT(counted.num_tokens[0], counted.num_tokens[1]);
}

TEST(BatchRows, WhatTextsOfACausalModelBeginWithIsShared) {
  const std::shared_ptr<const LoadedModel> loaded = TinyModel("tiny");
  const auto program = *TaskProgram::Compile(TextTask(4), loaded, kPromptRows);
  // The last word differs.
  const std::vector<PreparedExample> examples = *PrepareExamples(
      *program,
      {{.fields = R"({"text": "1 2 3 1 2 3 1 2 3 1"})", .answer = "the"},
       {.fields = R"({"text": "1 2 3 1 2 3 1 2 3 2"})", .answer = "the"}});
  const std::vector<const PreparedExample*> batch = {&examples[0],
                                                     &examples[1]};
  const TensorMap values = {{"prompt", at::zeros({kPromptRows, 8})}};

  const BatchRows shared = CountBatchRows(*program, values, batch, {});
  const BatchRows repeated =
      CountBatchRows(*program, values, batch, {.share_beginnings = false});

  const int64_t beginning = shared.shared - kPromptRows;
  EXPECT_GE(beginning, 8);
  EXPECT_EQ(repeated.shared, kPromptRows);
  EXPECT_THAT(shared.samples, ElementsAre(repeated.samples[0] - beginning,
                                          repeated.samples[1] - beginning));
}

TEST(BatchRows, OtherKindsHaveItBeforeEverySample) {
  const CountedTexts counted = CountTexts(
      "t5", TextTask(4), {{"prompt", at::zeros({kPromptRows, 8})}}, "the");

  EXPECT_EQ(counted.rows.shared, 0);
  EXPECT_THAT(counted.rows.samples,
              ElementsAre(counted.num_tokens[0] + kPromptRows,
                          counted.num_tokens[1] + kPromptRows));
}

TEST(BatchRows, APrefixTakesNoRows) {
  const TensorMap prefix = {
      {"prefix.keys", at::zeros({1, 1, kPromptRows, 8})},
      {"prefix.values", at::zeros({1, 1, kPromptRows, 8})}};
  for (const char* model : {"tiny", "t5"}) {
    const CountedTexts counted = CountTexts(model, TextTask(4), prefix, "the");

    EXPECT_EQ(counted.rows.shared, 0);
    EXPECT_THAT(counted.rows.samples,
                ElementsAre(counted.num_tokens[0], counted.num_tokens[1]));
  }
}

TEST(BatchRows, ChoicesRunAllButTheirLastTokens) {
  const std::shared_ptr<const LoadedModel> loaded = TinyModel();
  const auto program = *TaskProgram::Compile(ChoiceTask(), loaded, kPromptRows);
  const std::vector<PreparedExample> examples = *PrepareExamples(
      *program, {{.row = 1,
                  .fields = R"({"text": "1", "choices": ["7", "1234"]})",
                  .answer = "7"}});
  const std::vector<const PreparedExample*> batch = {&examples[0]};

  const BatchRows rows = CountBatchRows(
      *program, {{"prompt", at::zeros({kPromptRows, 8})}}, batch, {});

  const TaskInput& input = examples[0].input;
  EXPECT_EQ(rows.shared, kPromptRows);
  EXPECT_THAT(rows.samples, ElementsAre(static_cast<int64_t>(input.ids.size()) +
                                        input.choices.num_tokens() - 2));
}

}  // namespace
}  // namespace attune::worker
