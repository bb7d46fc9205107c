#include "server/store/job_store.h"

#include <soci/soci.h>

#include <limits>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/store/database.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using J = v1::TuningJob;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;
using Field = JobCondition::Field;
using Operator = JobCondition::Operator;

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

class JobStoreTest : public testing::Test {
 protected:
  void Transact(absl::FunctionRef<void(JobStore&)> body) {
    ASSERT_OK(database_->Transact([&](soci::session& sql) {
      JobStore store(sql);
      body(store);
      return absl::OkStatus();
    }));
  }

  static JobRecord Add(JobStore& store, const std::string& id,
                       J::State state = J::STATE_QUEUED,
                       const std::string& worker = "", int64_t seconds = 100) {
    JobRecord record;
    record.id = id;
    record.job.set_name(Concat("tuningJobs/", id));
    record.job.set_uid(Concat("uid-", id));
    record.job.set_state(state);
    record.job.set_worker(worker);
    record.job.mutable_spec()->set_prompt(Concat("prompts/", id));
    record.job.mutable_spec()->set_base_model("models/m");
    record.job.mutable_create_time()->set_seconds(seconds);
    store.Insert(record);
    return record;
  }

  static std::vector<std::string> Ids(const std::vector<JobRecord>& records) {
    std::vector<std::string> ids;
    for (const JobRecord& record : records) ids.push_back(record.id);
    return ids;
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_ =
      Database::Open({directory_.path(), {}}).value();
};

TEST_F(JobStoreTest, GivesBackEverythingThatWasStored) {
  Transact([](JobStore& store) {
    JobRecord record = Add(store, "a", J::STATE_RUNNING, "w1");
    record.instance = "i1";
    record.losses = 2;
    record.finished_attempt = 3;
    record.finish_hash = "h";
    record.job.mutable_snapshot()->set_num_rows(9);
    record.job.mutable_snapshot()->set_digest("d");
    record.rows.num_rows = 9;
    store.Update(record);

    auto found = store.Find("a");
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->number, record.number);
    EXPECT_EQ(found->job.SerializeAsString(), record.job.SerializeAsString());
    EXPECT_EQ(found->instance, "i1");
    EXPECT_EQ(found->losses, 2);
    EXPECT_EQ(found->finished_attempt, 3);
    EXPECT_EQ(found->finish_hash, "h");
    EXPECT_EQ(found->rows.num_rows, 9);
    EXPECT_EQ(found->rows.digest, "d");
    EXPECT_EQ(store.FindByNumber(record.number)->id, "a");
    EXPECT_EQ(store.FindByUid("uid-a")->id, "a");
    EXPECT_FALSE(store.Find("b").has_value());
    EXPECT_FALSE(store.FindByNumber(record.number + 1).has_value());
    EXPECT_FALSE(store.FindByUid("").has_value());
  });
}

TEST_F(JobStoreTest, ListsUnfinishedOldestFirst) {
  Transact([](JobStore& store) {
    Add(store, "a", J::STATE_QUEUED);
    Add(store, "b", J::STATE_SUCCEEDED);
    Add(store, "c", J::STATE_RUNNING);
    Add(store, "d", J::STATE_CANCELLING);
    Add(store, "e", J::STATE_FAILED);
    Add(store, "f", J::STATE_CANCELLED);

    EXPECT_THAT(Ids(store.ListUnfinished()), ElementsAre("a", "c", "d"));
    EXPECT_THAT(store.CountByState(),
                UnorderedElementsAre(Pair(1, 1), Pair(2, 1), Pair(3, 1),
                                     Pair(4, 1), Pair(5, 1), Pair(6, 1)));
  });
}

TEST_F(JobStoreTest, ListsNewestFirstFromAPosition) {
  Transact([](JobStore& store) {
    Add(store, "a");
    JobRecord b = Add(store, "b");
    Add(store, "c");

    EXPECT_THAT(Ids(store.List({}, kEnd, 2)), ElementsAre("c", "b"));
    EXPECT_THAT(Ids(store.List({}, b.number, 2)), ElementsAre("a"));
  });
}

