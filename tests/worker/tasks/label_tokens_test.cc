#include "worker/tasks/label_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/task_contract.h"

namespace attune::worker {
namespace {

using ::testing::HasSubstr;

attune::v1::TaskSpec TwoLabels() {
  attune::v1::TaskSpec task = LabelTask({"yes", "not at all"});
  FillTaskDefaults(task);
  return task;
}

int64_t CountTokens(const LoadedModel& model, const std::string& text) {
  return static_cast<int64_t>(
      model.tokenizer->Encode(text, /*add_special_tokens=*/false)->ids.size());
}

TEST(LabelTokens, BehindATextKnowTheirSpaces) {
  const std::shared_ptr<const LoadedModel> model = TinyModel();

  const auto tokens =
      LabelTokens::BehindText(TwoLabels(), *model, /*end_token=*/0);

  ASSERT_OK(tokens);
  EXPECT_EQ(tokens->longest(), std::max(CountTokens(*model, " not at all"),
                                        CountTokens(*model, "not at all")));
  EXPECT_EQ(tokens->trie(/*bare=*/false).num_labels(), 2);
  EXPECT_NE(tokens->trie(/*bare=*/false).nodes()[1].token,
            tokens->trie(/*bare=*/true).nodes()[1].token);
}

TEST(LabelTokens, AtAMaskFindIt) {
  const std::shared_ptr<const LoadedModel> model = TinyModel("masked");
  const int64_t mask = *model->tokenizer->TokenToId(model->mask_token);

  const auto tokens = LabelTokens::AtMask(TwoLabels(), *model);

  ASSERT_OK(tokens);
  EXPECT_EQ(tokens->mask_words().max_length(), tokens->longest());
  EXPECT_EQ(*tokens->FindMask({5, mask, 6}), 1);
  EXPECT_THAT(tokens->FindMask({5, 6}),
              ReasonIs(Reason::kInvalidData, HasSubstr("0 masks")));
  EXPECT_THAT(tokens->FindMask({mask, mask}),
              ReasonIs(Reason::kInvalidData, HasSubstr("2 masks")));
}

TEST(LabelTokens, AMaskMustHaveAName) {
  const std::shared_ptr<const LoadedModel> model = TinyModel();

  EXPECT_THAT(LabelTokens::AtMask(TwoLabels(), *model),
              ReasonIs(Reason::kIllegalState, HasSubstr("mask token")));
}

}  // namespace
}  // namespace attune::worker
