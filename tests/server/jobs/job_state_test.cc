#include "server/jobs/job_state.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using J = v1::TuningJob;

const std::vector<JobState>& AllStates() {
  static const auto& states = *new std::vector<JobState>{
      J::STATE_QUEUED,    J::STATE_RUNNING, J::STATE_CANCELLING,
      J::STATE_SUCCEEDED, J::STATE_FAILED,  J::STATE_CANCELLED};
  return states;
}

TEST(JobState, TheTableHasExactlyTheseEdges) {
  // Rows: from; columns: to; both in the order of AllStates().
  const char* table[] = {
      ".R...C",  // QUEUED
      "Q.cSF.",  // RUNNING
      ".....C",  // CANCELLING
      "......",  // SUCCEEDED
      "Q.....",  // FAILED
      "Q.....",  // CANCELLED
  };
  for (size_t from = 0; from < 6; ++from) {
    for (size_t to = 0; to < 6; ++to) {
      bool expected = table[from][to] != '.';
      J job;
      job.set_name("tuningJobs/j");
      job.set_state(AllStates()[from]);
      EXPECT_EQ(MayAdvance(AllStates()[from], AllStates()[to]), expected);
      absl::Status status = Advance(AllStates()[to], job);
      if (expected) {
        EXPECT_OK(status);
        EXPECT_EQ(job.state(), AllStates()[to]);
      } else {
        EXPECT_THAT(status, ReasonIs(Reason::kIllegalState,
                                     AllOf(HasSubstr("tuningJobs/j"),
                                           HasSubstr(std::string(JobStateName(
                                               AllStates()[from]))))));
        EXPECT_EQ(job.state(), AllStates()[from]) << "nothing changes";
      }
    }
  }
}

TEST(JobState, ANewJobCanOnlyBeQueued) {
  J job;
  EXPECT_THAT(Advance(J::STATE_RUNNING, job),
              ReasonIs(Reason::kIllegalState, HasSubstr("RUNNING")));
  EXPECT_OK(Advance(J::STATE_QUEUED, job));
}

TEST(JobState, NamesGoBothWays) {
  for (JobState state : AllStates()) {
    EXPECT_EQ(FindJobState(JobStateName(state)), state);
    EXPECT_EQ("STATE_" + std::string(JobStateName(state)),
              J::State_Name(state));
  }
  EXPECT_EQ(FindJobState("STATE_UNSPECIFIED"), std::nullopt);
  EXPECT_EQ(FindJobState("running"), std::nullopt);
  EXPECT_EQ(FindJobState(""), std::nullopt);
}

TEST(JobState, FinalAndHeldStates) {
  for (JobState state : AllStates()) {
    EXPECT_EQ(IsFinal(state), state >= J::STATE_SUCCEEDED);
    EXPECT_EQ(IsHeld(state),
              state == J::STATE_RUNNING || state == J::STATE_CANCELLING);
  }
}

}  // namespace
}  // namespace attune::server
