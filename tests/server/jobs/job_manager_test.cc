#include "server/jobs/job_manager.h"

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/store/row_store.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using J = v1::TuningJob;

constexpr char kRequestId[] = "5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d10";

class JobManagerTest : public testing::Test {
 protected:
  JobManager& jobs() { return *state_.jobs; }
  absl::StatusOr<J> Create(const std::string& id,
                           const std::string& request_id = "") {
    v1::CreateTuningJobRequest request = MakeCreateRequest(id);
    request.set_request_id(request_id);
    return jobs().CreateJob(request, MakeRows());
  }
  // The states among the job's events, in order.
  std::vector<std::string> History(const std::string& id) {
    std::vector<std::string> states;
    int64_t sequence = 0;
    const JobEvents events = jobs().EventsAfter(id, 0, 1000).value();
    for (const v1::TuningEvent& event : events.events) {
      EXPECT_EQ(event.sequence(), ++sequence) << "dense from 1";
      if (event.has_state_change()) {
        states.emplace_back(JobStateName(event.state_change().state()));
      }
    }
    return states;
  }
  std::vector<std::string> List(const std::string& filter) {
    std::vector<std::string> names;
    const auto page = jobs().ListJobs({0, "", filter}).value();
    for (const J& job : page.items) {
      names.push_back(job.name().substr(11));
    }
    return names;
  }

  ServerState state_;
};

TEST_F(JobManagerTest, ANewJobIsQueuedAndOnDisk) {
  auto created = Create("j");
  ASSERT_OK(created);
  EXPECT_EQ(created->name(), "tuningJobs/j");
  EXPECT_EQ(created->state(), J::STATE_QUEUED);
  EXPECT_EQ(created->attempt(), 0);
  EXPECT_EQ(created->snapshot().num_rows(), 2);
  EXPECT_EQ(created->create_time().seconds(), 1704067200);
  EXPECT_EQ(created->spec().data().inline_().rows_size(), 0)
      << "the snapshot has them";

  state_.Restart();

  EXPECT_EQ(jobs().GetJob("j")->SerializeAsString(),
            created->SerializeAsString());
  EXPECT_THAT(History("j"), ElementsAre("QUEUED"));
}

TEST_F(JobManagerTest, OutputFieldsOfARequestAreIgnored) {
  v1::CreateTuningJobRequest request = MakeCreateRequest("j");
  request.mutable_tuning_job()->set_state(J::STATE_SUCCEEDED);
  request.mutable_tuning_job()->set_prompt_version("prompts/x/versions/1");
  request.mutable_tuning_job()->set_attempt(9);
  request.mutable_tuning_job()->set_display_name("Mine");
  (*request.mutable_tuning_job()->mutable_annotations())["team"] = "a";

  auto job = jobs().CreateJob(request, MakeRows());

  EXPECT_EQ(job->state(), J::STATE_QUEUED);
  EXPECT_EQ(job->prompt_version(), "");
  EXPECT_EQ(job->attempt(), 0);
  EXPECT_EQ(job->display_name(), "Mine");
  EXPECT_EQ(job->annotations().at("team"), "a");
}

TEST_F(JobManagerTest, TheServerMakesIdsWhereNoneAreGiven) {
  std::string first = Create("")->name();
  std::string second = Create("")->name();

  EXPECT_THAT(first, HasSubstr("tuningJobs/job-"));
  EXPECT_NE(first, second);
}

TEST_F(JobManagerTest, AnIdIsTakenOnce) {
  ASSERT_OK(Create("j"));

  EXPECT_THAT(Create("j"),
              ReasonIs(Reason::kResourceExists, HasSubstr("tuningJobs/j")));
}

TEST_F(JobManagerTest, ARepeatedCreateMakesOneJobAlsoAfterARestart) {
  auto first = Create("", kRequestId);
  ASSERT_OK(first);
  state_.Restart();

  auto second = Create("", kRequestId);

  EXPECT_EQ(second->name(), first->name());
  EXPECT_EQ(jobs().ListJobs({}).value().items.size(), 1u);
  v1::CreateTuningJobRequest request = MakeCreateRequest("");
  request.set_request_id(kRequestId);
  EXPECT_EQ(jobs().FindCreated(request).value()->name(), first->name());
}

