#include "worker/inference/batch_runner.h"

#include <ATen/ops/full_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <optional>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::PredictResult;
using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using Outcome = std::optional<absl::StatusOr<PredictResult>>;

class BatchRunnerTest : public InferenceFixture {
 protected:
  // Adds an input; its outcome appears in the result once there is one.
  // `change` may spoil it.
  std::shared_ptr<Outcome> Add(
      BatchRunner& runner, const InferenceTarget& target,
      const InferenceInput& input,
      std::shared_ptr<CallContext> context = std::make_shared<CallContext>(),
      const std::function<void(WorkItem&)>& change = [](WorkItem&) {}) {
    const auto resolved = resolver_.Resolve(target);
    EXPECT_OK(resolved);
    auto item = PrepareWork(*resolved, input, inference_metrics_);
    EXPECT_OK(item);
    auto outcome = std::make_shared<Outcome>();
    (*item)->origin.context = std::move(context);
    (*item)->origin.arrival = clock_.Monotonic();
    (*item)->origin.done = [outcome](absl::StatusOr<PredictResult> result) {
      EXPECT_FALSE(outcome->has_value()) << "answered twice";
      *outcome = std::move(result);
    };
    (*item)->origin.on_piece = [this](GeneratedPiece piece) {
      pieces_ += piece.text;
    };
    change(**item);
    runner.Add(*std::move(item));
    return outcome;
  }

  // Adds an input that no forward takes.
  std::shared_ptr<Outcome> AddTooLong(BatchRunner& runner,
                                      const InferenceTarget& target) {
    return Add(runner, target, Text("x"), std::make_shared<CallContext>(),
               [this](WorkItem& item) {
                 const int64_t context = Model()->info.config.context_length;
                 item.input.ids.assign(context + 1, 1);
               });
  }

  void RunAll(BatchRunner& runner) {
    for (int i = 0; i < 1000 && !runner.idle(); ++i) runner.Step();
    EXPECT_TRUE(runner.idle());
  }

  // The answer of an input that runs alone.
  PredictResult Alone(const InferenceTarget& target,
                      const InferenceInput& input) {
    BatchRunner runner({}, clock_);
    const auto outcome = Add(runner, target, input);
    RunAll(runner);
    EXPECT_OK(**outcome);
    return ***outcome;
  }

  // Equal but for rounding: another batch multiplies in another order.
  static void ExpectSame(const PredictResult& a, const PredictResult& b) {
    ASSERT_EQ(a.answer().label().label(), b.answer().label().label());
    ASSERT_EQ(a.answer().label().scores_size(),
              b.answer().label().scores_size());
    for (int i = 0; i < a.answer().label().scores_size(); ++i) {
      EXPECT_EQ(a.answer().label().scores(i).label(),
                b.answer().label().scores(i).label());
      EXPECT_NEAR(a.answer().label().scores(i).score(),
                  b.answer().label().scores(i).score(), 1e-5);
    }
    EXPECT_EQ(a.num_input_tokens(), b.num_input_tokens());
    EXPECT_EQ(a.prompt_version(), b.prompt_version());
  }

  std::string pieces_;
};

TEST_F(BatchRunnerTest, AMixedBatchAnswersAsEachInputAlone) {
  const std::vector<InferenceTarget> targets = {
      Classification({"good", "bad"}),
      WithPrompt(Classification({"good", "bad"}), 1),
      WithPrompt(Classification({"card lost", "card", "refund please"}), 2)};
  BatchRunner runner({}, clock_);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  std::vector<PredictResult> alone;
  for (const char* text : {"short", "a somewhat longer text than that", "x"}) {
    for (const InferenceTarget& target : targets) {
      alone.push_back(Alone(target, Text(text)));
      outcomes.push_back(Add(runner, target, Text(text)));
    }
  }

  runner.Step();

  EXPECT_TRUE(runner.idle());  // one pass for all of them
  for (size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_OK(**outcomes[i]);
    ExpectSame(***outcomes[i], alone[i]);
  }
}

