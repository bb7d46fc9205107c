#include "worker/tuning/memory_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tuning/recording_listener.h"
#include "worker/tuning/micro_batches.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class MemoryGuardTest : public testing::Test {
 protected:
  // Runs a step on a machine whose memory suffices for `enough` rows at once.
  absl::Status Run(const BatchRows& batch, int64_t enough) {
    return guard_.Run(batch, progress_, [&](int64_t max_rows) -> absl::Status {
      tried_.push_back(max_rows);
      for (const MicroBatch& part :
           SplitBatch(batch.samples, batch.shared, max_rows)) {
        int64_t rows = batch.shared;
        for (size_t i = 0; i < part.count; ++i) {
          rows += batch.samples[part.begin + i];
        }
        if (rows > enough) {
          return MakeError(Reason::kOutOfMemory,
                           "step: memory did not suffice (9 bytes); use a "
                           "smaller batch_size");
        }
      }
      return absl::OkStatus();
    });
  }

  RecordingListener listener_;
  MemoryGuard guard_{/*max_rows=*/1000, listener_};
  v1::CheckpointManifest progress_;
  std::vector<int64_t> tried_;
};

TEST_F(MemoryGuardTest, AStepThatFitsIsRunOnce) {
  EXPECT_OK(Run({.samples = {10, 10}, .shared = 5}, 25));

  EXPECT_THAT(tried_, ElementsAre(1000));
  EXPECT_THAT(listener_.notices, IsEmpty());
  EXPECT_EQ(progress_.max_micro_batch_rows(), 0);
}

TEST_F(MemoryGuardTest, HalvesWhatWasRunUntilItFits) {
  progress_.set_step(6);

  EXPECT_OK(Run({.samples = std::vector<int64_t>(16, 10), .shared = 20}, 50));

  // 20 + 16 * 10 rows at once at first.
  EXPECT_THAT(tried_, ElementsAre(1000, 90, 45));
  EXPECT_EQ(progress_.max_micro_batch_rows(), 45);
  ASSERT_EQ(listener_.notices.size(), 2u);
  EXPECT_THAT(listener_.notices[0],
              AllOf(HasSubstr("step 7"), HasSubstr("for 180 rows"),
                    HasSubstr("at most 90 rows")));
  EXPECT_THAT(listener_.notices[1],
              AllOf(HasSubstr("for 90 rows"), HasSubstr("at most 45 rows")));
}

TEST_F(MemoryGuardTest, LaterStepsBeginWithWhatSufficed) {
  ASSERT_OK(Run({.samples = std::vector<int64_t>(16, 10), .shared = 20}, 50));
  tried_.clear();

  EXPECT_OK(Run({.samples = std::vector<int64_t>(16, 10), .shared = 20}, 50));

  EXPECT_THAT(tried_, ElementsAre(45));
}

TEST_F(MemoryGuardTest, DoesNotGoBelowTheLongestSample) {
  EXPECT_OK(Run({.samples = {10, 70, 10, 10}, .shared = 5}, 75));

  // Half of 105 rows would be less than the 75 that the longest one needs.
  EXPECT_THAT(tried_, ElementsAre(1000, 75));
}

TEST_F(MemoryGuardTest, FailsWhereASingleSampleIsTooMuch) {
  progress_.set_step(6);

  EXPECT_THAT(
      Run({.samples = {10, 70, 10}, .shared = 5}, 74),
      ReasonIs(Reason::kOutOfMemory,
               AllOf(HasSubstr("step 7"), HasSubstr("single sample of 75 rows"),
                     HasSubstr("(9 bytes)"), HasSubstr("task.truncation"),
                     Not(HasSubstr("use a smaller")))));
  EXPECT_THAT(tried_, ElementsAre(1000, 75));
}

TEST_F(MemoryGuardTest, EndsForAnyBatch) {
  for (int64_t longest = 1; longest < 60; ++longest) {
    progress_.Clear();
    tried_.clear();
    const absl::Status status =
        Run({.samples = {longest, 3, 17, 1, 30, 2, 2}, .shared = 4}, 0);

    EXPECT_EQ(ReasonOf(status), Reason::kOutOfMemory);
    EXPECT_LE(tried_.size(), 8u) << longest;
    for (size_t i = 1; i < tried_.size(); ++i) {
      EXPECT_LT(tried_[i], tried_[i - 1]) << longest;
    }
  }
}

TEST_F(MemoryGuardTest, OtherErrorsAreNotTriedAgain) {
  int calls = 0;
  const absl::Status status =
      guard_.Run({.samples = {10, 10}, .shared = 5}, progress_, [&](int64_t) {
        ++calls;
        return MakeError(Reason::kInternal, "broken");
      });

  EXPECT_THAT(status, ReasonIs(Reason::kInternal, HasSubstr("broken")));
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(listener_.notices, IsEmpty());
}

}  // namespace
}  // namespace attune::worker
