#include "worker/inference/work_item.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::HasSubstr;
using testing::MatchesRegex;

class WorkItemTest : public InferenceFixture {
 protected:
  absl::StatusOr<std::unique_ptr<WorkItem>> Prepare(
      const InferenceTarget& target, const InferenceInput& input) {
    const auto resolved = resolver_.Resolve(target);
    EXPECT_OK(resolved);
    return PrepareWork(*resolved, input, inference_metrics_);
  }
};

TEST_F(WorkItemTest, AnInputIsRenderedAndCounted) {
  const auto item =
      Prepare(Classification({"good", "bad"}), Text("a fine day"));

  ASSERT_OK(item);
  EXPECT_FALSE((*item)->is_generation());
  EXPECT_FALSE((*item)->input.ids.empty());
  EXPECT_GE((*item)->rows, static_cast<int64_t>((*item)->input.ids.size()));
}

TEST_F(WorkItemTest, AMissingFieldIsNamed) {
  EXPECT_THAT(Prepare(Classification({"good", "bad"}), InferenceInput()),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("text")));
}

TEST_F(WorkItemTest, TooLongNamesBothLengths) {
  InferenceTarget target = Classification({"good", "bad"});
  target.task.mutable_truncation()->set_side(
      attune::v1::TRUNCATION_SIDE_REFUSE);
  target.task.mutable_truncation()->set_max_input_tokens(5);

  EXPECT_THAT(Prepare(target, Text("one two three four five six")),
              ReasonIs(Reason::kInputTooLong, MatchesRegex(".*[0-9]+.*5.*")));
}

TEST_F(WorkItemTest, DecodingIsForGenerationsOnly) {
  InferenceInput input = Text("a");
  input.decoding.set_max_new_tokens(3);

  EXPECT_THAT(Prepare(Classification({"good", "bad"}), input),
              ReasonIs(Reason::kInvalidField, HasSubstr("decoding")));
}

TEST_F(WorkItemTest, AWrongDecodingIsTheInputsError) {
  InferenceInput input = Text("a");
  input.decoding.set_temperature(5);

  EXPECT_THAT(Prepare(Generation(5), input),
              ReasonIs(Reason::kInvalidField, HasSubstr("temperature")));
}

TEST_F(WorkItemTest, AGenerationEndsWithTheContext) {
  const int64_t context = Model()->info.config.context_length;

  const auto item = Prepare(Generation(1000000), Text("a"));

  ASSERT_OK(item);
  EXPECT_EQ((*item)->decoding.max_new_tokens,
            context - static_cast<int64_t>((*item)->input.ids.size()));
}

TEST_F(WorkItemTest, FinishAnswersOnceAndFreesItsPlace) {
  auto item = Prepare(Classification({"good", "bad"}), Text("a"));
  ASSERT_OK(item);
  std::atomic<int> taken = 0;
  std::optional<absl::Status> outcome;
  (*item)->origin.place = std::make_unique<QueuePlace>(taken);
  (*item)->origin.done = [&](absl::StatusOr<attune::v1::PredictResult> result) {
    outcome = result.status();
  };
  EXPECT_EQ(taken, 1);

  (*item)->Finish(absl::CancelledError("x"), absl::ZeroDuration());

  EXPECT_EQ(taken, 0);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(absl::IsCancelled(*outcome));
}

TEST_F(WorkItemTest, ChoicesCountAmongTheRows) {
  const auto item =
      Prepare(MultipleChoice(), TextWithChoices("a", {"7", "1234"}));

  ASSERT_OK(item);
  EXPECT_EQ((*item)->form(), AnswerForm::kChoice);
  const TaskInput& input = (*item)->input;
  EXPECT_EQ((*item)->rows, static_cast<int64_t>(input.ids.size()) +
                               input.choices.num_tokens() - 2);
  EXPECT_EQ((*item)->MakeResult().num_input_tokens(),
            static_cast<int>(input.ids.size()));
}

}  // namespace
}  // namespace attune::worker
