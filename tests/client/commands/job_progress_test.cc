#include "client/commands/job_progress.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace attune::client {
namespace {

using testing::ElementsAre;

v1::TuningProgress Training(int step) {
  v1::TuningProgress progress;
  progress.set_phase(v1::TuningProgress::PHASE_TRAINING);
  progress.set_step(step);
  progress.set_max_steps(150);
  progress.set_loss(0.4123);
  return progress;
}

v1::TuningEvent ProgressEvent(const v1::TuningProgress& progress) {
  v1::TuningEvent event;
  *event.mutable_progress() = progress;
  return event;
}

v1::TuningEvent StateEvent(v1::TuningJob::State state, int attempt,
                           const std::string& worker) {
  v1::TuningEvent event;
  event.mutable_state_change()->set_state(state);
  event.mutable_state_change()->set_attempt(attempt);
  event.mutable_state_change()->set_worker(worker);
  return event;
}

v1::TuningEvent NoticeEvent(const std::string& message) {
  v1::TuningEvent event;
  event.mutable_notice()->set_message(message);
  return event;
}

TEST(ViewOf, TrainingShowsTheMostImportantFirst) {
  v1::TuningProgress progress = Training(63);
  progress.set_validation_metric_name("accuracy");
  progress.set_validation_metric(0.88);
  progress.set_best_step(60);
  progress.set_remaining_seconds(72);
  progress.set_tokens_per_second(1234.4);
  progress.set_prompt_norm(12.3);
  progress.set_prompt_drift(0.5);

  const ProgressView view = ViewOf(progress);

  EXPECT_EQ(view.phase, "training");
  EXPECT_DOUBLE_EQ(*view.fraction, 0.42);
  EXPECT_THAT(
      view.details,
      ElementsAre("step 63/150", "loss 0.412", "accuracy 88.0%", "1m 12s left",
                  "1,234 tokens/s", "prompt norm 12.30, drift 0.500"));
}

TEST(ViewOf, BeforeTheFirstStepThereIsNoLoss) {
  EXPECT_THAT(ViewOf(Training(0)).details, ElementsAre("step 0/150"));
}

TEST(ViewOf, BeforeTheFirstValidationThereIsNoMetric) {
  v1::TuningProgress progress = Training(5);
  progress.set_validation_metric_name("accuracy");

  EXPECT_THAT(ViewOf(progress).details,
              ElementsAre("step 5/150", "loss 0.412"));
}

TEST(ViewOf, TellsTheValidationLossFromTheTrainingLoss) {
  v1::TuningProgress progress = Training(5);
  progress.set_validation_metric_name("loss");
  progress.set_validation_metric(0.5);
  progress.set_best_step(4);

  EXPECT_THAT(ViewOf(progress).details,
              ElementsAre("step 5/150", "loss 0.412", "validation loss 0.500"));
}

TEST(ViewOf, EvaluationsCountRows) {
  v1::TuningProgress progress;
  progress.set_phase(v1::TuningProgress::PHASE_EVALUATING_BASE);
  progress.set_phase_done(30);
  progress.set_phase_total(120);

  const ProgressView view = ViewOf(progress);

  EXPECT_EQ(view.phase, "base test");
  EXPECT_DOUBLE_EQ(*view.fraction, 0.25);
  EXPECT_THAT(view.details, ElementsAre("row 30/120"));
}

TEST(ViewOf, ASearchCountsRowsAsSoonAsItKnowsThem) {
  v1::TuningProgress progress;
  progress.set_phase(v1::TuningProgress::PHASE_SEARCHING);
  const ProgressView writing = ViewOf(progress);
  progress.set_phase_done(300);
  progress.set_phase_total(1200);

  const ProgressView measuring = ViewOf(progress);

  EXPECT_EQ(writing.phase, "searching");
  EXPECT_FALSE(writing.fraction.has_value());
  EXPECT_THAT(writing.details, ElementsAre());
  EXPECT_DOUBLE_EQ(*measuring.fraction, 0.25);
  EXPECT_THAT(measuring.details, ElementsAre("row 300/1,200"));
}

TEST(ViewOf, APhaseOfUnknownLengthHasNoShare) {
  v1::TuningProgress progress;
  progress.set_phase(v1::TuningProgress::PHASE_PREPARING);

  EXPECT_FALSE(ViewOf(progress).fraction.has_value());
}

TEST(PhaseName, FitsTheBar) {
  EXPECT_EQ(PhaseName(v1::TuningProgress::PHASE_UNSPECIFIED), "running");
  EXPECT_EQ(PhaseName(v1::TuningProgress::PHASE_VALIDATING), "validating");
  EXPECT_EQ(PhaseName(v1::TuningProgress::PHASE_EVALUATING_TUNED),
            "tuned test");
  EXPECT_EQ(PhaseName(v1::TuningProgress::PHASE_UPLOADING), "uploading");
}

TEST(Describe, SaysWhoWhichAttemptAndWhy) {
  v1::TuningEvent event = StateEvent(v1::TuningJob::STATE_RUNNING, 2, "w-1");
  EXPECT_EQ(Describe(event.state_change()), "running on w-1, attempt 2");

  event = StateEvent(v1::TuningJob::STATE_QUEUED, 1, "w-1");
  event.mutable_state_change()->set_message("lease expired");
  EXPECT_EQ(Describe(event.state_change()), "queued: lease expired");
}

TEST(LineObserver, PrintsStatesPhasesAndTenths) {
  std::ostringstream stream;
  Stream out{&stream};
  const auto observer = MakeLineObserver(out);

  observer->OnEvent(StateEvent(v1::TuningJob::STATE_QUEUED, 0, ""));
  observer->OnEvent(StateEvent(v1::TuningJob::STATE_RUNNING, 1, "w-1"));
  for (int step = 0; step <= 33; ++step) {
    observer->OnEvent(ProgressEvent(Training(step)));
  }
  observer->OnEvent(NoticeEvent("resumed from step 30"));

  EXPECT_EQ(stream.str(),
            "queued\n"
            "running on w-1\n"
            "training 0%  step 0/150\n"
            "training 10%  step 15/150  loss 0.412\n"
            "training 20%  step 30/150  loss 0.412\n"
            "resumed from step 30\n");
}

TEST(LineObserver, AValidationIsNoNewPhase) {
  std::ostringstream stream;
  Stream out{&stream};
  const auto observer = MakeLineObserver(out);
  v1::TuningProgress validating = Training(16);
  validating.set_phase(v1::TuningProgress::PHASE_VALIDATING);

  observer->OnEvent(ProgressEvent(Training(15)));
  observer->OnEvent(ProgressEvent(validating));
  observer->OnEvent(ProgressEvent(Training(17)));

  EXPECT_EQ(stream.str(), "training 10%  step 15/150  loss 0.412\n");
}

TEST(LineObserver, ANewAttemptBeginsAnew) {
  std::ostringstream stream;
  Stream out{&stream};
  const auto observer = MakeLineObserver(out);

  observer->OnEvent(ProgressEvent(Training(45)));
  observer->OnEvent(StateEvent(v1::TuningJob::STATE_RUNNING, 2, "w-2"));
  observer->OnEvent(ProgressEvent(Training(31)));
  observer->OnLost(absl::UnavailableError("gone"));

  EXPECT_EQ(stream.str(),
            "training 30%  step 45/150  loss 0.412\n"
            "running on w-2, attempt 2\n"
            "training 20%  step 31/150  loss 0.412\n"
            "connection lost, trying again (gone)\n");
}

TEST(LineObserver, SaysOnceThatTheConnectionIsLost) {
  std::ostringstream stream;
  Stream out{&stream};
  const auto observer = MakeLineObserver(out);

  observer->OnLost(absl::UnavailableError("gone"));
  observer->OnLost(absl::UnavailableError("still gone"));
  observer->OnEvent(NoticeEvent("back"));
  observer->OnLost(absl::UnavailableError("gone again"));

  EXPECT_EQ(stream.str(),
            "connection lost, trying again (gone)\n"
            "back\n"
            "connection lost, trying again (gone again)\n");
}

TEST(BarObserver, DrawsTheBarAndWhatHappensAboveIt) {
  std::ostringstream stream;
  Stream terminal{&stream, true, false, [] { return 61; }};
  const FakeClock clock;
  const auto observer = MakeBarObserver(terminal, /*unicode=*/false, clock);

  observer->OnEvent(StateEvent(v1::TuningJob::STATE_QUEUED, 0, ""));
  observer->OnEvent(StateEvent(v1::TuningJob::STATE_RUNNING, 1, "w-1"));
  observer->OnEvent(ProgressEvent(Training(75)));
  observer->OnEvent(StateEvent(v1::TuningJob::STATE_SUCCEEDED, 1, "w-1"));

  EXPECT_EQ(stream.str(),
            "\r\x1b[Kqueued      waiting for a worker"
            "\r\x1b[Krunning on w-1\n"
            "\r\x1b[Ktraining    [####----]  50%  step 75/150  loss 0.412"
            "\r\x1b[K");
}

TEST(BarObserver, SaysThatTheConnectionIsLost) {
  std::ostringstream stream;
  Stream terminal{&stream, true, false, [] { return 61; }};
  const FakeClock clock;
  const auto observer = MakeBarObserver(terminal, false, clock);

  observer->OnLost(absl::UnavailableError("gone"));

  EXPECT_EQ(stream.str(),
            "\r\x1b[Koffline     connection lost, trying again (gone)");
}

TEST(JsonObserver, PrintsAnEventALine) {
  std::ostringstream stream;
  Stream out{&stream};
  const auto observer = MakeJsonObserver(out);
  v1::TuningEvent event = NoticeEvent("hello");
  event.set_sequence(4);

  observer->OnEvent(event);

  EXPECT_EQ(stream.str(),
            "{\"sequence\":\"4\",\"notice\":{\"message\":\"hello\"}}\n");
}

}  // namespace
}  // namespace attune::client
