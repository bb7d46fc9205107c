#include "worker/inference/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "absl/synchronization/notification.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using attune::v1::PredictResult;
using testing::_;
using testing::HasSubstr;

class EngineTest : public InferenceFixture {
 protected:
  Engine::Options SmallQueue() {
    Engine::Options options;
    options.max_waiting = 2;
    return options;
  }

  void Make(const Engine::Options& options = {}) {
    engine_ = std::make_unique<Engine>(options, models_, artifacts_, budget_,
                                       inference_metrics_, clock_);
  }

  // A call whose results can be waited for.
  struct Pending {
    absl::Notification done;
    std::vector<PredictResult> results;
    std::shared_ptr<CallContext> context = std::make_shared<CallContext>();
  };

  std::shared_ptr<Pending> Begin(InferenceCall call, absl::Status* taken) {
    auto pending = std::make_shared<Pending>();
    *taken = engine_->Predict(std::move(call), pending->context,
                              [pending](std::vector<PredictResult> results) {
                                pending->results = std::move(results);
                                pending->done.Notify();
                              });
    return pending;
  }

  std::vector<PredictResult> Predict(InferenceCall call) {
    absl::Status taken;
    const auto pending = Begin(std::move(call), &taken);
    EXPECT_OK(taken);
    pending->done.WaitForNotification();
    return pending->results;
  }

  ComputeBudget budget_{2};
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, AnswersEveryItemInOrder) {
  Make();
  InferenceCall call;
  call.targets = {Classification({"good", "bad"}),
                  WithPrompt(Classification({"yes", "no"}), 1), Generation(4)};
  call.inputs = {Text("one", 0), Text("two", 1), Text("three", 2),
                 Text("four", 1)};

  const std::vector<PredictResult> results = Predict(call);

  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].answer().label().scores_size(), 2);
  EXPECT_EQ(results[1].prompt_version(), "prompts/p1/versions/1");
  EXPECT_TRUE(results[2].answer().has_text());
  EXPECT_TRUE(results[3].answer().has_label());
}

TEST_F(EngineTest, AnswersChoicesAndNamesTheFieldOfBadOnes) {
  Make();
  InferenceCall call;
  call.targets = {MultipleChoice(), Classification({"good", "bad"})};
  call.inputs = {TextWithChoices("one", {"it", "the"}), Text("two", 0),
                 TextWithChoices("three", {"it"}), Text("four", 1)};

  const std::vector<PredictResult> results = Predict(call);

  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].answer().choice().scores_size(), 2);
  EXPECT_EQ(results[1].error().reason(), "INVALID_DATA");
  EXPECT_THAT(results[1].error().message(), HasSubstr("field 'choices'"));
  EXPECT_THAT(results[2].error().message(), HasSubstr("has 1 choices"));
  EXPECT_TRUE(results[3].answer().has_label());
}

TEST_F(EngineTest, SeveralTemplatesAnswerTogether) {
  Make();
  InferenceTarget first = Classification({"good", "bad"});
  InferenceTarget second = first;
  second.task.set_template_("{{ text }} is");
  InferenceTarget both = first;
  both.task.add_more_templates(second.task.template_());
  InferenceCall call;
  call.targets = {first, second, both};
  call.inputs = {Text("one", 0), Text("one", 1), Text("one", 2)};

  const std::vector<PredictResult> results = Predict(call);

  ASSERT_EQ(results.size(), 3u);
  const auto score_of_good = [&](int i) {
    const auto& scores = results[i].answer().label().scores();
    return scores.Get(scores.Get(0).label() == "good" ? 0 : 1).score();
  };
  // Batches add up in another order.
  EXPECT_NEAR(score_of_good(2), (score_of_good(0) + score_of_good(1)) / 2,
              1e-5);
  EXPECT_NE(score_of_good(0), score_of_good(1));
}

