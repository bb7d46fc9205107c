#include "worker/agent/attempt_lease.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

constexpr absl::Duration kStart = absl::Seconds(100);

TEST(AttemptLease, IsGivenUpAfterTwoThirds) {
  const AttemptLease lease(kStart, absl::Seconds(30));

  EXPECT_FALSE(lease.Lost(kStart + absl::Milliseconds(19999)));
  EXPECT_TRUE(lease.Lost(kStart + absl::Seconds(20)));
}

TEST(AttemptLease, ARenewalCountsFromWhenTheCallWasSent) {
  AttemptLease lease(kStart, absl::Seconds(30));
  lease.Renew(kStart + absl::Seconds(10), absl::Seconds(30));

  EXPECT_EQ(lease.give_up_at(), kStart + absl::Seconds(30));
}

TEST(AttemptLease, AnOldAnswerTakesNothingAway) {
  AttemptLease lease(kStart, absl::Seconds(30));
  lease.Renew(kStart - absl::Seconds(10), absl::Seconds(30));

  EXPECT_EQ(lease.give_up_at(), kStart + absl::Seconds(20));
}

TEST(AttemptLease, TakesTheLengthTheServerSays) {
  AttemptLease lease(kStart, absl::Seconds(30));
  lease.Renew(kStart, absl::Seconds(60));

  EXPECT_EQ(lease.give_up_at(), kStart + absl::Seconds(40));
}

TEST(AttemptLease, WithoutALengthItKeepsTheOneItHad) {
  AttemptLease lease(kStart, absl::Seconds(60));
  lease.Renew(kStart + absl::Seconds(10));

  EXPECT_EQ(lease.give_up_at(), kStart + absl::Seconds(50));
}

}  // namespace
}  // namespace attune::worker
