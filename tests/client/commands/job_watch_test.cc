#include "client/commands/job_watch.h"

#include <atomic>
#include <mutex>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using testing::ElementsAre;

using WriteEvents = std::function<bool(const v1::WatchTuningJobResponse&)>;

v1::WatchTuningJobResponse Event(int64_t sequence) {
  v1::WatchTuningJobResponse response;
  response.mutable_event()->set_sequence(sequence);
  return response;
}

// Remembers what it saw.
class Recorder final : public JobObserver {
 public:
  void OnEvent(const v1::TuningEvent& event) override {
    sequences.push_back(event.sequence());
    if (on_event) on_event();
  }
  void OnLost(const absl::Status&) override { ++num_lost; }

  std::vector<int64_t> sequences;
  int num_lost = 0;
  std::function<void()> on_event;
};

class WatchJobTest : public testing::Test {
 protected:
  WatchJobTest() {
    fake_.scripts.get_job = [this](const auto& request, v1::TuningJob& job) {
      job.set_name(request.name());
      job.set_state(final_ ? v1::TuningJob::STATE_SUCCEEDED
                           : v1::TuningJob::STATE_RUNNING);
      return absl::OkStatus();
    };
  }

  absl::StatusOr<v1::TuningJob> Watch(absl::Duration max_silence) {
    Connection::Options options;
    options.server = fake_.address();
    options.first_backoff = absl::Milliseconds(1);
    options.max_silence = max_silence;
    Connection connection(options, interrupt_);
    return WatchJob(connection, clock_, "tuningJobs/a", /*after_sequence=*/0,
                    recorder_);
  }

  // What the scripts touch outlives the server, which waits for them.
  FakeClock clock_;
  Interrupt interrupt_;
  FakeAttune fake_;
  Recorder recorder_;
  std::atomic<bool> final_ = true;
  std::vector<int64_t> asked_after_;  // by each stream
};

TEST_F(WatchJobTest, FollowsToTheEnd) {
  fake_.scripts.watch_job = [&](const auto& request, const WriteEvents& write) {
    asked_after_.push_back(request.after_sequence());
    for (const int64_t sequence : {1, 2, 3}) write(Event(sequence));
    return absl::OkStatus();
  };

  const auto job = Watch(absl::Seconds(60));

  ASSERT_OK(job);
  EXPECT_EQ(job->state(), v1::TuningJob::STATE_SUCCEEDED);
  EXPECT_THAT(recorder_.sequences, ElementsAre(1, 2, 3));
  EXPECT_THAT(asked_after_, ElementsAre(0));
}

TEST_F(WatchJobTest, GoesOnAfterTheLastEventWhenTheStreamBreaks) {
  fake_.scripts.watch_job = [&](const auto& request, const WriteEvents& write) {
    const int64_t after = request.after_sequence();
    asked_after_.push_back(after);
    if (asked_after_.size() == 2) {
      return MakeError(Reason::kDraining, "shutting down");
    }
    write(Event(after + 1));
    write(Event(after + 2));
    return asked_after_.size() < 4
               ? MakeError(Reason::kDraining, "shutting down")
               : absl::OkStatus();
  };

  ASSERT_OK(Watch(absl::Seconds(60)));

  EXPECT_THAT(asked_after_, ElementsAre(0, 2, 2, 4));
  EXPECT_THAT(recorder_.sequences, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(recorder_.num_lost, 3);
}

TEST_F(WatchJobTest, ShowsNoEventTwice) {
  fake_.scripts.watch_job = [&](const auto&, const WriteEvents& write) {
    for (const int64_t sequence : {1, 2, 2, 1, 3}) write(Event(sequence));
    return absl::OkStatus();
  };

  ASSERT_OK(Watch(absl::Seconds(60)));

  EXPECT_THAT(recorder_.sequences, ElementsAre(1, 2, 3));
}

TEST_F(WatchJobTest, HeartbeatsAreNoEvents) {
  fake_.scripts.watch_job = [&](const auto&, const WriteEvents& write) {
    v1::WatchTuningJobResponse heartbeat;
    heartbeat.set_heartbeat_sequence(7);
    write(heartbeat);
    write(Event(8));
    return absl::OkStatus();
  };

  ASSERT_OK(Watch(absl::Seconds(60)));

  EXPECT_THAT(recorder_.sequences, ElementsAre(8));
}

TEST_F(WatchJobTest, AnEarlierFinalStateIsNotTheEnd) {
  final_ = false;
  fake_.scripts.watch_job = [&](const auto& request, const WriteEvents& write) {
    asked_after_.push_back(request.after_sequence());
    write(Event(request.after_sequence() + 1));
    final_ = asked_after_.size() == 2;
    return absl::OkStatus();
  };

  ASSERT_OK(Watch(absl::Seconds(60)));

  EXPECT_THAT(asked_after_, ElementsAre(0, 1));
}

TEST_F(WatchJobTest, GoesOnWhenTheServerGoesRightAfterTheStream) {
  std::atomic<int> gets = 0;
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob& job) {
    // A call is tried four times.
    if (++gets <= 4) return MakeError(Reason::kDraining, "shutting down");
    job.set_state(v1::TuningJob::STATE_SUCCEEDED);
    return absl::OkStatus();
  };
  fake_.scripts.watch_job = [&](const auto& request, const WriteEvents& write) {
    asked_after_.push_back(request.after_sequence());
    if (asked_after_.size() == 1) write(Event(1));
    return absl::OkStatus();
  };

  ASSERT_OK(Watch(absl::Seconds(60)));

  EXPECT_THAT(asked_after_, ElementsAre(0, 1));
  EXPECT_EQ(recorder_.num_lost, 1);
}