TEST_F(BatchRunnerTest, ScoresAddUpToOneAndFall) {
  const PredictResult result =
      Alone(Classification({"card lost", "card", "other"}), Text("hello"));

  double sum = 0;
  double last = 1;
  for (const auto& score : result.answer().label().scores()) {
    EXPECT_LE(score.score(), last);
    last = score.score();
    sum += score.score();
  }
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_EQ(result.answer().label().label(),
            result.answer().label().scores(0).label());
}

TEST_F(BatchRunnerTest, PromptsMakeADifference) {
  const PredictResult one =
      Alone(WithPrompt(Classification({"good", "bad"}), 1), Text("x"));
  const PredictResult two =
      Alone(WithPrompt(Classification({"good", "bad"}), 2), Text("x"));

  EXPECT_NE(one.answer().label().score(), two.answer().label().score());
}

TEST_F(BatchRunnerTest, AGenerationDoesNotDependOnItsNeighbours) {
  const InferenceTarget base = Generation(12);
  const InferenceTarget tuned = WithPrompt(Generation(12), 3);
  InferenceInput sampled = Text("once upon");
  sampled.decoding.set_temperature(0.8);
  sampled.decoding.set_seed(5);
  const std::string greedy_alone =
      Alone(base, Text("hello")).answer().text().text();
  const std::string tuned_alone =
      Alone(tuned, Text("hello")).answer().text().text();
  const std::string sampled_alone = Alone(base, sampled).answer().text().text();
  BatchRunner runner({}, clock_);
  const auto greedy = Add(runner, base, Text("hello"));
  runner.Step();
  runner.Step();
  // Joins while the first one runs.
  const auto other = Add(runner, tuned, Text("hello"));
  const auto drawn = Add(runner, base, sampled);
  Add(runner, Classification({"good", "bad"}), Text("x"));

  RunAll(runner);

  EXPECT_EQ((**greedy)->answer().text().text(), greedy_alone);
  EXPECT_EQ((**other)->answer().text().text(), tuned_alone);
  EXPECT_EQ((**drawn)->answer().text().text(), sampled_alone);
}

TEST_F(BatchRunnerTest, PiecesTogetherAreTheText) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(runner, Generation(20), Text("hello"));

  RunAll(runner);

  ASSERT_OK(**outcome);
  const attune::v1::TextAnswer& answer = (**outcome)->answer().text();
  EXPECT_EQ(pieces_, answer.text());
  EXPECT_GE(answer.num_generated_tokens(), 1);
  EXPECT_LE(answer.num_generated_tokens(), 20);
}

TEST_F(BatchRunnerTest, DecodingStepByStepEqualsOneLongForward) {
  // Greedy text, then the same tokens as input: the next one must agree.
  const PredictResult whole = Alone(Generation(10), Text("hello"));
  const PredictResult begin = Alone(Generation(9), Text("hello"));

  EXPECT_TRUE(
      whole.answer().text().text().starts_with(begin.answer().text().text()));
}

TEST_F(BatchRunnerTest, AGenerationThatFailsTakesNoOtherDown) {
  const std::string alone =
      Alone(Generation(8), Text("hello")).answer().text().text();
  BatchRunner runner({}, clock_);
  const auto running = Add(runner, Generation(8), Text("hello"));
  runner.Step();
  const auto bad = AddTooLong(runner, Generation(8));
  const auto fresh = Add(runner, Generation(8), Text("hello"));

  RunAll(runner);

  EXPECT_THAT(**bad, StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_OK(**running);
  EXPECT_EQ((**running)->answer().text().text(), alone);
  ASSERT_OK(**fresh);
  EXPECT_EQ((**fresh)->answer().text().text(), alone);
}

TEST_F(BatchRunnerTest, AClassificationThatFailsTakesNoOtherDown) {
  const InferenceTarget target = Classification({"good", "bad"});
  BatchRunner runner({}, clock_);
  const auto bad = AddTooLong(runner, target);
  const auto good = Add(runner, target, Text("hello"));

  RunAll(runner);

  EXPECT_THAT(**bad, StatusIs(absl::StatusCode::kInvalidArgument, _));
  ASSERT_OK(**good);
  ExpectSame(***good, Alone(target, Text("hello")));
}

TEST_F(BatchRunnerTest, ScoresThatAreNotNumbersAreAnError) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(
      runner, WithPrompt(Classification({"good", "bad"}), 1), Text("x"),
      std::make_shared<CallContext>(), [](WorkItem& item) {
        ServedPrompt prompt = *item.target->prompt;
        std::vector<at::Tensor> nan;
        for (int64_t i = 0; i < prompt.attached.prefix->num_layers(); ++i) {
          nan.push_back(at::full_like(prompt.attached.prefix->keys(i), NAN));
        }
        prompt.attached.prefix = std::make_shared<const KvBlock>(nan, nan);
        auto target = std::make_shared<ResolvedTarget>(*item.target);
        target->prompt = std::make_shared<const ServedPrompt>(prompt);
        item.target = std::move(target);
      });

  RunAll(runner);

  EXPECT_THAT(**outcome, ReasonIs(Reason::kInternal, HasSubstr("finite")));
}

