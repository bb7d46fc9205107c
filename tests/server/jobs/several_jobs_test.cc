// Several jobs on one worker. Time moves by hand: a lease is 30 s.

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/jobs/job_manager.h"
#include "tests/server/jobs/job_workers_fixture.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using worker::v1::AttemptDirective;
using worker::v1::AttemptState;
using worker::v1::SynchronizeRequest;
using worker::v1::SynchronizeResponse;
using J = v1::TuningJob;

struct Attempt {
  std::string job;
  int attempt = 1;
};

class SeveralJobsTest : public JobWorkersFixture {
 protected:
  using JobWorkersFixture::Sync;

  static SynchronizeRequest MakeRequest(const worker::v1::WorkerState& worker,
                                        const std::vector<Attempt>& attempts,
                                        int free_slots = 1) {
    SynchronizeRequest request;
    *request.mutable_worker() = worker;
    request.mutable_worker()->set_free_job_slots(free_slots);
    for (const Attempt& one : attempts) {
      AttemptState& state = *request.add_attempts();
      state.set_tuning_job(Concat("tuningJobs/", one.job));
      state.set_attempt(one.attempt);
    }
    return request;
  }
  SynchronizeResponse Sync(const std::string& worker,
                           const std::vector<Attempt>& attempts,
                           int free_slots = 1) {
    return Sync(MakeRequest(MakeWorker(worker), attempts, free_slots));
  }
  // The job that a worker with a free slot gets beside those; or "".
  std::string NextJob(const std::string& worker,
                      const std::vector<Attempt>& attempts) {
    return IdOf(Sync(worker, attempts));
  }
  static std::string IdOf(const SynchronizeResponse& response) {
    const std::string& name = response.assignment().tuning_job().name();
    return name.empty() ? "" : name.substr(std::string("tuningJobs/").size());
  }
  static std::vector<AttemptDirective::Action> ActionsOf(
      const SynchronizeResponse& response) {
    std::vector<AttemptDirective::Action> actions;
    for (const AttemptDirective& directive : response.directives()) {
      actions.push_back(directive.action());
    }
    return actions;
  }
  // "w1" works on a, b and c, each in its first attempt.
  void GiveThreeJobs() {
    for (const char* id : {"a", "b", "c"}) state_.CreateJob(id);
    ASSERT_EQ(NextJob("w1", {}), "a");
    ASSERT_EQ(NextJob("w1", {{"a"}}), "b");
    ASSERT_EQ(NextJob("w1", {{"a"}, {"b"}}), "c");
  }
};

TEST_F(SeveralJobsTest, AWorkerGetsJobsAsLongAsItHasRoom) {
  GiveThreeJobs();
  state_.CreateJob("d");

  EXPECT_FALSE(
      Sync("w1", {{"a"}, {"b"}, {"c"}}, /*free_slots=*/0).has_assignment());

  EXPECT_EQ(state_.StateOf("d"), J::STATE_QUEUED);
  EXPECT_EQ(jobs().GetJob("b")->worker(), "w1");
  EXPECT_EQ(NextJob("w1", {{"a"}, {"b"}, {"c"}}), "d");
}

TEST_F(SeveralJobsTest, OneCallRenewsAllLeases) {
  GiveThreeJobs();
  for (int i = 0; i < 5; ++i) {
    Pass(absl::Seconds(29));
    EXPECT_THAT(ActionsOf(Sync("w1", {{"a"}, {"b"}, {"c"}}, 0)),
                ElementsAre(kContinue, kContinue, kContinue));
  }
  for (const char* id : {"a", "b", "c"}) {
    EXPECT_EQ(state_.StateOf(id), J::STATE_RUNNING);
  }
}

TEST_F(SeveralJobsTest, EachReportIsItsOwn) {
  GiveThreeJobs();
  ASSERT_OK(jobs().CancelJob("b"));
  SynchronizeRequest request =
      MakeRequest(MakeWorker("w1"), {{"a"}, {"b"}, {"c", 9}}, 0);
  for (int i = 0; i < 3; ++i) {
    request.mutable_attempts(i)->mutable_progress()->set_step(10 + i);
  }
  request.mutable_attempts(0)->set_checkpoint_digest(std::string(64, 'a'));

  const SynchronizeResponse response = Sync(request);

  EXPECT_THAT(ActionsOf(response), ElementsAre(kContinue, kCancel, kAbandon));
  EXPECT_EQ(response.directives(2).tuning_job(), "tuningJobs/c");
  EXPECT_EQ(response.directives(2).attempt(), 9);
  EXPECT_TRUE(response.directives(0).checkpoint_unknown());
  EXPECT_FALSE(response.directives(1).checkpoint_unknown());
  EXPECT_EQ(jobs().GetJob("a")->progress().step(), 10);
  EXPECT_EQ(jobs().GetJob("b")->progress().step(), 11);
  EXPECT_EQ(jobs().GetJob("c")->progress().step(), 0);
}

