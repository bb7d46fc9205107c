#include "server/api/watch_call.h"

#include <string>
#include <vector>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using TuningStub = v1::TuningService::Stub;

class WatchCallTest : public testing::Test {
 protected:
  void Create(const std::string& id) {
    ASSERT_OK(
        Call(*stub_, &TuningStub::CreateTuningJob, SoundCreateRequest(id)));
  }
  void Cancel(const std::string& id) {
    ASSERT_OK(Call(*stub_, &TuningStub::CancelTuningJob,
                   Named<v1::CancelTuningJobRequest>("tuningJobs/" + id)));
  }
  Streamed<v1::WatchTuningJobResponse> Watch(const std::string& name,
                                             int64_t after_sequence) {
    auto request = Named<v1::WatchTuningJobRequest>(name);
    request.set_after_sequence(after_sequence);
    return ReadAll(*stub_, &TuningStub::WatchTuningJob, request);
  }

  InProcessServer server_;
  std::unique_ptr<TuningStub> stub_ =
      v1::TuningService::NewStub(server_.channel());
};

TEST_F(WatchCallTest, ReplaysTheLogAndEndsAfterTheFinalState) {
  Create("one");
  Cancel("one");
  const auto all = Watch("tuningJobs/one", 0);

  ASSERT_OK(all.status);
  ASSERT_EQ(all.messages.size(), 2u);
  EXPECT_EQ(all.messages[0].event().sequence(), 1);
  EXPECT_EQ(all.messages[0].event().state_change().state(),
            v1::TuningJob::STATE_QUEUED);
  EXPECT_EQ(all.messages[1].event().sequence(), 2);
  EXPECT_EQ(all.messages[1].event().state_change().state(),
            v1::TuningJob::STATE_CANCELLED);
}

TEST_F(WatchCallTest, ResumesAfterASequence) {
  Create("one");
  Cancel("one");
  const auto rest = Watch("tuningJobs/one", 1);

  ASSERT_OK(rest.status);
  ASSERT_EQ(rest.messages.size(), 1u);
  EXPECT_EQ(rest.messages[0].event().sequence(), 2);
}

TEST_F(WatchCallTest, FollowsWhatHappensAndBeatsInBetween) {
  Create("one");
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub_->WatchTuningJob(
      &context, Named<v1::WatchTuningJobRequest>("tuningJobs/one"));
  v1::WatchTuningJobResponse message;
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_EQ(message.event().sequence(), 1);
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.heartbeat_sequence(), 1);
  Cancel("one");
  do {
    ASSERT_TRUE(reader->Read(&message));
  } while (!message.has_event());

  EXPECT_EQ(message.event().sequence(), 2);
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WatchCallTest, WrongNamesAndSequencesAreRefused) {
  Create("one");

  EXPECT_THAT(Watch("one", 0).status,
              NamesField(Reason::kInvalidField, "name"));
  EXPECT_THAT(Watch("tuningJobs/none", 0).status,
              ReasonIs(Reason::kResourceNotFound, testing::_));
  EXPECT_THAT(Watch("tuningJobs/one", -1).status,
              NamesField(Reason::kInvalidField, "after_sequence"));
  EXPECT_THAT(Watch("tuningJobs/one", 9).status,
              NamesField(Reason::kInvalidField, "after_sequence"));
}

TEST_F(WatchCallTest, TheDrainEndsItWithDraining) {
  Create("one");
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub_->WatchTuningJob(
      &context, Named<v1::WatchTuningJobRequest>("tuningJobs/one"));
  v1::WatchTuningJobResponse message;
  ASSERT_TRUE(reader->Read(&message));
  server_.server().Drain(absl::Seconds(20));
  while (reader->Read(&message)) {
  }

  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              ReasonIs(Reason::kDraining, testing::_));
}

}  // namespace
}  // namespace attune::server
