#include "worker/inference/background_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using testing::_;

class BackgroundWorkTest : public testing::Test {
 protected:
  class CountedTurn final : public BackgroundWork::Turn {
   public:
    explicit CountedTurn(std::atomic<int>& count) : count_(count) {}
    void Take() override { ++count_; }

   private:
    std::atomic<int>& count_;
  };

  std::shared_ptr<CallContext> MakeCall() {
    return std::make_shared<CallContext>();
  }
  // Takes a place and runs `task` in it.
  void Run(const std::shared_ptr<CallContext>& context,
           BackgroundWork::Task task) {
    auto place = work_.Admit(context);
    ASSERT_OK(place);
    work_.Run(*std::move(place), std::move(task));
  }
  // Runs a task that holds the thread until `release_`.
  void Occupy() {
    Run(MakeCall(), [this](const BackgroundWork::Pause&) {
      occupied_.Notify();
      release_.WaitForNotification();
    });
    occupied_.WaitForNotification();
  }

  FakeClock clock_;
  ComputeBudget budget_{4};
  std::atomic<int> turns_ = 0;
  absl::Notification occupied_;
  absl::Notification release_;
  BackgroundWork work_{2, budget_,
                       [this] { return std::make_unique<CountedTurn>(turns_); },
                       clock_};
};

TEST_F(BackgroundWorkTest, ComputesInItsTurnAndCountsAsTraining) {
  absl::Notification done;
  int serving = 0;
  absl::Status paused = absl::UnknownError("not asked");
  const auto serve = budget_.Serve();
  Run(MakeCall(), [&](const BackgroundWork::Pause& pause) {
    paused = pause();
    serving = budget_.ServingThreads();
    done.Notify();
  });
  done.WaitForNotification();

  EXPECT_OK(paused);
  EXPECT_EQ(serving, 1);
  EXPECT_EQ(turns_, 1);
}

TEST_F(BackgroundWorkTest, RunsOneAtATimeInTheirOrder) {
  std::vector<int> order;
  absl::Notification done;
  Occupy();
  for (int i = 0; i < 2; ++i) {
    Run(MakeCall(), [&, i](const BackgroundWork::Pause&) {
      order.push_back(i);
      if (i == 1) done.Notify();
    });
  }

  release_.Notify();
  done.WaitForNotification();

  EXPECT_EQ(order, (std::vector<int>{0, 1}));
}

TEST_F(BackgroundWorkTest, MoreThanOneThatRunsAndTwoThatWaitAreRefused) {
  const auto first = work_.Admit(MakeCall());
  auto second = work_.Admit(MakeCall());
  const auto third = work_.Admit(MakeCall());

  EXPECT_THAT(work_.Admit(MakeCall()).status(),
              ReasonIs(Reason::kQueueFull, testing::HasSubstr("3 eval")));

  second->reset();
  EXPECT_OK(work_.Admit(MakeCall()));
}

TEST_F(BackgroundWorkTest, OneWhoseCallerHasGoneMakesRoom) {
  bool ran = false;
  Occupy();
  const auto gone = MakeCall();
  Run(gone, [&](const BackgroundWork::Pause&) { ran = true; });
  const auto other = work_.Admit(MakeCall());
  EXPECT_THAT(work_.Admit(MakeCall()).status(),
              ReasonIs(Reason::kQueueFull, _));

  gone->Cancel();

  EXPECT_OK(work_.Admit(MakeCall()));
  release_.Notify();
  work_.Stop();
  EXPECT_FALSE(ran);
}

TEST_F(BackgroundWorkTest, ACancelShowsAtTheNextPause) {
  const auto context = MakeCall();
  absl::Notification done;
  std::vector<absl::Status> pauses;
  Run(context, [&](const BackgroundWork::Pause& pause) {
    pauses.push_back(pause());
    context->Cancel();
    pauses.push_back(pause());
    done.Notify();
  });
  done.WaitForNotification();

  EXPECT_OK(pauses[0]);
  EXPECT_THAT(pauses[1], ReasonIs(Reason::kCancelled, _));
}

TEST_F(BackgroundWorkTest, ADeadlineThatPassesShowsAtTheNextPause) {
  const auto context =
      std::make_shared<CallContext>(clock_.Now() + absl::Seconds(1));
  absl::Notification done;
  absl::Status paused;
  Run(context, [&](const BackgroundWork::Pause& pause) {
    clock_.Advance(absl::Seconds(2));
    paused = pause();
    done.Notify();
  });
  done.WaitForNotification();

  EXPECT_THAT(paused, ReasonIs(Reason::kDeadlineExceeded, _));
}

TEST_F(BackgroundWorkTest, ADrainEndsWhatRunsAndWaitsAndTakesNothingNew) {
  absl::Status running;
  absl::Status waiting;
  absl::Notification begun;
  Run(MakeCall(), [&](const BackgroundWork::Pause& pause) {
    begun.Notify();
    release_.WaitForNotification();
    running = pause();
  });
  Run(MakeCall(),
      [&](const BackgroundWork::Pause& pause) { waiting = pause(); });
  begun.WaitForNotification();

  work_.BeginDrain();
  EXPECT_THAT(work_.Admit(MakeCall()).status(), ReasonIs(Reason::kDraining, _));
  release_.Notify();
  work_.Stop();

  EXPECT_THAT(running, ReasonIs(Reason::kDraining, _));
  EXPECT_THAT(waiting, ReasonIs(Reason::kDraining, _));
}

}  // namespace
}  // namespace attune::worker