TEST_F(JobManagerTest, ARequestIdIsForOneRequest) {
  ASSERT_OK(Create("j", kRequestId));

  EXPECT_THAT(Create("k", kRequestId),
              ReasonIs(Reason::kRequestIdReused, HasSubstr(kRequestId)));
  EXPECT_THAT(Create("k", "no"),
              ReasonIs(Reason::kInvalidField, HasSubstr("request_id")));
  state_.clock.Advance(absl::Hours(24));
  EXPECT_OK(Create("k", kRequestId));
}

TEST_F(JobManagerTest, ARepeatedCreateReturnsTheJobAsItIsNow) {
  ASSERT_OK(Create("j", kRequestId));
  ASSERT_OK(jobs().CancelJob("j"));

  EXPECT_EQ(Create("j", kRequestId)->state(), J::STATE_CANCELLED);

  ASSERT_OK(jobs().DeleteJob("j"));
  EXPECT_THAT(Create("j", kRequestId),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("deleted")));
}

TEST_F(JobManagerTest, ARequestThatFailedMayBeRepeated) {
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "full"); };
  EXPECT_THAT(Create("j", kRequestId),
              ReasonIs(Reason::kStorageFull, HasSubstr("full")));
  EXPECT_THAT(jobs().GetJob("j"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("tuningJobs/j")));
  state_.before_commit = nullptr;

  EXPECT_OK(Create("j", kRequestId));
  EXPECT_EQ(jobs().Counts().by_state.at(J::STATE_QUEUED), 1);
}

TEST_F(JobManagerTest, ValidateOnlyStoresNothing) {
  v1::CreateTuningJobRequest request = MakeCreateRequest("j");
  request.set_validate_only(true);
  request.set_request_id(kRequestId);

  auto job = jobs().CreateJob(request, MakeRows());

  EXPECT_EQ(job->state(), J::STATE_QUEUED);
  EXPECT_THAT(List(""), IsEmpty());
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 0);
  EXPECT_OK(Create("j", kRequestId));
  EXPECT_THAT(jobs().CreateJob(request, MakeRows()),
              ReasonIs(Reason::kResourceExists, HasSubstr("j")));
}

TEST_F(JobManagerTest, AFullQueueIsAnError) {
  JobManager::Options options = ServerState::DefaultOptions();
  options.max_queued_jobs = 2;
  ServerState state(options);
  state.CreateJob("a");
  state.CreateJob("b");

  EXPECT_THAT(state.jobs->CreateJob(MakeCreateRequest("c"), MakeRows()),
              ReasonIs(Reason::kQueueFull, HasSubstr("at most 2")));
  ASSERT_OK(state.jobs->CancelJob("a"));
  EXPECT_OK(state.jobs->CreateJob(MakeCreateRequest("c"), MakeRows()));
  EXPECT_THAT(state.jobs->RetryJob("a"),
              ReasonIs(Reason::kQueueFull, HasSubstr("at most 2")));
  EXPECT_EQ(state.StateOf("a"), J::STATE_CANCELLED);
}

