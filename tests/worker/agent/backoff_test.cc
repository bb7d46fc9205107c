#include "worker/agent/backoff.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

constexpr Backoff::Options kOptions = {.initial = absl::Milliseconds(100),
                                       .maximum = absl::Seconds(1)};

TEST(Backoff, DoublesUpToTheMaximum) {
  Backoff backoff(kOptions);

  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(100));
  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(200));
  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(400));
  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(800));
  EXPECT_EQ(backoff.Next(1), absl::Seconds(1));
  EXPECT_EQ(backoff.Next(1), absl::Seconds(1));
}

TEST(Backoff, JitterPicksFromTheSecondHalf) {
  Backoff backoff(kOptions);

  EXPECT_EQ(backoff.Next(0), absl::Milliseconds(50));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(150));
}

TEST(Backoff, ResetBeginsAnew) {
  Backoff backoff(kOptions);
  backoff.Next(1);
  backoff.Next(1);
  backoff.Reset();

  EXPECT_EQ(backoff.Next(1), absl::Milliseconds(100));
}

TEST(Backoff, ManyFailuresDoNotOverflow) {
  Backoff backoff(kOptions);
  for (int i = 0; i < 1000; ++i) {
    backoff.Next(1);
  }

  EXPECT_EQ(backoff.Next(1), absl::Seconds(1));
}

}  // namespace
}  // namespace attune::worker