TEST_F(SeveralJobsTest, TheEndOfOneLeavesTheOthersAlone) {
  GiveThreeJobs();
  worker::v1::FinishAttemptRequest failed;
  failed.set_tuning_job("tuningJobs/a");
  failed.set_attempt(1);
  *failed.mutable_failed() =
      ToRpcStatus(MakeError(Reason::kInvalidData, "row 3 has no label"));
  ASSERT_OK(jobs().FinishAttempt(failed));
  state_.CreateJob("d");

  const SynchronizeResponse response = Sync("w1", {{"b"}, {"c"}});

  EXPECT_THAT(ActionsOf(response), ElementsAre(kContinue, kContinue));
  EXPECT_EQ(IdOf(response), "d") << "its slot is free";
  EXPECT_OK(state_.Succeed("b", 1, "b"));
  EXPECT_OK(state_.Succeed("c", 1, "c"));
}

TEST_F(SeveralJobsTest, AJobWhoseAnswerWasLostIsGivenAgainBesideTheOthers) {
  GiveThreeJobs();

  const SynchronizeResponse response = Sync("w1", {{"a"}, {"c"}});

  EXPECT_EQ(IdOf(response), "b");
  EXPECT_EQ(response.assignment().attempt(), 1) << "no new attempt";
  EXPECT_THAT(ActionsOf(response), ElementsAre(kContinue, kContinue));
}

TEST_F(SeveralJobsTest, AWorkerWithoutRoomKeepsAJobItDoesNotNameForItsLease) {
  GiveThreeJobs();

  EXPECT_FALSE(Sync("w1", {{"a"}, {"c"}}, 0).has_assignment());

  EXPECT_EQ(state_.StateOf("b"), J::STATE_RUNNING);
  Pass(absl::Seconds(29));
  Sync("w1", {{"a"}, {"c"}}, 0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(state_.StateOf("b"), J::STATE_QUEUED);
  EXPECT_EQ(state_.StateOf("a"), J::STATE_RUNNING);
}

TEST_F(SeveralJobsTest, ADrainGivesUnnamedJobsBackAndLetsTheOthersEnd) {
  GiveThreeJobs();
  SynchronizeRequest draining = MakeRequest(MakeWorker("w1"), {{"c"}}, 0);
  draining.mutable_worker()->set_accepts_jobs(false);

  EXPECT_THAT(ActionsOf(Sync(draining)), ElementsAre(kContinue));

  EXPECT_EQ(state_.StateOf("a"), J::STATE_QUEUED);
  EXPECT_EQ(state_.StateOf("b"), J::STATE_QUEUED);
  EXPECT_EQ(state_.StateOf("c"), J::STATE_RUNNING);
}

TEST_F(SeveralJobsTest, ASilentWorkerLosesAllItsJobs) {
  GiveThreeJobs();

  Pass(absl::Seconds(30));

  for (const char* id : {"a", "b", "c"}) {
    EXPECT_EQ(state_.StateOf(id), J::STATE_QUEUED);
  }
}

TEST_F(SeveralJobsTest, ARestartedWorkerVoidsAllJobsOfItsEarlierSelf) {
  GiveThreeJobs();

  Sync(MakeRequest(MakeWorker("w1", "w1-2"), {}));

  for (const char* id : {"a", "b", "c"}) {
    EXPECT_EQ(state_.StateOf(id), J::STATE_QUEUED);
  }
  EXPECT_THAT(ActionsOf(Sync("w1", {{"a"}, {"b"}})),
              ElementsAre(kAbandon, kAbandon));
}

TEST_F(SeveralJobsTest, ARestartOfTheServerKeepsAllLeases) {
  GiveThreeJobs();
  state_.Restart();

  Pass(absl::Seconds(29));

  EXPECT_THAT(ActionsOf(Sync("w1", {{"a"}, {"b"}, {"c"}}, 0)),
              ElementsAre(kContinue, kContinue, kContinue));
}

TEST_F(SeveralJobsTest, AFullDiskTakesNoneOfThemAway) {
  GiveThreeJobs();
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "full"); };
  SynchronizeRequest request =
      MakeRequest(MakeWorker("w1"), {{"a"}, {"b"}, {"c"}}, 0);
  for (int i = 0; i < 3; ++i) {
    state_.clock.Advance(absl::Seconds(20));
    EXPECT_THAT(jobs().Synchronize(request),
                ReasonIs(Reason::kStorageFull, "full"));
  }
  state_.before_commit = nullptr;

  Pass(absl::ZeroDuration());

  EXPECT_THAT(ActionsOf(Sync(request)),
              ElementsAre(kContinue, kContinue, kContinue));
}

