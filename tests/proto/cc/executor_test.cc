#include "proto/cc/executor.h"

#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

// An executor of one thread that a test holds up.
class ExecutorTest : public testing::Test {
 protected:
  void Block() {
    ASSERT_OK(executor_.Offer([this] {
      blocked_.Notify();
      release_.WaitForNotification();
    }));
    blocked_.WaitForNotification();
  }

  absl::Notification blocked_;
  absl::Notification release_;
  int waits_ = 0;
  Executor executor_{{.name = "disk",
                      .num_threads = 1,
                      .max_queued = 2,
                      .on_start = [this](absl::Duration) { ++waits_; }}};
};

TEST_F(ExecutorTest, RunsTasksInTheirOrder) {
  std::vector<int> order;
  Block();
  EXPECT_OK(executor_.Offer([&] { order.push_back(1); }));
  EXPECT_OK(executor_.Offer([&] { order.push_back(2); }));
  release_.Notify();
  executor_.Shutdown();

  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(waits_, 3);
}

TEST_F(ExecutorTest, RefusesNewWorkWhenFull) {
  Block();
  ASSERT_OK(executor_.Offer([] {}));
  ASSERT_OK(executor_.Offer([] {}));

  EXPECT_THAT(executor_.Offer([] {}),
              ReasonIs(Reason::kQueueFull, testing::HasSubstr("'disk'")));
  EXPECT_TRUE(executor_.Post([] {}));
  EXPECT_EQ(executor_.queue_depth(), 3u);
  EXPECT_EQ(executor_.busy_threads(), 1);
  release_.Notify();
}

TEST_F(ExecutorTest, TakesNothingAfterShutdown) {
  executor_.Shutdown();

  EXPECT_THAT(executor_.Offer([] {}), ReasonIs(Reason::kDraining, testing::_));
  EXPECT_FALSE(executor_.Post([] {}));
}

}  // namespace
}  // namespace attune
