#include "proto/cc/shutdown.h"

#include <signal.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(ShutdownSignal, TellsOfSigterm) {
  ShutdownSignal shutdown;
  EXPECT_FALSE(shutdown.Wait(absl::ZeroDuration()));
  raise(SIGTERM);

  EXPECT_TRUE(shutdown.Wait(absl::Seconds(10)));
  EXPECT_TRUE(shutdown.Wait());  // stays so
}

TEST(ShutdownSignal, CanBeTriggered) {
  ShutdownSignal shutdown;
  shutdown.Trigger();

  EXPECT_TRUE(shutdown.Wait(absl::Seconds(10)));
}

TEST(ShutdownSignalDeathTest, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        ShutdownSignal shutdown;
        raise(SIGTERM);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST(ShutdownSignalDeathTest, ASecondSignalOfTheOtherKindEndsTheProcessToo) {
  EXPECT_EXIT(
      {
        ShutdownSignal shutdown;
        raise(SIGTERM);
        raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(WatchdogDeathTest, EndsAProcessThatHangs) {
  EXPECT_EXIT(
      {
        const Watchdog watchdog(absl::Milliseconds(10), 70, "the drain");
        absl::Notification().WaitForNotification();
      },
      testing::ExitedWithCode(70), "the drain did not end within 10ms");
}

TEST(Watchdog, IsCalledOff) {
  const Watchdog watchdog(absl::Hours(1), 70, "the drain");
}

}  // namespace
}  // namespace attune