TEST_F(JobManagerTest, AJobOverADeletedDatasetIsRefused) {
  PinnedRows rows = MakeRows();
  rows.dataset_number = 77;
  rows.snapshot.set_dataset("datasets/gone");

  EXPECT_THAT(jobs().CreateJob(MakeCreateRequest("j"), rows),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/gone")));
}

TEST_F(JobManagerTest, MissingJobsAreNotFound) {
  const auto not_found =
      ReasonIs(Reason::kResourceNotFound, HasSubstr("tuningJobs/x"));
  EXPECT_THAT(jobs().GetJob("x"), not_found);
  EXPECT_THAT(jobs().CancelJob("x"), not_found);
  EXPECT_THAT(jobs().RetryJob("x"), not_found);
  EXPECT_THAT(jobs().DeleteJob("x"), not_found);
  EXPECT_THAT(jobs().EventsAfter("x", 0, 10), not_found);
}

TEST_F(JobManagerTest, ListsNewestFirstUnderConcurrentInserts) {
  for (int i = 0; i < 5; ++i) ASSERT_OK(Create(Concat("j", i)));
  std::vector<std::string> seen;
  PageRequest request{2, "", ""};
  do {
    auto page = jobs().ListJobs(request);
    ASSERT_OK(page);
    EXPECT_LE(page->items.size(), 2u);
    for (const J& job : page->items) seen.push_back(job.name());
    request.page_token = page->next_page_token;
    ASSERT_OK(Create(Concat("late-", seen.size())));
  } while (!request.page_token.empty());

  EXPECT_THAT(seen,
              ElementsAre("tuningJobs/j4", "tuningJobs/j3", "tuningJobs/j2",
                          "tuningJobs/j1", "tuningJobs/j0"));
}

TEST_F(JobManagerTest, AFullLastPageHasNoToken) {
  ASSERT_OK(Create("a"));
  ASSERT_OK(Create("b"));

  EXPECT_EQ(jobs().ListJobs({2, "", ""})->next_page_token, "");
}

TEST_F(JobManagerTest, ListsByFilter) {
  ASSERT_OK(Create("a"));
  state_.clock.Advance(absl::Seconds(10));
  state_.CreateJob("b", "prompts/other");
  ASSERT_EQ(state_.TakeJob("w1").tuning_job().name(), "tuningJobs/a");

  EXPECT_THAT(List(""), ElementsAre("b", "a"));
  EXPECT_THAT(List("state = \"RUNNING\""), ElementsAre("a"));
  EXPECT_THAT(List("worker = \"w1\" AND prompt = \"prompts/intent\""),
              ElementsAre("a"));
  EXPECT_THAT(List("prompt != \"prompts/intent\""), ElementsAre("b"));
  EXPECT_THAT(List("create_time > \"2024-01-01T00:00:05Z\""), ElementsAre("b"));
  EXPECT_THAT(List("create_time = \"2024-01-01T00:00:10Z\""), ElementsAre("b"));
  EXPECT_THAT(List("base_model = \"models/none\""), IsEmpty());
}

TEST_F(JobManagerTest, AListRefusesWrongArguments) {
  for (int i = 0; i < 3; ++i) ASSERT_OK(Create(Concat("j", i)));
  std::string token =
      jobs().ListJobs({1, "", "state = \"QUEUED\""})->next_page_token;

  EXPECT_OK(jobs().ListJobs({1, token, "state = \"QUEUED\""}));
  EXPECT_THAT(jobs().ListJobs({1, token, ""}),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("filter")));
  EXPECT_THAT(jobs().ListJobs({1, "junk", ""}),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
  EXPECT_THAT(jobs().ListJobs({-1, "", ""}),
              ReasonIs(Reason::kInvalidField, HasSubstr("page_size")));
  EXPECT_THAT(jobs().ListJobs({1, "", "color = \"red\""}),
              ReasonIs(Reason::kInvalidFilter, HasSubstr("'color'")));
}

TEST_F(JobManagerTest, APageOfBigJobsEndsEarly) {
  for (int i = 0; i < 4; ++i) {
    v1::CreateTuningJobRequest request = MakeCreateRequest(Concat("j", i));
    request.mutable_tuning_job()->mutable_spec()->mutable_task()->set_template_(
        std::string(1 << 20, 'x'));
    ASSERT_OK(jobs().CreateJob(request, MakeRows()));
  }

  auto page = jobs().ListJobs({});

  EXPECT_EQ(page->items.size(), 2u);
  EXPECT_EQ(jobs().ListJobs({0, page->next_page_token, ""})->items.size(), 2u);
}

TEST_F(JobManagerTest, AQueuedJobIsCancelledAtOnce) {
  ASSERT_OK(Create("j"));

  EXPECT_EQ(jobs().CancelJob("j")->state(), J::STATE_CANCELLED);
  EXPECT_EQ(jobs().CancelJob("j")->state(), J::STATE_CANCELLED);

  EXPECT_TRUE(jobs().GetJob("j")->has_end_time());
  EXPECT_THAT(History("j"), ElementsAre("QUEUED", "CANCELLED"));
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 0);
}