TEST_F(WatchJobTest, ReadsOnWhenItWasTooSlow) {
  fake_.scripts.watch_job = [&](const auto& request, const WriteEvents&) {
    asked_after_.push_back(request.after_sequence());
    return asked_after_.size() == 1
               ? MakeError(Reason::kWatchTooSlow, "not read for 60 s")
               : absl::OkStatus();
  };

  ASSERT_OK(Watch(absl::Seconds(60)));
  EXPECT_THAT(asked_after_, ElementsAre(0, 0));
}

TEST_F(WatchJobTest, GivesUpAfterTheLongestSilence) {
  std::atomic<int> streams = 0;
  fake_.scripts.watch_job = [&](const auto&, const WriteEvents&) {
    if (++streams == 5) clock_.Advance(absl::Seconds(61));
    return MakeError(Reason::kDraining, "shutting down");
  };

  EXPECT_THAT(Watch(absl::Seconds(60)),
              ReasonIs(Reason::kDraining, "shutting down"));
  EXPECT_EQ(streams, 5);
  EXPECT_EQ(recorder_.num_lost, 4);
}

TEST_F(WatchJobTest, AnyMessageEndsTheSilence) {
  std::atomic<int> streams = 0;
  fake_.scripts.watch_job = [&](const auto& request, const WriteEvents& write) {
    clock_.Advance(absl::Seconds(50));
    write(Event(request.after_sequence() + 1));
    return ++streams < 4 ? MakeError(Reason::kDraining, "shutting down")
                         : absl::OkStatus();
  };

  EXPECT_OK(Watch(absl::Seconds(60)));
}

TEST_F(WatchJobTest, AnErrorOfTheServerEndsIt) {
  fake_.scripts.watch_job = [](const auto& request, const WriteEvents&) {
    return NotFound("tuning job", request.name());
  };

  EXPECT_THAT(Watch(absl::Seconds(60)),
              ReasonIs(Reason::kResourceNotFound,
                       "tuning job 'tuningJobs/a' does not exist"));
}

TEST_F(WatchJobTest, AnInterruptEndsItAndLeavesTheJobAlone) {
  fake_.scripts.watch_job = [&](const auto&, const WriteEvents& write) {
    // Until the client has gone.
    for (int64_t sequence = 1; write(Event(sequence)); ++sequence) {
    }
    return absl::OkStatus();
  };
  recorder_.on_event = [&] { interrupt_.Raise(); };

  EXPECT_TRUE(IsInterrupted(Watch(absl::Seconds(60)).status()));
}

TEST(IsFinal, IsTrueForTheThreeEnds) {
  EXPECT_TRUE(IsFinal(v1::TuningJob::STATE_SUCCEEDED));
  EXPECT_TRUE(IsFinal(v1::TuningJob::STATE_FAILED));
  EXPECT_TRUE(IsFinal(v1::TuningJob::STATE_CANCELLED));
  EXPECT_FALSE(IsFinal(v1::TuningJob::STATE_CANCELLING));
  EXPECT_FALSE(IsFinal(v1::TuningJob::STATE_QUEUED));
}

}  // namespace
}  // namespace attune::client