TEST_F(JobStoreTest, ListsByConditions) {
  Transact([](JobStore& store) {
    Add(store, "a", J::STATE_RUNNING, "w1", 100);
    Add(store, "b", J::STATE_RUNNING, "w2", 200);
    Add(store, "c", J::STATE_QUEUED, "", 300);
    auto list = [&](std::vector<JobCondition> conditions) {
      return Ids(store.List(conditions, kEnd, 10));
    };
    const JobCondition running{Field::kState, Operator::kEqual, "", 2};

    EXPECT_THAT(list({running}), ElementsAre("b", "a"));
    EXPECT_THAT(list({{Field::kState, Operator::kNotEqual, "", 2}}),
                ElementsAre("c"));
    EXPECT_THAT(list({running, {Field::kWorker, Operator::kEqual, "w1"}}),
                ElementsAre("a"));
    EXPECT_THAT(list({{Field::kPrompt, Operator::kEqual, "prompts/c"}}),
                ElementsAre("c"));
    EXPECT_THAT(list({{Field::kBaseModel, Operator::kNotEqual, "models/m"}}),
                IsEmpty());
    EXPECT_THAT(list({{Field::kCreateTime, Operator::kGreater, "", 100'000'000},
                      {Field::kCreateTime, Operator::kLess, "", 300'000'000}}),
                ElementsAre("b"));
  });
}

TEST_F(JobStoreTest, AValueIsNeverPartOfTheQuery) {
  Transact([](JobStore& store) {
    Add(store, "a");

    EXPECT_THAT(
        store.List({{Field::kPrompt, Operator::kEqual, "x' OR '1' = '1"}}, kEnd,
                   10),
        IsEmpty());
  });
}

TEST_F(JobStoreTest, KeepsEventsInOrder) {
  Transact([](JobStore& store) {
    int64_t job = Add(store, "a").number;
    int64_t other = Add(store, "b").number;
    for (int i = 1; i <= 5; ++i) {
      v1::TuningEvent event;
      event.set_sequence(i);
      if (i % 2 == 0) {
        event.mutable_progress()->set_step(i);
      } else {
        event.mutable_notice()->set_message(Concat("n", i));
      }
      store.AppendEvent(job, event);
    }

    auto events = store.EventsAfter(job, 2, 2);
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].sequence(), 3);
    EXPECT_EQ(events[0].notice().message(), "n3");
    EXPECT_EQ(events[1].progress().step(), 4);
    EXPECT_THAT(store.EventsAfter(job, 5, 10), IsEmpty());
    EXPECT_THAT(store.EventsAfter(other, 0, 10), IsEmpty());
    EXPECT_EQ(store.LastProgress(job)->step(), 4);
    EXPECT_FALSE(store.LastProgress(other).has_value());
  });
}

TEST_F(JobStoreTest, ManyBytesOfEventsComeInParts) {
  Transact([](JobStore& store) {
    int64_t job = Add(store, "a").number;
    for (int i = 1; i <= 5; ++i) {
      v1::TuningEvent event;
      event.set_sequence(i);
      event.mutable_notice()->set_message(std::string(500 << 10, 'x'));
      store.AppendEvent(job, event);
    }

    EXPECT_EQ(store.EventsAfter(job, 0, 100).size(), 3u);
    EXPECT_EQ(store.EventsAfter(job, 3, 100).size(), 2u);
  });
}

TEST_F(JobStoreTest, ASequenceNumberComesOnlyOnce) {
  absl::Status status = database_->Transact([](soci::session& sql) {
    JobStore store(sql);
    int64_t job = Add(store, "a").number;
    v1::TuningEvent event;
    event.set_sequence(1);
    store.AppendEvent(job, event);
    store.AppendEvent(job, event);
    return absl::OkStatus();
  });

  EXPECT_THAT(status, ReasonIs(Reason::kStorageFailure, HasSubstr("UNIQUE")));
}

