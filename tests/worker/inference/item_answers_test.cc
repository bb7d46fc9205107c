#include "worker/inference/item_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::PredictResult;
using testing::_;
using testing::HasSubstr;

class ItemAnswersTest : public InferenceFixture {
 protected:
  std::unique_ptr<WorkItem> Item(const InferenceTarget& target,
                                 const std::string& text) {
    const auto resolved = resolver_.Resolve(target);
    EXPECT_OK(resolved);
    auto item = PrepareWork(*resolved, Text(text), inference_metrics_);
    EXPECT_OK(item);
    return *std::move(item);
  }

  absl::StatusOr<std::vector<PredictResult>> Answers(
      std::vector<std::unique_ptr<WorkItem>> items) {
    return AnswerItems(std::move(items), {}, clock_, [this] {
      return ++num_pauses_ == failing_pause_
                 ? MakeError(Reason::kCancelled, "gone")
                 : absl::OkStatus();
    });
  }
  // The answer of an item that is answered by itself.
  PredictResult AnswerAlone(const InferenceTarget& target,
                            const std::string& text) {
    std::vector<std::unique_ptr<WorkItem>> items;
    items.push_back(Item(target, text));
    const auto answers = Answers(std::move(items));
    EXPECT_OK(answers);
    return answers->front();
  }

  int num_pauses_ = 0;
  int failing_pause_ = 0;
};

TEST_F(ItemAnswersTest, AnswersAreInTheOrderOfTheItems) {
  const InferenceTarget labels = Classification({"good", "bad"});
  const InferenceTarget writing = Generation(5);
  const PredictResult text = AnswerAlone(writing, "once");
  const PredictResult label = AnswerAlone(labels, "fine");
  std::vector<std::unique_ptr<WorkItem>> items;
  items.push_back(Item(writing, "once"));
  items.push_back(Item(labels, "fine"));

  const auto answers = Answers(std::move(items));

  ASSERT_OK(answers);
  ASSERT_EQ(answers->size(), 2u);
  EXPECT_EQ((*answers)[0].answer().text().text(), text.answer().text().text());
  EXPECT_EQ((*answers)[1].answer().label().label(),
            label.answer().label().label());
}

TEST_F(ItemAnswersTest, NothingAskedIsNothingAnswered) {
  const auto answers = Answers({});

  ASSERT_OK(answers);
  EXPECT_TRUE(answers->empty());
  EXPECT_EQ(num_pauses_, 0);
}

TEST_F(ItemAnswersTest, EveryPassIsAskedFor) {
  AnswerAlone(Classification({"good", "bad"}), "fine");
  EXPECT_EQ(num_pauses_, 1);

  const int tokens =
      AnswerAlone(Generation(5), "once").answer().text().num_generated_tokens();
  EXPECT_GE(num_pauses_, 1 + tokens);
}

TEST_F(ItemAnswersTest, AnErrorOfThePauseEndsIt) {
  failing_pause_ = 3;
  std::vector<std::unique_ptr<WorkItem>> items;
  items.push_back(Item(Generation(64), "once"));

  EXPECT_THAT(Answers(std::move(items)),
              ReasonIs(Reason::kCancelled, HasSubstr("gone")));
  EXPECT_EQ(num_pauses_, 3);
}

TEST_F(ItemAnswersTest, AnErrorOfAnItemEndsIt) {
  const InferenceTarget target = Classification({"good", "bad"});
  std::vector<std::unique_ptr<WorkItem>> items;
  items.push_back(Item(target, "fine"));
  items.push_back(Item(target, "x"));
  // More than a forward takes.
  items.back()->input.ids.assign(Model()->info.config.context_length + 1, 1);

  EXPECT_THAT(Answers(std::move(items)),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace attune::worker
