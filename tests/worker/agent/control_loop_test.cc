#include "worker/agent/control_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/worker/agent/attempt_fixture.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::AtLeast;
using testing::Return;
using Response = v1::SynchronizeResponse;
using Request = v1::SynchronizeRequest;

class ControlLoopTest : public AttemptFixture {
 protected:
  ControlLoopTest() {
    ON_CALL(stub_, Synchronize(_, _))
        .WillByDefault([this](const Request& request, absl::Duration) {
          requests_.push_back(request);
          return Answer(request);
        });
  }

  void Make(AttemptRunner::RunFunction run) {
    ControlLoop::Options options;
    options.worker_id = "w";
    options.instance_id = "i";
    options.engine_address = "host:1";
    options.version = "v";
    options.max_jobs = 3;
    loop_ = std::make_unique<ControlLoop>(
        options,
        ControlLoop::Host{
            .models =
                [] {
                  std::vector<attune::v1::Model> models(1);
                  models[0].set_name("models/m");
                  return models;
                },
            .warm_artifacts = [] { return std::vector<std::string>{"digest"}; },
            .num_waiting_requests = [] { return 3; }},
        stub_, MakeRunner(std::move(run)), clock_, [] { return 0.5; });
  }

  // What the server says: each job that waits once, then its directive.
  absl::StatusOr<Response> Answer(const Request& request) {
    if (!reachable_) return failure_;
    Response response;
    response.mutable_lease_duration()->set_seconds(30);
    response.mutable_next_call()->set_seconds(10);
    for (const v1::AttemptState& attempt : request.attempts()) {
      v1::AttemptDirective& directive = *response.add_directives();
      directive.set_tuning_job(attempt.tuning_job());
      directive.set_attempt(attempt.attempt());
      const auto own = actions_.find(attempt.tuning_job());
      directive.set_action(own == actions_.end() ? action_ : own->second);
    }
    if (request.worker().free_job_slots() > 0 && !waiting_.empty()) {
      *response.mutable_assignment() = MakeAssignment("", waiting_.front());
      waiting_.pop_front();
    }
    return response;
  }

  // Steps until `done`; waits cost no real time, the clock moves instead. The
  // limit is in real time, because the attempt's threads need some however
  // fast the clock moves.
  template <typename Done>
  void StepUntil(Done done) {
    const absl::Time limit = absl::Now() + absl::Minutes(1);
    while (!done() && absl::Now() < limit) {
      const auto until = loop_->Step();
      if (!until) return;
      if (*until > clock_.Monotonic()) {
        clock_.Advance(absl::Milliseconds(100));
        std::this_thread::yield();
      }
    }
    ASSERT_TRUE(done()) << "nothing happened";
  }
  void StepUntilEnded() {
    StepUntil([this] { return loop_->num_attempts() > 0; });
    StepUntil([this] { return loop_->num_attempts() == 0; });
  }

  bool reachable_ = true;
  absl::Status failure_ = Unreachable();  // while it is not
  std::deque<std::string> waiting_;       // jobs for which a worker is sought
  v1::AttemptDirective::Action action_ = v1::AttemptDirective::ACTION_CONTINUE;
  // For single jobs, in place of action_.
  std::map<std::string, v1::AttemptDirective::Action> actions_;
  std::vector<Request> requests_;
  std::unique_ptr<ControlLoop> loop_;
};

TEST_F(ControlLoopTest, RegistersWithoutWaitingAndThenWaitsForAJob) {
  Make(Succeed);
  StepUntil([this] { return requests_.size() == 2; });

  const v1::WorkerState& worker = requests_[0].worker();
  EXPECT_EQ(worker.id(), "w");
  EXPECT_EQ(worker.instance_id(), "i");
  EXPECT_EQ(worker.engine_address(), "host:1");
  EXPECT_EQ(worker.models(0).name(), "models/m");
  EXPECT_EQ(worker.warm_artifacts(0), "digest");
  EXPECT_EQ(worker.num_waiting_requests(), 3);
  EXPECT_TRUE(worker.accepts_jobs());
  EXPECT_FALSE(requests_[0].has_wait_duration());
  EXPECT_EQ(requests_[1].wait_duration().seconds(), 10);
  EXPECT_TRUE(loop_->WaitRegistered(absl::ZeroDuration()));
}