TEST_F(JobManagerTest, AFinishedJobCannotBeCancelled) {
  ASSERT_OK(Create("j"));
  state_.TakeJob("w1");
  ASSERT_OK(state_.Succeed("j", 1));

  EXPECT_THAT(jobs().CancelJob("j"),
              ReasonIs(Reason::kIllegalState,
                       AllOf(HasSubstr("SUCCEEDED"), HasSubstr("CANCELLED"))));
}

TEST_F(JobManagerTest, ARetryQueuesACancelledJobAgain) {
  ASSERT_OK(Create("j"));
  EXPECT_THAT(jobs().RetryJob("j"),
              ReasonIs(Reason::kIllegalState, HasSubstr("QUEUED")));
  ASSERT_OK(jobs().CancelJob("j"));

  auto job = jobs().RetryJob("j");

  EXPECT_EQ(job->state(), J::STATE_QUEUED);
  EXPECT_FALSE(job->has_end_time());
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 1);
  EXPECT_THAT(History("j"),
              ElementsAre("QUEUED", "CANCELLED", "QUEUED", "RUNNING"));
}

TEST_F(JobManagerTest, ARetryNeedsTheDatasetStillToBeThere) {
  v1::CreateDatasetRequest create;
  create.set_dataset_id("d");
  ASSERT_OK(state_.datasets->CreateDataset(create));
  v1::AppendExamplesRequest append;
  append.add_rows();
  ASSERT_OK(state_.datasets->AppendExamples("d", append));
  ASSERT_OK(jobs().CreateJob(MakeCreateRequest("j"),
                             state_.datasets->Pin("d").value()));
  ASSERT_OK(jobs().CancelJob("j"));
  ASSERT_OK(state_.datasets->DeleteDataset("d"));

  EXPECT_THAT(jobs().RetryJob("j"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("datasets/d")));
  EXPECT_EQ(state_.StateOf("j"), J::STATE_CANCELLED);
}

TEST_F(JobManagerTest, OnlyAFinishedJobIsDeletedAndItsVersionStays) {
  ASSERT_OK(Create("j"));
  state_.TakeJob("w1");
  EXPECT_THAT(jobs().DeleteJob("j"),
              ReasonIs(Reason::kIllegalState, HasSubstr("RUNNING")));
  ASSERT_OK(state_.Succeed("j", 1));

  ASSERT_OK(jobs().DeleteJob("j"));

  EXPECT_THAT(jobs().GetJob("j"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("j")));
  EXPECT_EQ(state_.registry->GetPrompt("intent")->num_versions(), 1);
  EXPECT_EQ(jobs().Counts().by_state.at(J::STATE_SUCCEEDED), 0);
  auto again = Create("j");
  EXPECT_OK(again) << "the name is free again";
}

TEST_F(JobManagerTest, EventsAreReadFromAnySequence) {
  ASSERT_OK(Create("j"));
  state_.TakeJob("w1");

  auto all = jobs().EventsAfter("j", 0, 10);
  ASSERT_EQ(all->events.size(), 2u);
  EXPECT_EQ(all->last_sequence, 2);
  EXPECT_FALSE(all->ended);
  auto rest = jobs().EventsAfter("j", 1, 10);
  ASSERT_EQ(rest->events.size(), 1u);
  EXPECT_EQ(rest->events[0].sequence(), 2);
  EXPECT_THAT(jobs().EventsAfter("j", 2, 10)->events, IsEmpty());
  EXPECT_THAT(jobs().EventsAfter("j", 3, 10),
              ReasonIs(Reason::kInvalidField, HasSubstr("after_sequence")));
  EXPECT_THAT(jobs().EventsAfter("j", -1, 10),
              ReasonIs(Reason::kInvalidField, HasSubstr("after_sequence")));
}