TEST_F(SeveralJobsTest, AWorkerThatWaitsWithoutAJobComesFirst) {
  state_.CreateJob("a");
  ASSERT_EQ(NextJob("busy", {}), "a");
  Sync("idle", {});  // is known
  auto waiting = jobs().AddWaiting(MakeWorker("idle"));
  state_.CreateJob("b");
  state_.CreateJob("c");

  EXPECT_EQ(NextJob("busy", {{"a"}}), "");
  EXPECT_EQ(NextJob("idle", {}), "b");
  EXPECT_EQ(NextJob("busy", {{"a"}}), "c") << "both work now";
}

TEST_F(SeveralJobsTest, WhoeverCannotTakeTheJobHoldsNobodyUp) {
  state_.CreateJob("a");
  ASSERT_EQ(NextJob("busy", {}), "a");
  worker::v1::WorkerState other = MakeWorker("other");
  other.mutable_models(0)->set_name("models/other");
  worker::v1::WorkerState full = MakeWorker("full");
  full.set_free_job_slots(0);
  Sync(MakeRequest(other, {}));
  Sync(MakeRequest(full, {}, 0));
  Sync(MakeRequest(MakeWorker("replaced"), {}));
  Sync(MakeRequest(MakeWorker("replaced", "replaced-2"), {}));
  const auto first = jobs().AddWaiting(other);
  const auto second = jobs().AddWaiting(full);
  const auto third = jobs().AddWaiting(MakeWorker("replaced"));
  { const auto gone = jobs().AddWaiting(MakeWorker("gone")); }
  state_.CreateJob("b");

  EXPECT_EQ(NextJob("busy", {{"a"}}), "b");
}

TEST_F(SeveralJobsTest, AnotherModelIsLoadedOnlyForAnIdleWorker) {
  v1::CreateTuningJobRequest of_other = MakeCreateRequest("other");
  of_other.mutable_tuning_job()->mutable_spec()->set_base_model("models/other");
  worker::v1::WorkerState worker = MakeWorker("w1");
  v1::Model& other = *worker.add_models();
  other.set_name("models/other");
  other.add_holders()->set_loaded(false);
  state_.CreateJob("a");
  ASSERT_EQ(IdOf(Sync(MakeRequest(worker, {}))), "a");
  ASSERT_OK(jobs().CreateJob(of_other, MakeRows()));
  state_.CreateJob("younger");
  EXPECT_EQ(IdOf(Sync(MakeRequest(worker, {{"a"}}))), "");
  ASSERT_OK(state_.Succeed("a", 1));

  EXPECT_EQ(IdOf(Sync(MakeRequest(worker, {}))), "other");
  EXPECT_EQ(IdOf(Sync(MakeRequest(worker, {{"other"}}))), "younger")
      << "its model is loaded";
}

TEST_F(SeveralJobsTest, TheLastAttemptHasItsWorkerForItself) {
  state_.CreateJob("poison");
  state_.CreateJob("sound");
  for (int attempt = 1; attempt <= 2; ++attempt) {
    // Together they go down with their worker.
    ASSERT_EQ(NextJob("w1", {}), "poison");
    ASSERT_EQ(NextJob("w1", {{"poison", attempt}}), "sound");
    Pass(absl::Seconds(30));
    Pass(absl::Seconds(5));
  }

  ASSERT_EQ(NextJob("w1", {}), "poison");
  EXPECT_EQ(NextJob("w1", {{"poison", 3}}), "");
  Pass(absl::Seconds(30));
  EXPECT_EQ(state_.StateOf("poison"), J::STATE_FAILED);
  EXPECT_EQ(NextJob("w1", {}), "sound") << "it had no part in that loss";
}

TEST_F(SeveralJobsTest, ACheckpointEndsTheLastAttemptsPrivilege) {
  state_.CreateJob("a");
  for (int attempt = 1; attempt <= 2; ++attempt) {
    ASSERT_EQ(NextJob("w1", {}), "a");
    Pass(absl::Seconds(30));
    Pass(absl::Seconds(5));
  }
  state_.CreateJob("b");
  state_.Restart();  // what is known of losses is on disk
  ASSERT_EQ(NextJob("w1", {}), "a");
  ASSERT_EQ(NextJob("w1", {{"a", 3}}), "");
  SynchronizeRequest request = MakeRequest(MakeWorker("w1"), {{"a", 3}});
  request.mutable_attempts(0)->set_checkpoint_digest(
      state_.StoreArtifact("checkpoint"));
  request.mutable_attempts(0)->set_checkpoint_step(50);

  EXPECT_EQ(IdOf(Sync(request)), "b");
}

}  // namespace
}  // namespace attune::server
