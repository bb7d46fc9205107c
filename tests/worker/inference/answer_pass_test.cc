#include "worker/inference/answer_pass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using testing::SizeIs;

class AnswerPassTest : public InferenceFixture {
 protected:
  std::unique_ptr<WorkItem> Prepare(const InferenceTarget& target,
                                    const InferenceInput& input) {
    auto item =
        PrepareWork(*resolver_.Resolve(target), input, inference_metrics_);
    EXPECT_OK(item);
    return *std::move(item);
  }
};

TEST_F(AnswerPassTest, LabelsComeInTheOrderOfTheirInputs) {
  std::vector<std::unique_ptr<WorkItem>> items;
  items.push_back(Prepare(Classification({"good", "bad"}), Text("x")));
  items.push_back(Prepare(Classification({"a", "b", "c"}), Text("y")));

  const auto answers = RunAnswerPass(*Model()->model, items);

  ASSERT_OK(answers);
  ASSERT_THAT(*answers, SizeIs(2));
  ASSERT_OK((*answers)[0]);
  ASSERT_OK((*answers)[1]);
  EXPECT_EQ((*answers)[0]->answer().label().scores_size(), 2);
  EXPECT_EQ((*answers)[1]->answer().label().scores_size(), 3);
}

TEST_F(AnswerPassTest, AChoiceIsOneOfThoseThatCameAlong) {
  std::vector<std::unique_ptr<WorkItem>> items;
  items.push_back(
      Prepare(MultipleChoice(), TextWithChoices("x", {"one", "two", "six"})));

  const auto answers = RunAnswerPass(*Model()->model, items);

  ASSERT_OK(answers);
  ASSERT_OK(answers->front());
  const auto& choice = answers->front()->answer().choice();
  ASSERT_EQ(choice.scores_size(), 3);
  double sum = 0;
  for (const double score : choice.scores()) sum += score;
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_EQ(choice.score(), choice.scores(choice.index()));
}

TEST_F(AnswerPassTest, OneInputBeyondTheContextFailsThePass) {
  std::vector<std::unique_ptr<WorkItem>> items;
  items.push_back(Prepare(Classification({"good", "bad"}), Text("x")));
  items.push_back(Prepare(Classification({"good", "bad"}), Text("y")));
  items[1]->input.ids.assign(Model()->info.config.context_length + 1, 1);

  EXPECT_FALSE(RunAnswerPass(*Model()->model, items).ok());
}

}  // namespace
}  // namespace attune::worker
