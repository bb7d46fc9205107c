#include "client/connection/interrupt.h"

#include <thread>

#include "gtest/gtest.h"

namespace attune::client {
namespace {

TEST(Interrupt, RunsWhatIsRegisteredAndSaysSo) {
  Interrupt interrupt;
  int stopped = 0;
  const auto first = interrupt.OnRaise([&] { ++stopped; });
  const auto second = interrupt.OnRaise([&] { ++stopped; });

  EXPECT_TRUE(interrupt.Raise());

  EXPECT_EQ(stopped, 2);
  EXPECT_TRUE(interrupt.raised());
}

TEST(Interrupt, SaysThatNobodyListens) {
  Interrupt interrupt;

  EXPECT_FALSE(interrupt.Raise());
}

TEST(Interrupt, ForgetsWhatWasRegistered) {
  Interrupt interrupt;
  int stopped = 0;
  {
    const auto registration = interrupt.OnRaise([&] { ++stopped; });
  }

  EXPECT_FALSE(interrupt.Raise());
  EXPECT_EQ(stopped, 0);
}

TEST(Interrupt, StopsAtOnceWhatComesTooLate) {
  Interrupt interrupt;
  interrupt.Raise();
  bool stopped = false;

  const auto registration = interrupt.OnRaise([&] { stopped = true; });

  EXPECT_TRUE(stopped);
}

TEST(Interrupt, EndsAWait) {
  Interrupt interrupt;
  std::thread other([&] { interrupt.Raise(); });

  const bool whole = interrupt.WaitFor(absl::Hours(1));
  other.join();

  EXPECT_FALSE(whole);
}

TEST(Interrupt, LetsAWaitPass) {
  Interrupt interrupt;

  EXPECT_TRUE(interrupt.WaitFor(absl::Milliseconds(1)));
  EXPECT_FALSE(interrupt.raised());
}

}  // namespace
}  // namespace attune::client