TEST_F(EngineTest, BadItemsDoNotHurtOthers) {
  Make();
  InferenceTarget unknown = Classification({"good", "bad"});
  unknown.model = "models/none";
  InferenceTarget mismatched = Classification({"good", "bad"});
  mismatched.model_fingerprint = "0";
  InferenceCall call;
  call.targets = {Classification({"good", "bad"}), unknown, mismatched};
  call.inputs = {InferenceInput(), Text("fine", 0), Text("x", 1), Text("y", 2)};

  const std::vector<PredictResult> results = Predict(call);

  EXPECT_EQ(results[0].error().reason(), "INVALID_TEMPLATE");
  EXPECT_TRUE(results[1].has_answer());
  EXPECT_EQ(results[2].error().reason(), "UNKNOWN_BASE_MODEL");
  EXPECT_EQ(results[3].error().reason(), "MODEL_MISMATCH");
}

TEST_F(EngineTest, ABadCallIsRefusedAtOnce) {
  Make();
  InferenceCall call;
  absl::Status taken;
  Begin(call, &taken);
  EXPECT_THAT(taken, ReasonIs(Reason::kInvalidField, HasSubstr("items")));

  call.targets = {Generation(1)};
  call.inputs = {Text("x", 1)};
  Begin(call, &taken);
  EXPECT_THAT(taken,
              ReasonIs(Reason::kInvalidField, HasSubstr("items.target")));
}

TEST_F(EngineTest, AFullQueueRefusesAndRecovers) {
  Make(SmallQueue());
  InferenceCall call;
  call.targets = {WithPrompt(Classification({"good", "bad"}), 1)};
  call.inputs = {Text("a"), Text("b")};
  artifacts_.SetBlocked(true);
  absl::Status taken;
  const auto first = Begin(call, &taken);
  ASSERT_OK(taken);
  EXPECT_EQ(engine_->num_waiting(), 2);

  Begin(call, &taken);
  EXPECT_THAT(taken, ReasonIs(Reason::kQueueFull, HasSubstr("2 of 2")));

  artifacts_.SetBlocked(false);
  first->done.WaitForNotification();
  EXPECT_EQ(engine_->num_waiting(), 0);
  EXPECT_TRUE(Predict(call)[0].has_answer());
}

TEST_F(EngineTest, ACallCancelledInTheQueueIsNotRun) {
  Make();
  InferenceCall call;
  call.targets = {WithPrompt(Classification({"good", "bad"}), 1)};
  call.inputs = {Text("a")};
  artifacts_.SetBlocked(true);
  absl::Status taken;
  const auto pending = Begin(call, &taken);
  pending->context->Cancel();
  artifacts_.SetBlocked(false);

  pending->done.WaitForNotification();

  EXPECT_EQ(pending->results[0].error().reason(), "CANCELLED");
}

TEST_F(EngineTest, AStreamsPiecesAreTheOneShotText) {
  Make();
  InferenceCall call;
  call.targets = {Generation(16)};
  call.inputs = {Text("hello")};
  const std::string expected = Predict(call)[0].answer().text().text();
  std::string text;
  absl::StatusOr<PredictResult> last = absl::UnknownError("");
  absl::Notification done;

  ASSERT_OK(engine_->Generate(
      call, std::make_shared<CallContext>(),
      [&](GeneratedPiece piece) { text += piece.text; },
      [&](absl::StatusOr<PredictResult> result) {
        last = std::move(result);
        done.Notify();
      }));
  done.WaitForNotification();

  ASSERT_OK(last);
  EXPECT_EQ(text, expected);
  EXPECT_EQ(last->answer().text().text(), expected);
}

TEST_F(EngineTest, AClassificationHasNoStream) {
  Make();
  InferenceCall call;
  call.targets = {Classification({"good", "bad"})};
  call.inputs = {Text("hello")};
  absl::StatusOr<PredictResult> last = absl::UnknownError("");
  absl::Notification done;

  ASSERT_OK(engine_->Generate(
      call, std::make_shared<CallContext>(), [](GeneratedPiece) {},
      [&](absl::StatusOr<PredictResult> result) {
        last = std::move(result);
        done.Notify();
      }));
  done.WaitForNotification();

  EXPECT_THAT(last, ReasonIs(Reason::kIllegalState, HasSubstr("Predict")));
}

