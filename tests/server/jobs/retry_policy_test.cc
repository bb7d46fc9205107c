#include "server/jobs/retry_policy.h"

#include <set>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(IsRetryable, OnlyTroublesOfMachinesAndBugsAreTriedAgain) {
  const std::set<Reason> retried = {
      Reason::kWorkerLost,  Reason::kNoWorker,       Reason::kDraining,
      Reason::kLeaseLost,   Reason::kOutOfMemory,    Reason::kDeadlineExceeded,
      Reason::kStorageFull, Reason::kStorageFailure, Reason::kCorruptArtifact,
      Reason::kInternal,    Reason::kModelMemoryFull};

  for (const ReasonRow& row : AllReasons()) {
    EXPECT_EQ(IsRetryable(row.reason), retried.count(row.reason) > 0)
        << row.name;
  }
}

TEST(IsRetryable, WhatFollowsFromTheJobIsFinal) {
  for (Reason reason :
       {Reason::kInvalidData, Reason::kInvalidTemplate, Reason::kNonfiniteLoss,
        Reason::kInputTooLong, Reason::kUnsupportedField, Reason::kCorruptModel,
        Reason::kModelMismatch}) {
    EXPECT_FALSE(IsRetryable(reason));
  }
}

TEST(RetryDelay, GrowsUpToFiveMinutes) {
  const int seconds[] = {1, 5, 10, 20, 40, 80, 160, 300, 300, 300};
  for (int losses = 1; losses <= 10; ++losses) {
    EXPECT_EQ(RetryDelay(losses, 0.5), absl::Seconds(seconds[losses - 1]));
  }
  EXPECT_EQ(RetryDelay(1'000'000, 0.5), absl::Minutes(5));
}

TEST(RetryDelay, IsSpreadByAFifth) {
  EXPECT_EQ(RetryDelay(2, 0.0), absl::Seconds(4));
  EXPECT_EQ(RetryDelay(2, 1.0), absl::Seconds(6));
}

TEST(NeedsWorkerAlone, IsTheLastAttemptAfterLosses) {
  EXPECT_FALSE(NeedsWorkerAlone(/*losses=*/0, /*max_attempts=*/3));
  EXPECT_FALSE(NeedsWorkerAlone(1, 3));
  EXPECT_TRUE(NeedsWorkerAlone(2, 3));
  EXPECT_FALSE(NeedsWorkerAlone(0, 1)) << "nobody has lost anything yet";
}

TEST(AttemptsExhausted, NamesTheLastReason) {
  absl::Status status = AttemptsExhausted(
      3, MakeError(Reason::kOutOfMemory, "needs 9 GB and has 8"));

  EXPECT_THAT(status, ReasonIs(Reason::kAttemptsExhausted,
                               AllOf(HasSubstr("3 attempts"),
                                     HasSubstr("needs 9 GB and has 8"),
                                     HasSubstr("OUT_OF_MEMORY"))));
}

}  // namespace
}  // namespace attune::server
