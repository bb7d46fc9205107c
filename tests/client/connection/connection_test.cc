#include "client/connection/connection.h"

#include <atomic>
#include <cstdlib>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

class ConnectionTest : public testing::Test {
 protected:
  Connection::Options OptionsFor(const std::string& server) {
    Connection::Options options;
    options.server = server;
    options.first_backoff = absl::Milliseconds(1);
    return options;
  }

  absl::StatusOr<v1::TuningJob> Get(Connection& connection, Repeat repeat) {
    v1::GetTuningJobRequest request;
    request.set_name("tuningJobs/a");
    return connection.Call(repeat, connection.tuning(),
                           &v1::TuningService::Stub::GetTuningJob, request);
  }

  // What the scripts touch outlives the server, which waits for them.
  Interrupt interrupt_;
  absl::Notification arrived_;
  absl::Notification release_;
  FakeAttune fake_;
};

TEST_F(ConnectionTest, CarriesRequestAndResponse) {
  fake_.scripts.get_job = [](const auto& request, v1::TuningJob& job) {
    job.set_name(request.name());
    job.set_attempt(3);
    return absl::OkStatus();
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  const auto job = Get(connection, Repeat::kSafe);

  ASSERT_OK(job);
  EXPECT_EQ(job->name(), "tuningJobs/a");
  EXPECT_EQ(job->attempt(), 3);
}

TEST_F(ConnectionTest, KeepsTheReasonOfAnError) {
  fake_.scripts.get_job = [](const auto& request, v1::TuningJob&) {
    return NotFound("tuning job", request.name());
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  EXPECT_THAT(Get(connection, Repeat::kSafe),
              ReasonIs(Reason::kResourceNotFound,
                       "tuning job 'tuningJobs/a' does not exist"));
}

TEST_F(ConnectionTest, TriesASafeCallAgainOnUnavailable) {
  std::atomic<int> calls = 0;
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob& job) {
    if (++calls < 3) return MakeError(Reason::kDraining, "shutting down");
    job.set_attempt(7);
    return absl::OkStatus();
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  const auto job = Get(connection, Repeat::kSafe);

  ASSERT_OK(job);
  EXPECT_EQ(job->attempt(), 7);
  EXPECT_EQ(calls, 3);
}

TEST_F(ConnectionTest, GivesUpAfterFourTries) {
  std::atomic<int> calls = 0;
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob&) {
    ++calls;
    return MakeError(Reason::kDraining, "shutting down");
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  EXPECT_THAT(Get(connection, Repeat::kSafe),
              ReasonIs(Reason::kDraining, "shutting down"));
  EXPECT_EQ(calls, 4);
}

TEST_F(ConnectionTest, TriesAnUnsafeCallOnce) {
  std::atomic<int> calls = 0;
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob&) {
    ++calls;
    return MakeError(Reason::kDraining, "shutting down");
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  EXPECT_THAT(Get(connection, Repeat::kUnsafe),
              ReasonIs(Reason::kDraining, "shutting down"));
  EXPECT_EQ(calls, 1);
}

TEST_F(ConnectionTest, DoesNotTryAgainWhatIsExhausted) {
  std::atomic<int> calls = 0;
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob&) {
    ++calls;
    return MakeError(Reason::kQueueFull, "full");
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  EXPECT_THAT(Get(connection, Repeat::kSafe),
              ReasonIs(Reason::kQueueFull, "full"));
  EXPECT_EQ(calls, 1);
}

TEST_F(ConnectionTest, NamesTheServerThatDoesNotAnswer) {
  std::string gone;
  {
    FakeAttune other;
    gone = other.address();
  }
  Connection connection(OptionsFor(gone), interrupt_);

  EXPECT_THAT(Get(connection, Repeat::kSafe),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("no answer from the server at " + gone)));
}

TEST_F(ConnectionTest, CallsThisMachineWithoutAProxy) {
  fake_.scripts.get_job = [](const auto&, v1::TuningJob&) {
    return absl::OkStatus();
  };
  setenv("http_proxy", "http://127.0.0.1:1", /*overwrite=*/1);
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  const auto job = Get(connection, Repeat::kUnsafe);
  unsetenv("http_proxy");

  EXPECT_OK(job);
}

TEST_F(ConnectionTest, EndsACallAtItsDeadline) {
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob&) {
    release_.WaitForNotification();
    return absl::OkStatus();
  };
  Connection::Options options = OptionsFor(fake_.address());
  options.timeout = absl::Milliseconds(20);
  Connection connection(options, interrupt_);

  const auto job = Get(connection, Repeat::kSafe);
  release_.Notify();

  EXPECT_THAT(job, StatusIs(absl::StatusCode::kDeadlineExceeded,
                            HasSubstr("took too long")));
}

TEST_F(ConnectionTest, AnInterruptCancelsARunningCall) {
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob&) {
    arrived_.Notify();
    release_.WaitForNotification();
    return absl::OkStatus();
  };
  Connection connection(OptionsFor(fake_.address()), interrupt_);
  std::thread person([&] {
    arrived_.WaitForNotification();
    interrupt_.Raise();
  });

  const auto job = Get(connection, Repeat::kSafe);
  release_.Notify();
  person.join();

  EXPECT_TRUE(IsInterrupted(job.status()));
  EXPECT_EQ(job.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ConnectionTest, NoCallBeginsAfterAnInterrupt) {
  std::atomic<int> calls = 0;
  fake_.scripts.get_job = [&](const auto&, v1::TuningJob&) {
    ++calls;
    return absl::OkStatus();
  };
  interrupt_.Raise();
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  EXPECT_TRUE(IsInterrupted(Get(connection, Repeat::kSafe).status()));
  EXPECT_EQ(calls, 0);
}

TEST_F(ConnectionTest, TellsServingFromNotServing) {
  std::atomic<bool> serving = false;
  fake_.scripts.serving = [&] { return serving.load(); };
  Connection connection(OptionsFor(fake_.address()), interrupt_);

  auto health = connection.CheckHealth();
  ASSERT_OK(health);
  EXPECT_FALSE(*health);

  serving = true;
  health = connection.CheckHealth();
  ASSERT_OK(health);
  EXPECT_TRUE(*health);
}

TEST_F(ConnectionTest, PausesDoubleUpToTheLongest) {
  Connection::Options options;
  options.server = fake_.address();
  const Connection connection(options, interrupt_);

  EXPECT_EQ(connection.BackoffBefore(2), absl::Milliseconds(100));
  EXPECT_EQ(connection.BackoffBefore(3), absl::Milliseconds(200));
  EXPECT_EQ(connection.BackoffBefore(4), absl::Milliseconds(400));
  EXPECT_EQ(connection.BackoffBefore(60), absl::Seconds(2));
}

TEST(Interrupted, OnlyOurOwnCancelIsAnInterrupt) {
  EXPECT_TRUE(IsInterrupted(InterruptedError()));
  EXPECT_FALSE(IsInterrupted(absl::CancelledError("interrupted")));
  EXPECT_FALSE(IsInterrupted(absl::OkStatus()));
}

}  // namespace
}  // namespace attune::client
