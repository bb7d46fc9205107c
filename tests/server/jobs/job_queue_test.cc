#include "server/jobs/job_queue.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace attune::server {
namespace {

using Models = absl::flat_hash_set<std::string>;

WorkerRoom Idle(const Models& models) { return {models, {}, /*idle=*/true}; }
WorkerRoom Busy(const Models& models, const Models& loaded) {
  return {models, loaded, /*idle=*/false};
}

const absl::Time kNoon = absl::FromUnixSeconds(1704110400);
constexpr absl::Duration kMonotonicNow = absl::Seconds(1000);

QueuedJob Make(const std::string& model,
               absl::Duration not_before = -absl::InfiniteDuration()) {
  return {model, kNoon, not_before, /*alone=*/false};
}

TEST(JobQueue, TheOldestJobComesFirst) {
  JobQueue queue;
  queue.Add(9, Make("m"));
  queue.Add(4, Make("m"));
  queue.Add(6, Make("m"));

  EXPECT_EQ(queue.Pick(Idle({"m"}), kMonotonicNow), 4);
  queue.Remove(4);
  EXPECT_EQ(queue.Pick(Idle({"m"}), kMonotonicNow), 6);
  EXPECT_EQ(queue.size(), 2u);
}

TEST(JobQueue, AWorkerGetsJobsForItsModelsOnly) {
  JobQueue queue;
  queue.Add(1, Make("other"));
  queue.Add(2, Make("m"));

  EXPECT_EQ(queue.Pick(Idle({"m", "n"}), kMonotonicNow), 2);
  EXPECT_EQ(queue.Pick(Idle({"n"}), kMonotonicNow), std::nullopt);
  EXPECT_EQ(queue.Pick(Idle({}), kMonotonicNow), std::nullopt);
}

TEST(JobQueue, ADelayedJobLetsOthersGoFirst) {
  JobQueue queue;
  queue.Add(1, Make("m", kMonotonicNow + absl::Seconds(5)));
  queue.Add(2, Make("m"));

  EXPECT_EQ(queue.Pick(Idle({"m"}), kMonotonicNow), 2);
  EXPECT_EQ(queue.Pick(Idle({"m"}), kMonotonicNow + absl::Seconds(5)), 1);
}

TEST(JobQueue, ABusyWorkerGetsJobsForLoadedModelsInTheirOrder) {
  JobQueue queue;
  queue.Add(1, Make("m"));
  queue.Add(2, Make("n"));
  queue.Add(3, Make("m"));

  EXPECT_EQ(queue.Pick(Busy({"m", "n"}, {"m"}), kMonotonicNow), 1);
  queue.Remove(1);
  EXPECT_EQ(queue.Pick(Busy({"m", "n"}, {"m"}), kMonotonicNow), std::nullopt)
      << "job 2 would wait for ever while younger ones keep the worker busy";
  EXPECT_EQ(queue.Pick(Busy({"m"}, {"m"}), kMonotonicNow), 3);
  EXPECT_EQ(queue.Pick(Busy({"m", "n"}, {"m", "n"}), kMonotonicNow), 2);
  EXPECT_EQ(queue.Pick(Idle({"m", "n"}), kMonotonicNow), 2);
}

TEST(JobQueue, AJobThatMustBeAloneWaitsForAnIdleWorker) {
  JobQueue queue;
  QueuedJob suspect = Make("m");
  suspect.alone = true;
  queue.Add(1, suspect);
  queue.Add(2, Make("m"));

  EXPECT_EQ(queue.Pick(Busy({"m"}, {"m"}), kMonotonicNow), std::nullopt);
  EXPECT_EQ(queue.Pick(Idle({"m"}), kMonotonicNow), 1);
}

TEST(JobQueue, KnowsWhenADelayEnds) {
  JobQueue queue;
  queue.Add(1, Make("m", kMonotonicNow + absl::Seconds(5)));
  queue.Add(2, Make("m"));

  EXPECT_FALSE(
      queue.BecameReady(kMonotonicNow, kMonotonicNow + absl::Seconds(4)));
  EXPECT_TRUE(
      queue.BecameReady(kMonotonicNow, kMonotonicNow + absl::Seconds(5)));
  EXPECT_FALSE(queue.BecameReady(kMonotonicNow + absl::Seconds(5),
                                 kMonotonicNow + absl::Seconds(9)));
}

TEST(JobQueue, KnowsTheLongestWait) {
  JobQueue queue;
  EXPECT_EQ(queue.OldestQueuedAt(), std::nullopt);
  queue.Add(1, {"m", kNoon + absl::Seconds(9)});
  queue.Add(2, {"m", kNoon});  // tried again later than job 1 was made

  EXPECT_EQ(queue.OldestQueuedAt(), kNoon);
  EXPECT_EQ(queue.Find(1)->queued_at, kNoon + absl::Seconds(9));
  EXPECT_EQ(queue.Find(3), nullptr);
}

}  // namespace
}  // namespace attune::server