TEST_F(JobStoreTest, KeepsTheNewestCheckpoints) {
  Transact([](JobStore& store) {
    int64_t job = Add(store, "a").number;
    int64_t other = Add(store, "b").number;
    store.AddCheckpoint(other, {"o", 1}, 2);
    for (int step : {10, 20, 30}) {
      store.AddCheckpoint(job, {Concat("d", step), step}, 2);
    }

    auto checkpoints = store.Checkpoints(job);
    ASSERT_EQ(checkpoints.size(), 2u);
    EXPECT_EQ(checkpoints[0].digest, "d30");
    EXPECT_EQ(checkpoints[0].step, 30);
    EXPECT_EQ(checkpoints[1].digest, "d20");
    EXPECT_THAT(store.ReferencedArtifacts(),
                UnorderedElementsAre("d30", "d20", "o"));
    store.DeleteCheckpoint(job, "d30");
    EXPECT_EQ(store.Checkpoints(job)[0].digest, "d20");
    store.DeleteCheckpoints(job);
    EXPECT_THAT(store.Checkpoints(job), IsEmpty());
    EXPECT_EQ(store.Checkpoints(other).size(), 1u);
  });
}

TEST_F(JobStoreTest, KnowsWhatUnfinishedJobsUse) {
  Transact([](JobStore& store) {
    JobRecord record;
    record.id = "a";
    record.job.set_uid("u");
    record.job.set_state(J::STATE_CANCELLING);
    record.job.mutable_spec()->set_prompt("prompts/p");
    record.rows.dataset_number = 7;
    store.Insert(record);

    EXPECT_TRUE(store.IsPromptInUse("p"));
    EXPECT_FALSE(store.IsPromptInUse("q"));
    EXPECT_TRUE(store.IsDatasetInUse(7));
    EXPECT_FALSE(store.IsDatasetInUse(8));

    record.job.set_state(J::STATE_FAILED);
    store.Update(record);
    EXPECT_FALSE(store.IsPromptInUse("p"));
    EXPECT_FALSE(store.IsDatasetInUse(7));
  });
}

TEST_F(JobStoreTest, TheLastAttemptOutlivesTheJob) {
  Transact([](JobStore& store) {
    EXPECT_EQ(store.LastAttempt("a"), 0);
    for (int attempt : {3, 5}) {
      JobRecord record = Add(store, "a");
      record.job.set_attempt(attempt);
      store.Delete(record);
      EXPECT_EQ(store.LastAttempt("a"), attempt);
    }
    EXPECT_EQ(store.LastAttempt("b"), 0);
  });
}

TEST_F(JobStoreTest, DeletingAJobLeavesNothingBehind) {
  Transact([](JobStore& store) { Add(store, "other"); });
  ASSERT_OK(database_->Transact([](soci::session& sql) {
    JobRecord record;
    record.id = "a";
    record.job.set_uid("u");
    record.rows.segment = RowStore(sql).NewSegment();
    RowStore(sql).AddRows(record.rows.segment, {"row"});
    JobStore store(sql);
    store.Insert(record);
    EXPECT_EQ(store.Find("a")->rows.segment, record.rows.segment);
    EXPECT_EQ(RowStore(sql).DeleteOrphans(), 0);
    v1::TuningEvent event;
    event.set_sequence(1);
    store.AppendEvent(record.number, event);
    store.AddCheckpoint(record.number, {"d", 1}, 2);

    store.Delete(record);

    for (const char* table : {"events", "checkpoints", "segments", "blocks"}) {
      int count = -1;
      sql << "SELECT COUNT(*) FROM " << table, soci::into(count);
      EXPECT_EQ(count, 0) << table;
    }
    EXPECT_FALSE(store.Find("a").has_value());
    EXPECT_TRUE(store.Find("other").has_value());
    return absl::OkStatus();
  }));
}

}  // namespace
}  // namespace attune::server