TEST_F(ControlLoopTest, RegistersAgainAfterTheServerWasAway) {
  Make(Succeed);
  reachable_ = false;
  StepUntil([this] { return requests_.size() == 3; });
  EXPECT_FALSE(loop_->WaitRegistered(absl::ZeroDuration()));

  reachable_ = true;
  StepUntil([this] { return requests_.size() == 5; });

  EXPECT_FALSE(requests_[3].has_wait_duration());
  EXPECT_TRUE(requests_[4].has_wait_duration());
}

TEST_F(ControlLoopTest, AnUnreachableServerIsAskedMoreAndMoreSlowly) {
  Make(Succeed);
  reachable_ = false;
  loop_->Step();
  const absl::Duration first = *loop_->Step() - clock_.Monotonic();
  clock_.Advance(first);
  loop_->Step();
  const absl::Duration second = *loop_->Step() - clock_.Monotonic();

  EXPECT_EQ(first, absl::Milliseconds(150));
  EXPECT_EQ(second, absl::Milliseconds(300));
}

TEST_F(ControlLoopTest, CarriesAJobOut) {
  Make(Succeed);
  waiting_ = {"j"};
  v1::FinishAttemptRequest finished;
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce([&](const v1::FinishAttemptRequest& request, absl::Duration) {
        finished = request;
        return absl::OkStatus();
      });

  StepUntilEnded();

  EXPECT_TRUE(finished.has_succeeded());
  EXPECT_EQ(finished.tuning_job(), "tuningJobs/j");
}

TEST_F(ControlLoopTest, ReportsARunningJobEverySecond) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  StepUntil([this] { return requests_.size() == 2; });
  const absl::Duration begin = clock_.Monotonic();
  StepUntil([this] { return requests_.size() == 5; });

  EXPECT_EQ(requests_[4].attempts_size(), 1);
  EXPECT_FALSE(requests_[4].has_wait_duration());
  EXPECT_EQ(clock_.Monotonic() - begin, absl::Seconds(3));
}

TEST_F(ControlLoopTest, LargeSpecsComeOneAfterTheOther) {
  Make([](const AttemptInput& input, AttemptListener& listener) {
    attune::v1::TuningJobSpec spec;
    spec.set_prompt(std::string(size_t{3} << 19, 'x'));
    listener.OnResolvedSpec(spec);
    return RunUntilStopped(input, listener);
  });
  waiting_ = {"a", "b", "c"};
  const auto told = [this] {
    std::map<std::string, int> times;
    for (const Request& request : requests_) {
      for (const v1::AttemptState& attempt : request.attempts()) {
        times[attempt.tuning_job()] += attempt.has_resolved_spec() ? 1 : 0;
      }
    }
    return times;
  };

  StepUntil([&] {
    const std::map<std::string, int> times = told();
    return times.size() == 3 &&
           std::all_of(times.begin(), times.end(),
                       [](const auto& job) { return job.second > 0; });
  });

  for (const Request& request : requests_) {
    EXPECT_LT(request.ByteSizeLong(), size_t{2} << 20);
  }
}

TEST_F(ControlLoopTest, ACancelStopsTheJob) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  action_ = v1::AttemptDirective::ACTION_CANCEL;
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce([](const v1::FinishAttemptRequest& request, absl::Duration) {
        EXPECT_TRUE(request.has_cancelled());
        return absl::OkStatus();
      });

  StepUntilEnded();
}

TEST_F(ControlLoopTest, AnAbandonedAttemptPublishesNothing) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  action_ = v1::AttemptDirective::ACTION_ABANDON;
  EXPECT_CALL(stub_, FinishAttempt(_, _)).Times(0);
  EXPECT_CALL(stub_, UploadArtifact(_, _, _)).Times(0);

  StepUntilEnded();
}

TEST_F(ControlLoopTest, TrainingSurvivesAShortAbsenceOfTheServer) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  StepUntil([this] { return loop_->num_attempts() > 0; });
  StepUntil([this] { return requests_.size() >= 3; });
  reachable_ = false;
  const absl::Duration away = clock_.Monotonic() + absl::Seconds(15);
  StepUntil([&] { return clock_.Monotonic() >= away; });
  reachable_ = true;
  const size_t asked = requests_.size();
  StepUntil([&] { return requests_.size() >= asked + 2; });

  EXPECT_EQ(requests_.back().attempts_size(), 1);
}

