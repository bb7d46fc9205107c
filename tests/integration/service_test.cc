#include "tests/integration/service_test.h"

#include <iostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace attune::integration {

std::unique_ptr<ServicePair> ServiceTest::pair_;
std::unique_ptr<ApiClient> ServiceTest::api_;
bool ServiceTest::shared_ = false;

void ServiceTest::StartForSuite(ServicePair::Options options) {
  auto pair = ServicePair::Start(std::move(options));
  ASSERT_TRUE(pair.ok()) << pair.status();
  pair_ = *std::move(pair);
  api_ = std::make_unique<ApiClient>(pair_->channel());
  shared_ = true;
}

void ServiceTest::TearDownTestSuite() {
  api_.reset();
  pair_.reset();
  shared_ = false;
}

bool ServiceTest::Start(ServicePair::Options options) {
  api_.reset();
  pair_.reset();
  auto pair = ServicePair::Start(std::move(options));
  EXPECT_TRUE(pair.ok()) << pair.status();
  if (!pair.ok()) return false;
  pair_ = *std::move(pair);
  api_ = std::make_unique<ApiClient>(pair_->channel());
  return true;
}

void ServiceTest::TearDown() {
  if (shared_) {
    if (HasFailure() && pair_ != nullptr) {
      std::cerr << pair_->LogTail(3000) << std::endl;
    }
    return;
  }
  api_.reset();
  pair_.reset();
}

JobFollower ServiceTest::Follow(const v1::TuningJob& job) {
  return JobFollower(pair_->channel(), job.name());
}

absl::StatusOr<FinishedJob> ServiceTest::Run(const v1::TuningJobSpec& spec) {
  const Result<v1::TuningJob> created = api().CreateJob(spec);
  if (!created.ok()) {
    return absl::Status(
        static_cast<absl::StatusCode>(created.status.error_code()),
        created.status.error_message());
  }
  JobFollower follower = Follow(created.value);
  if (auto end = follower.WaitForEnd(kPatience); !end.ok()) {
    return end.status();
  }
  const Result<v1::TuningJob> got = api().GetJob(created.value.name());
  if (!got.ok()) return absl::InternalError(got.status.error_message());
  return FinishedJob{got.value, follower.events()};
}

FinishedJob ServiceTest::MustSucceed(const v1::TuningJobSpec& spec) {
  absl::StatusOr<FinishedJob> finished = Run(spec);
  EXPECT_TRUE(finished.ok()) << finished.status();
  if (!finished.ok()) return {};
  EXPECT_EQ(finished->job.state(), v1::TuningJob::STATE_SUCCEEDED)
      << finished->job.error().ShortDebugString();
  ExpectSoundEvents(finished->events);
  return *std::move(finished);
}

void ServiceTest::ExpectSoundEvents(
    const std::vector<v1::TuningEvent>& events) {
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.front().state_change().state(), v1::TuningJob::STATE_QUEUED);
  int final_states = 0;
  int attempt = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1);
    const v1::TuningEvent::StateChange& change = events[i].state_change();
    if (IsFinal(change.state())) ++final_states;
    if (change.state() == v1::TuningJob::STATE_RUNNING) {
      EXPECT_GT(change.attempt(), attempt);
      attempt = change.attempt();
    }
  }
  EXPECT_EQ(final_states, 1);
  EXPECT_TRUE(IsFinal(events.back().state_change().state()));
}

}  // namespace attune::integration