TEST_F(EngineTest, DrainAnswersWhatWasTakenAndTakesNoMore) {
  Make();
  InferenceCall call;
  call.targets = {Generation(8)};
  call.inputs = {Text("hello")};
  absl::Status taken;
  const auto pending = Begin(call, &taken);

  EXPECT_TRUE(engine_->Drain(absl::Seconds(60)));

  EXPECT_TRUE(pending->done.HasBeenNotified());
  EXPECT_TRUE(pending->results[0].has_answer());
  Begin(call, &taken);
  EXPECT_THAT(taken, ReasonIs(Reason::kDraining, _));
}

TEST_F(EngineTest, StopAnswersWhatIsLeft) {
  Make();
  InferenceCall call;
  call.targets = {WithPrompt(Generation(100000), 1)};
  call.inputs = {Text("hello")};
  artifacts_.SetBlocked(true);
  absl::Status taken;
  const auto pending = Begin(call, &taken);
  pending->context->Cancel();
  artifacts_.SetBlocked(false);

  engine_->Stop();

  EXPECT_TRUE(pending->done.HasBeenNotified());
  EXPECT_TRUE(pending->results[0].has_error());
}

TEST_F(EngineTest, StopPreparesNothingThatStillWaits) {
  Engine::Options options;
  options.num_preparation_threads = 1;
  Make(options);
  InferenceCall first;
  first.targets = {WithPrompt(Generation(4), 1)};
  first.inputs = {Text("hello")};
  InferenceCall second = first;
  second.targets = {WithPrompt(Generation(4), 2)};
  artifacts_.SetBlocked(true);
  absl::Status taken;
  Begin(first, &taken);
  const auto waiting = Begin(second, &taken);
  std::thread stop([this] { engine_->Stop(); });
  // Until Stop has begun.
  while (taken.ok() || ReasonOf(taken) != Reason::kDraining) {
    Begin(first, &taken);
  }
  artifacts_.SetBlocked(false);

  stop.join();

  EXPECT_LE(artifacts_.num_fetches(), 1);
  ASSERT_TRUE(waiting->done.HasBeenNotified());
  EXPECT_EQ(waiting->results[0].error().reason(), "DRAINING");
}

TEST_F(EngineTest, AnExceptionIsItsInputsError) {
  class Throwing final : public ArtifactSource {
    absl::StatusOr<Artifact> Fetch(const std::string&, absl::Time) override {
      throw std::runtime_error("shape mismatch");
    }
  } throwing;
  engine_ = std::make_unique<Engine>(Engine::Options(), models_, throwing,
                                     budget_, inference_metrics_, clock_);
  InferenceCall call;
  call.targets = {WithPrompt(Generation(4), 1), Generation(4)};
  call.inputs = {Text("a", 0), Text("b", 1)};

  const std::vector<PredictResult> results = Predict(call);
  engine_.reset();

  EXPECT_EQ(results[0].error().reason(), "INTERNAL");
  EXPECT_THAT(results[0].error().message(), HasSubstr("shape mismatch"));
  EXPECT_TRUE(results[1].has_answer());
}

TEST_F(EngineTest, PreloadLoadsAndNamesWhatIsMissing) {
  Make();

  const auto model = engine_->Preload("models/tiny");
  ASSERT_OK(model);
  EXPECT_EQ((*model)->info.id, "tiny");
  EXPECT_THAT(models_.LoadedIds(), testing::ElementsAre("tiny"));
  EXPECT_THAT(engine_->Preload("models/none"),
              ReasonIs(Reason::kUnknownBaseModel, HasSubstr("none")));
}

TEST_F(EngineTest, AnIdleEngineGivesItsThreadsBack) {
  Make();
  InferenceCall call;
  call.targets = {Generation(2)};
  call.inputs = {Text("hello")};
  Predict(call);
  engine_->Stop();

  EXPECT_EQ(budget_.TrainingThreads(), 2);
}

}  // namespace
}  // namespace attune::worker