TEST_F(JobManagerTest, EventsEndWithTheLastOneOfAFinalState) {
  ASSERT_OK(Create("j"));
  ASSERT_OK(jobs().CancelJob("j"));

  EXPECT_FALSE(jobs().EventsAfter("j", 0, 1)->ended) << "not all were read";
  EXPECT_TRUE(jobs().EventsAfter("j", 0, 2)->ended);
  EXPECT_TRUE(jobs().EventsAfter("j", 2, 2)->ended);
  ASSERT_OK(jobs().RetryJob("j"));
  EXPECT_FALSE(jobs().EventsAfter("j", 0, 10)->ended);
}

TEST_F(JobManagerTest, WatchersAreWokenAfterTheCommitAndMayCallBack) {
  ASSERT_OK(Create("j"));
  std::vector<int64_t> seen;
  auto registration = jobs().OnJobChange("j", [&] {
    seen.push_back(jobs().EventsAfter("j", 0, 10)->last_sequence);
  });
  int work = 0;
  auto worker = jobs().OnWork([&] { ++work; });

  state_.TakeJob("w1");
  ASSERT_OK(Create("k"));
  ASSERT_OK(jobs().CancelJob("j"));

  EXPECT_THAT(seen, ElementsAre(2, 3));
  EXPECT_EQ(work, 1) << "only the new job is work";
}

TEST_F(JobManagerTest, AFailedCommitWakesNobody) {
  ASSERT_OK(Create("j"));
  int calls = 0;
  auto registration = jobs().OnJobChange("j", [&] { ++calls; });
  state_.before_commit = [] { return MakeError(Reason::kStorageFull, "x"); };

  EXPECT_THAT(jobs().CancelJob("j"), ReasonIs(Reason::kStorageFull, "x"));

  EXPECT_EQ(calls, 0);
  state_.before_commit = nullptr;
  EXPECT_EQ(state_.StateOf("j"), J::STATE_QUEUED);
  EXPECT_EQ(state_.TakeJob("w1").attempt(), 1) << "it is still queued";
}

TEST_F(JobManagerTest, CountsFollowTheStates) {
  for (const char* id : {"a", "b", "c"}) ASSERT_OK(Create(id));
  state_.TakeJob("w1");
  ASSERT_OK(jobs().CancelJob("b"));

  JobCounts counts = jobs().Counts();

  EXPECT_EQ(counts.by_state.size(), 6u);
  EXPECT_EQ(counts.by_state.at(J::STATE_QUEUED), 1);
  EXPECT_EQ(counts.by_state.at(J::STATE_RUNNING), 1);
  EXPECT_EQ(counts.by_state.at(J::STATE_CANCELLED), 1);
  EXPECT_EQ(counts.oldest_queued, absl::FromUnixSeconds(1704067200));
  state_.Restart();
  EXPECT_EQ(jobs().Counts().by_state, counts.by_state);
  EXPECT_EQ(jobs().Counts().oldest_queued, counts.oldest_queued);
}

TEST_F(JobManagerTest, TheSweepKeepsVersionsAndCheckpoints) {
  ASSERT_OK(Create("j"));
  state_.TakeJob("w1");
  ASSERT_OK(state_.Succeed("j", 1, "result"));
  std::string result =
      state_.registry->GetVersion({"intent", "latest"})->artifact_digest();
  ASSERT_OK(Create("k"));
  state_.TakeJob("w1");
  std::string checkpoint = state_.StoreArtifact("checkpoint");
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker("w1");
  worker::v1::AttemptState& attempt = *request.add_attempts();
  attempt.set_tuning_job("tuningJobs/k");
  attempt.set_attempt(1);
  attempt.set_checkpoint_digest(checkpoint);
  ASSERT_OK(jobs().Synchronize(request));
  std::string orphan = state_.StoreArtifact("orphan");

  // Files are stamped by the machine's clock, so move past it.
  EXPECT_EQ(jobs().SweepArtifacts().value(), 0);
  state_.clock.JumpWallClock(absl::Hours(24 * 365 * 30));
  EXPECT_EQ(jobs().SweepArtifacts().value(), 1);

  EXPECT_TRUE(state_.artifacts->Contains(result));
  EXPECT_TRUE(state_.artifacts->Contains(checkpoint));
  EXPECT_FALSE(state_.artifacts->Contains(orphan));
}

}  // namespace
}  // namespace attune::server