TEST_F(ControlLoopTest, TwoThirdsOfTheLeaseWithoutAnswersEndTheAttempt) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  EXPECT_CALL(stub_, FinishAttempt(_, _)).Times(0);
  EXPECT_CALL(stub_, UploadArtifact(_, _, _)).Times(0);
  StepUntil([this] { return loop_->num_attempts() > 0; });
  reachable_ = false;
  const absl::Duration begin = clock_.Monotonic();

  StepUntil([this] { return loop_->num_attempts() == 0; });

  EXPECT_GE(clock_.Monotonic() - begin, absl::Seconds(20));
  reachable_ = true;
  StepUntil([this] { return requests_.back().has_wait_duration(); });
  EXPECT_EQ(requests_.back().attempts_size(), 0);
}

TEST_F(ControlLoopTest, AServerThatCannotStoreReportsKeepsTheLease) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  StepUntil([this] { return loop_->num_attempts() > 0; });
  failure_ = MakeError(Reason::kStorageFull, "no space left");
  reachable_ = false;
  const absl::Duration end = clock_.Monotonic() + absl::Seconds(60);
  StepUntil([&] { return clock_.Monotonic() >= end; });
  reachable_ = true;
  const size_t asked = requests_.size();
  StepUntil([&] { return requests_.size() >= asked + 2; });

  EXPECT_EQ(requests_.back().attempts_size(), 1);
}

TEST_F(ControlLoopTest, ACheckpointThatTheServerDoesNotTakeHoldsNothingUp) {
  std::atomic<bool> refused = false;
  Make([&refused](const AttemptInput& input, AttemptListener& listener) {
    listener.OnCheckpoint(MakeArtifact("checkpoint"), 5);
    while (!refused && !listener.StopRequested()) std::this_thread::yield();
    return Succeed(input, listener);
  });
  waiting_ = {"j"};
  ON_CALL(stub_, Synchronize(_, _))
      .WillByDefault([&](const Request& request,
                         absl::Duration) -> absl::StatusOr<Response> {
        requests_.push_back(request);
        absl::StatusOr<Response> response = Answer(request);
        if (request.attempts_size() == 1 &&
            !request.attempts(0).checkpoint_digest().empty()) {
          refused = true;
          response->mutable_directives(0)->set_checkpoint_unknown(true);
        }
        return response;
      });
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce([](const v1::FinishAttemptRequest& request, absl::Duration) {
        EXPECT_TRUE(request.has_succeeded());
        return absl::OkStatus();
      });

  StepUntilEnded();
  loop_.reset();  // joins the thread that uses `refused`
}

TEST_F(ControlLoopTest, AResultIsOfferedUntilTheServerTakesIt) {
  Make(Succeed);
  waiting_ = {"j"};
  int count = 0;
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .Times(21)
      .WillRepeatedly(
          [&](const v1::FinishAttemptRequest& request, absl::Duration) {
            EXPECT_TRUE(request.has_succeeded());
            return ++count <= 20 ? Unreachable() : absl::OkStatus();
          });

  StepUntilEnded();

  // Longer than the lease; Synchronize went on meanwhile.
  EXPECT_GT(requests_.size(), 20u);
}

TEST_F(ControlLoopTest, AResultThatTheServerRefusesIsForgotten) {
  Make(Succeed);
  waiting_ = {"j"};
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce(Return(MakeError(Reason::kLeaseLost, "not current")));

  StepUntilEnded();
}

TEST_F(ControlLoopTest, AResultThatCanNeverBeTakenFailsTheJob) {
  Make(Succeed);
  waiting_ = {"j"};
  v1::FinishAttemptRequest last;
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce(Return(MakeError(Reason::kLimitExceeded, "too large")))
      .WillOnce([&](const v1::FinishAttemptRequest& request, absl::Duration) {
        last = request;
        return absl::OkStatus();
      });

  StepUntilEnded();

  ASSERT_TRUE(last.has_failed());
  EXPECT_EQ(ReasonOf(FromRpcStatus(last.failed())), Reason::kLimitExceeded);
}