TEST_F(BatchRunnerTest, ACancelledGenerationEndsAtItsNextStep) {
  BatchRunner runner({}, clock_);
  auto context = std::make_shared<CallContext>();
  const auto outcome = Add(runner, Generation(1000), Text("hello"), context);
  runner.Step();
  ASSERT_FALSE(outcome->has_value());
  context->Cancel();

  runner.Step();

  ASSERT_TRUE(outcome->has_value());
  EXPECT_THAT(**outcome, ReasonIs(Reason::kCancelled, _));
  EXPECT_TRUE(runner.idle());
}

TEST_F(BatchRunnerTest, ADeadlineEndsTheLateOneOnly) {
  BatchRunner runner({}, clock_);
  const auto late =
      Add(runner, Generation(1000), Text("hello"),
          std::make_shared<CallContext>(clock_.Now() + absl::Seconds(1)));
  const auto other = Add(runner, Generation(5), Text("hello"));
  runner.Step();
  clock_.Advance(absl::Seconds(2));

  RunAll(runner);

  EXPECT_THAT(**late, ReasonIs(Reason::kDeadlineExceeded, _));
  EXPECT_OK(**other);
}

TEST_F(BatchRunnerTest, WhatWaitsTooLongIsNeverRun) {
  BatchRunner runner({}, clock_);
  const auto outcome = Add(runner, Classification({"good", "bad"}), Text("x"),
                           std::make_shared<CallContext>(clock_.Now()));

  runner.Step();

  EXPECT_THAT(**outcome, ReasonIs(Reason::kDeadlineExceeded, _));
}

TEST_F(BatchRunnerTest, MoreGenerationsThanPlacesTakeTurns) {
  BatchRunner runner({.max_generations = 2}, clock_);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (int i = 0; i < 5; ++i) {
    outcomes.push_back(Add(runner, Generation(3), Text("hello")));
  }

  RunAll(runner);

  for (const auto& outcome : outcomes) {
    ASSERT_OK(**outcome);
    EXPECT_EQ((**outcome)->answer().text().text(),
              (**outcomes[0])->answer().text().text());
  }
}

TEST_F(BatchRunnerTest, TwoModelsTakeTurns) {
  TinyLlamaOptions other;
  other.seed = 99;
  ASSERT_OK(WriteTinyLlama(directory_ / "other", other));
  InferenceTarget second = Generation(1000);
  second.model = "models/other";
  BatchRunner runner({}, clock_);
  Add(runner, second, Text("hello"));
  runner.Step();
  const auto outcome = Add(runner, Classification({"good", "bad"}), Text("x"));

  runner.Step();
  runner.Step();

  EXPECT_TRUE(outcome->has_value());
}

TEST_F(BatchRunnerTest, WhatIsLeftAtTheEndIsAnsweredAsDraining) {
  std::shared_ptr<Outcome> running;
  std::shared_ptr<Outcome> waiting;
  {
    BatchRunner runner({.max_generations = 1}, clock_);
    running = Add(runner, Generation(1000), Text("hello"));
    waiting = Add(runner, Generation(1000), Text("hello"));
    runner.Step();
  }

  EXPECT_THAT(**running, ReasonIs(Reason::kDraining, _));
  EXPECT_THAT(**waiting, ReasonIs(Reason::kDraining, _));
}

}  // namespace
}  // namespace attune::worker
