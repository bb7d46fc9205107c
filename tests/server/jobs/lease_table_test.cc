#include "server/jobs/lease_table.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration At(int seconds) { return absl::Seconds(seconds); }

Lease Make(int64_t job, int attempt, const std::string& worker,
           absl::Duration deadline) {
  Lease lease;
  lease.job = job;
  lease.attempt = attempt;
  lease.worker = worker;
  lease.instance = worker + "-1";
  lease.deadline = deadline;
  return lease;
}

TEST(LeaseTable, AGrantedLeaseHoldsItsJob) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 1, "w1", At(30))));

  EXPECT_OK(leases.Check(7, 1));
  EXPECT_EQ(leases.FindByJob(7)->worker, "w1");
  EXPECT_TRUE(leases.HasWorker("w1"));
  EXPECT_EQ(leases.size(), 1u);
  EXPECT_FALSE(leases.FindByJob(8).has_value());
  EXPECT_FALSE(leases.HasWorker("w2"));
  EXPECT_THAT(leases.FindByWorker("w2"), IsEmpty());
}

TEST(LeaseTable, AJobHasOneLease) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 1, "w1", At(30))));

  EXPECT_THAT(leases.Grant(Make(7, 2, "w2", At(30))),
              ReasonIs(Reason::kIllegalState, HasSubstr("has a lease")));
  EXPECT_EQ(leases.size(), 1u);
}

TEST(LeaseTable, AWorkerMayHoldSeveralJobs) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(9, 1, "w1", At(30))));
  ASSERT_OK(leases.Grant(Make(7, 4, "w1", At(30))));
  ASSERT_OK(leases.Grant(Make(8, 1, "w2", At(30))));
  const auto held = leases.FindByWorker("w1");
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].job, 7);
  EXPECT_EQ(held[1].job, 9);

  leases.Release(7);
  ASSERT_EQ(leases.FindByWorker("w1").size(), 1u);
  EXPECT_EQ(leases.FindByWorker("w1")[0].job, 9);
  leases.Release(9);
  EXPECT_FALSE(leases.HasWorker("w1"));
}

TEST(LeaseTable, AJobThatWasAloneMayGetCompany) {
  LeaseTable leases;
  Lease lease = Make(7, 3, "w1", At(30));
  lease.alone = true;
  ASSERT_OK(leases.Grant(lease));

  leases.AllowCompany(7);
  leases.AllowCompany(8);

  EXPECT_FALSE(leases.FindByJob(7)->alone);
}

TEST(LeaseTable, OtherAttemptsAreFenced) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 2, "w1", At(30))));

  EXPECT_THAT(leases.Check(7, 1),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));
  EXPECT_THAT(leases.Check(7, 3),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 3")));
  EXPECT_THAT(leases.Check(8, 2),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 2")));
}

TEST(LeaseTable, ExpiresExactlyAtItsDeadline) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 1, "w1", At(30))));
  ASSERT_OK(leases.Grant(Make(8, 1, "w2", At(20))));

  EXPECT_THAT(leases.FindExpired(At(20) - absl::Nanoseconds(1)), IsEmpty());
  ASSERT_EQ(leases.FindExpired(At(20)).size(), 1u);
  EXPECT_EQ(leases.FindExpired(At(20))[0].job, 8);
  auto both = leases.FindExpired(At(40));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].job, 8);
  EXPECT_EQ(both[1].job, 7);
  EXPECT_EQ(leases.size(), 2u) << "they stay until they are released";
}

TEST(LeaseTable, RenewingMovesTheDeadline) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 1, "w1", At(30))));

  ASSERT_OK(leases.Renew(7, 1, "w1-1", At(40)));

  EXPECT_THAT(leases.FindExpired(At(39)), IsEmpty());
  EXPECT_EQ(leases.FindExpired(At(40)).size(), 1u);
}

TEST(LeaseTable, OnlyTheHolderRenews) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 2, "w1", At(30))));

  EXPECT_THAT(leases.Renew(7, 1, "w1-1", At(90)),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));
  EXPECT_THAT(leases.Renew(7, 2, "w1-2", At(90)),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 2")));
  EXPECT_THAT(leases.Renew(8, 2, "w1-1", At(90)),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 2")));
  EXPECT_EQ(leases.FindByJob(7)->deadline, At(30));
}

TEST(LeaseTable, AReleasedJobAndItsWorkerAreFree) {
  LeaseTable leases;
  ASSERT_OK(leases.Grant(Make(7, 1, "w1", At(30))));

  leases.Release(7);
  leases.Release(7);

  EXPECT_THAT(leases.Check(7, 1),
              ReasonIs(Reason::kLeaseLost, HasSubstr("attempt 1")));
  EXPECT_OK(leases.Grant(Make(8, 1, "w1", At(30))));
  EXPECT_OK(leases.Grant(Make(7, 2, "w2", At(30))));
}

}  // namespace
}  // namespace attune::server