TEST_F(ControlLoopTest, AResultWhoseFilesAreLostIsForgottenAndMadeAnew) {
  Make(Succeed);
  waiting_ = {"j"};
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce(Return(MakeError(Reason::kCorruptArtifact, "bit flip")));

  StepUntilEnded();
}

TEST_F(ControlLoopTest, AnAbandonedResultIsForgotten) {
  Make(Succeed);
  waiting_ = {"j"};
  ON_CALL(stub_, FinishAttempt(_, _)).WillByDefault(Return(Unreachable()));
  StepUntil([this] { return loop_->num_attempts() > 0; });
  action_ = v1::AttemptDirective::ACTION_ABANDON;

  StepUntil([this] { return loop_->num_attempts() == 0; });
}

TEST_F(ControlLoopTest, AnIdleWorkerDrainsAtOnce) {
  Make(Succeed);
  StepUntil([this] { return requests_.size() == 2; });
  EXPECT_CALL(stub_, InterruptSynchronize());
  loop_->RequestDrain();

  StepUntil([this] { return loop_->WaitDrained(absl::ZeroDuration()); });

  EXPECT_EQ(requests_.size(), 3u);
  EXPECT_FALSE(requests_[2].worker().accepts_jobs());
}

TEST_F(ControlLoopTest, AnIdleDrainDoesNotWaitForAServerThatIsAway) {
  Make(Succeed);
  reachable_ = false;
  StepUntil([this] { return requests_.size() == 1; });
  loop_->RequestDrain();

  StepUntil([this] { return requests_.size() > 10; });

  EXPECT_TRUE(loop_->WaitDrained(absl::ZeroDuration()));
}

TEST_F(ControlLoopTest, ADrainReleasesTheJobAfterReportingItsCheckpoint) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  const std::string digest = ArtifactDigest(MakeArtifact("checkpoint"));
  std::string reported;
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce([&](const v1::FinishAttemptRequest& request, absl::Duration) {
        EXPECT_TRUE(request.has_released());
        reported = requests_.back().attempts(0).checkpoint_digest();
        return absl::OkStatus();
      });
  StepUntil([this] { return loop_->num_attempts() > 0; });
  loop_->RequestDrain();

  StepUntil([this] { return loop_->WaitDrained(absl::ZeroDuration()); });

  EXPECT_EQ(reported, digest);
  EXPECT_FALSE(loop_->num_attempts() > 0);
}

TEST_F(ControlLoopTest, TakesTheNextJobAfterOneHasEnded) {
  Make(Succeed);
  EXPECT_CALL(stub_, FinishAttempt(_, _)).Times(2);
  waiting_ = {"j"};
  StepUntilEnded();
  waiting_ = {"j"};
  StepUntilEnded();
}

TEST_F(ControlLoopTest, TakesJobsUntilItsSlotsAreFull) {
  Make(RunUntilStopped);
  waiting_ = {"a", "b", "c", "d"};
  StepUntil([this] { return requests_.size() == 1; });
  const absl::Duration begin = clock_.Monotonic();
  StepUntil([this] { return loop_->num_attempts() == 3; });

  EXPECT_LT(clock_.Monotonic() - begin, absl::Seconds(1)) << "one by one";
  EXPECT_EQ(requests_[0].worker().free_job_slots(), 3);
  const size_t asked = requests_.size();
  StepUntil([&] { return requests_.size() >= asked + 3; });
  EXPECT_EQ(requests_.back().attempts_size(), 3);
  EXPECT_EQ(requests_.back().worker().free_job_slots(), 0);
  EXPECT_TRUE(requests_.back().worker().accepts_jobs());
  EXPECT_EQ(waiting_.size(), 1u);
}

