#include "proto/cc/ticker.h"

#include <atomic>

#include "absl/synchronization/blocking_counter.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(Ticker, CallsAgainAndAgainUntilDestroyed) {
  absl::BlockingCounter three_calls(3);
  std::atomic<int> calls = 0;
  {
    Ticker ticker(absl::Milliseconds(1), [&] {
      if (++calls <= 3) three_calls.DecrementCount();
    });
    three_calls.Wait();
  }
  const int at_end = calls;

  EXPECT_GE(at_end, 3);
  EXPECT_EQ(calls, at_end);
}

TEST(Ticker, StopsWithoutWaitingForTheNextCall) {
  Ticker ticker(absl::Hours(1), [] { FAIL(); });
}

}  // namespace
}  // namespace attune
