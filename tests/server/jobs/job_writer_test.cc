#include "server/jobs/job_writer.h"

#include <soci/soci.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "server/store/database.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;
using J = v1::TuningJob;

const absl::Time kNow = absl::FromUnixSeconds(1704067200);

class JobWriterTest : public testing::Test {
 protected:
  // Runs `body` at `now` and leaves the effects in effects_.
  absl::Status Write(absl::FunctionRef<absl::Status(JobWriter&)> body,
                     absl::Time now = kNow) {
    effects_ = JobEffects();
    return database_->Transact([&](soci::session& sql) {
      JobWriter writer(sql, now, effects_);
      return body(writer);
    });
  }

  static JobRecord NewRecord() {
    JobRecord record;
    record.id = "j";
    record.job.set_name("tuningJobs/j");
    record.job.set_uid("u");
    record.job.mutable_create_time()->set_seconds(1704067100);
    return record;
  }

  // The job brought to a state by legal moves.
  JobRecord RecordIn(J::State state) {
    JobRecord record = NewRecord();
    EXPECT_OK(Write([&](JobWriter& writer) {
      absl::Status status = writer.Move(J::STATE_QUEUED, "created", record);
      if (state == J::STATE_QUEUED) return status;
      record.job.set_attempt(1);
      record.job.set_worker("w1");
      record.instance = "i1";
      status.Update(writer.Move(J::STATE_RUNNING, "started", record));
      if (state != J::STATE_RUNNING) {
        status.Update(writer.Move(state, "moved", record));
      }
      return status;
    }));
    return record;
  }

  std::vector<v1::TuningEvent> Events(const JobRecord& record) {
    std::vector<v1::TuningEvent> events;
    EXPECT_OK(database_->Read([&](soci::session& sql) {
      events = JobStore(sql).EventsAfter(record.number, 0, 100);
      return absl::OkStatus();
    }));
    return events;
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_ =
      Database::Open({directory_.path(), {}}).value();
  JobEffects effects_;
};

TEST_F(JobWriterTest, ANewJobIsStoredWithItsFirstEvent) {
  JobRecord record = RecordIn(J::STATE_QUEUED);

  EXPECT_GT(record.number, 0);
  auto events = Events(record);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].sequence(), 1);
  EXPECT_EQ(events[0].state_change().state(), J::STATE_QUEUED);
  EXPECT_EQ(events[0].state_change().message(), "created");
  EXPECT_EQ(events[0].time().seconds(), 1704067200);
  ASSERT_EQ(effects_.changed.size(), 1u);
  EXPECT_EQ(effects_.changed[0].from, J::STATE_UNSPECIFIED);
  EXPECT_EQ(effects_.changed[0].to, J::STATE_QUEUED);
  EXPECT_THAT(effects_.woken, UnorderedElementsAre("job/j", "work"));
}

TEST_F(JobWriterTest, RunningNotesWorkerAndStart) {
  JobRecord record = RecordIn(J::STATE_RUNNING);

  EXPECT_EQ(record.job.start_time().seconds(), 1704067200);
  auto change = Events(record).back().state_change();
  EXPECT_EQ(change.attempt(), 1);
  EXPECT_EQ(change.worker(), "w1");
  EXPECT_EQ(effects_.changed.back().worker, "w1");
  EXPECT_EQ(effects_.changed.back().instance, "i1");
  EXPECT_EQ(effects_.changed.back().attempt, 1);
}

TEST_F(JobWriterTest, GoingBackToTheQueueForgetsTheWorkerAndKeepsTheStart) {
  JobRecord record = RecordIn(J::STATE_RUNNING);

  ASSERT_OK(Write(
      [&](JobWriter& writer) {
        return writer.Move(J::STATE_QUEUED, "lost", record);
      },
      kNow + absl::Seconds(9)));

  EXPECT_EQ(record.job.worker(), "");
  EXPECT_EQ(record.instance, "");
  EXPECT_EQ(record.job.start_time().seconds(), 1704067200);
}

TEST_F(JobWriterTest, AFinalStateHasAnEndUntilARetry) {
  JobRecord record = RecordIn(J::STATE_RUNNING);
  *record.job.mutable_error() =
      ToRpcStatus(MakeError(Reason::kInvalidData, "bad row"));
  ASSERT_OK(Write([&](JobWriter& writer) {
    return writer.Move(J::STATE_FAILED, "failed", record);
  }));
  EXPECT_EQ(record.job.end_time().seconds(), 1704067200);
  EXPECT_EQ(Events(record).back().state_change().error().message(), "bad row");
  EXPECT_EQ(effects_.observations.size(), 2u);  // an event, and the end

  ASSERT_OK(Write([&](JobWriter& writer) {
    return writer.Move(J::STATE_QUEUED, "retry", record);
  }));

  EXPECT_FALSE(record.job.has_end_time());
  EXPECT_FALSE(record.job.has_error());
}

TEST_F(JobWriterTest, AnIllegalMoveChangesNothing) {
  JobRecord record = RecordIn(J::STATE_CANCELLING);

  EXPECT_THAT(Write([&](JobWriter& writer) {
                return writer.Move(J::STATE_RUNNING, "no", record);
              }),
              ReasonIs(Reason::kIllegalState, HasSubstr("CANCELLING")));

  EXPECT_TRUE(effects_.changed.empty());
  EXPECT_EQ(Events(record).size(), 3u);
}

TEST_F(JobWriterTest, SequencesAreDenseOverAllKinds) {
  JobRecord record = RecordIn(J::STATE_RUNNING);
  ASSERT_OK(Write([&](JobWriter& writer) {
    v1::TuningProgress progress;
    progress.set_step(5);
    writer.AddNotice("hello", record);
    writer.AddProgress(progress, record);
    writer.Save(record);
    return absl::OkStatus();
  }));

  auto events = Events(record);

  ASSERT_EQ(events.size(), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(events[i].sequence(), i + 1);
  EXPECT_EQ(events[2].notice().message(), "hello");
  EXPECT_EQ(events[3].progress().step(), 5);
  EXPECT_EQ(record.job.last_sequence(), 4);
  EXPECT_THAT(effects_.woken, UnorderedElementsAre("job/j"));
}

TEST_F(JobWriterTest, SavingMovesTheUpdateTime) {
  JobRecord record = RecordIn(J::STATE_QUEUED);

  ASSERT_OK(Write(
      [&](JobWriter& writer) {
        writer.Save(record);
        return absl::OkStatus();
      },
      kNow + absl::Seconds(9)));

  EXPECT_EQ(record.job.update_time().seconds(), 1704067209);
  EXPECT_EQ(record.job.create_time().seconds(), 1704067100);
}

TEST_F(JobWriterTest, ADeletedJobIsAnEffectToo) {
  JobRecord record = RecordIn(J::STATE_CANCELLING);

  ASSERT_OK(Write([&](JobWriter& writer) {
    writer.Delete(record);
    return absl::OkStatus();
  }));

  ASSERT_EQ(effects_.changed.size(), 1u);
  EXPECT_EQ(effects_.changed[0].from, J::STATE_CANCELLING);
  EXPECT_EQ(effects_.changed[0].to, J::STATE_UNSPECIFIED);
  EXPECT_THAT(effects_.woken, UnorderedElementsAre("job/j"));
  EXPECT_TRUE(Events(record).empty());
}

}  // namespace
}  // namespace attune::server