TEST_F(ControlLoopTest, AJobThatFailsFreesItsSlotAndDisturbsNoOther) {
  Make([](const AttemptInput& input,
          AttemptListener& listener) -> absl::StatusOr<AttemptResult> {
    if (input.job.name() == "tuningJobs/bad") {
      return MakeError(Reason::kInvalidData, "row 3 has no label");
    }
    return RunUntilStopped(input, listener);
  });
  waiting_ = {"a", "bad", "c", "d"};
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce([](const v1::FinishAttemptRequest& request, absl::Duration) {
        EXPECT_EQ(request.tuning_job(), "tuningJobs/bad");
        EXPECT_TRUE(request.has_failed());
        return absl::OkStatus();
      });

  StepUntil([this] { return waiting_.empty() && loop_->num_attempts() == 3; });

  const size_t asked = requests_.size();
  StepUntil([&] { return requests_.size() > asked; });
  std::vector<std::string> reported;
  for (const auto& attempt : requests_.back().attempts()) {
    reported.push_back(attempt.tuning_job());
  }
  EXPECT_THAT(reported, testing::UnorderedElementsAre(
                            "tuningJobs/a", "tuningJobs/c", "tuningJobs/d"));
}

TEST_F(ControlLoopTest, ACancelAndALostLeaseMeetTheirJobsOnly) {
  Make(RunUntilStopped);
  waiting_ = {"a", "cancelled", "lost"};
  StepUntil([this] { return loop_->num_attempts() == 3; });
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .WillOnce([](const v1::FinishAttemptRequest& request, absl::Duration) {
        EXPECT_EQ(request.tuning_job(), "tuningJobs/cancelled");
        EXPECT_TRUE(request.has_cancelled());
        return absl::OkStatus();
      });
  actions_ = {{"tuningJobs/cancelled", v1::AttemptDirective::ACTION_CANCEL},
              {"tuningJobs/lost", v1::AttemptDirective::ACTION_ABANDON}};

  StepUntil([this] { return loop_->num_attempts() == 1; });
  const absl::Duration end = clock_.Monotonic() + absl::Seconds(60);
  StepUntil([&] { return clock_.Monotonic() >= end; });

  ASSERT_EQ(requests_.back().attempts_size(), 1);
  EXPECT_EQ(requests_.back().attempts(0).tuning_job(), "tuningJobs/a");
}

TEST_F(ControlLoopTest, AResultThatIsNotTakenHoldsNoOtherJobUp) {
  Make([](const AttemptInput& input,
          AttemptListener& listener) -> absl::StatusOr<AttemptResult> {
    if (input.job.name() == "tuningJobs/a") {
      return RunUntilStopped(input, listener);
    }
    return Succeed(input, listener);
  });
  waiting_ = {"a", "refused", "taken"};
  bool taken = false;
  ON_CALL(stub_, FinishAttempt(_, _))
      .WillByDefault([&](const v1::FinishAttemptRequest& request,
                         absl::Duration) -> absl::Status {
        if (request.tuning_job() == "tuningJobs/taken") taken = true;
        return taken && request.tuning_job() == "tuningJobs/taken"
                   ? absl::OkStatus()
                   : MakeError(Reason::kStorageFull, "no space left");
      });

  StepUntil([&] { return taken; });
  const absl::Duration end = clock_.Monotonic() + absl::Seconds(90);
  StepUntil([&] { return clock_.Monotonic() >= end; });

  EXPECT_EQ(loop_->num_attempts(), 2) << "the lease of \"a\" was renewed";
}

TEST_F(ControlLoopTest, ADrainGivesAllJobsBack) {
  Make(RunUntilStopped);
  waiting_ = {"a", "b", "c"};
  StepUntil([this] { return loop_->num_attempts() == 3; });
  EXPECT_CALL(stub_, FinishAttempt(_, _))
      .Times(3)
      .WillRepeatedly(
          [](const v1::FinishAttemptRequest& request, absl::Duration) {
            EXPECT_TRUE(request.has_released());
            return absl::OkStatus();
          });
  loop_->RequestDrain();

  StepUntil([this] { return loop_->WaitDrained(absl::ZeroDuration()); });

  EXPECT_EQ(loop_->num_attempts(), 0);
}

TEST_F(ControlLoopTest, AbandonEndsRunWhateverIsUnfinished) {
  Make(RunUntilStopped);
  waiting_ = {"j"};
  StepUntil([this] { return loop_->num_attempts() > 0; });
  std::thread running([this] { loop_->Run(); });

  loop_->Abandon();
  running.join();

  EXPECT_FALSE(loop_->WaitDrained(absl::ZeroDuration()));
}

}  // namespace
}  // namespace attune::worker
