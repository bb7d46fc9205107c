#ifndef ATTUNE_TESTS_INTEGRATION_SERVICE_TEST_H_
#define ATTUNE_TESTS_INTEGRATION_SERVICE_TEST_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/integration/api_client.h"
#include "tests/integration/job_follower.h"
#include "tests/testing/service_pair.h"

namespace attune::integration {

// Long enough for anything that a test waits for on a busy machine.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

// A job from its creation to its end.
struct FinishedJob {
  v1::TuningJob job;
  std::vector<v1::TuningEvent> events;
};

// A server and a worker with a client. Tests of a suite that calls
// StartForSuite in its SetUpTestSuite share one pair; others start their own.
class ServiceTest : public ::testing::Test {
 protected:
  static void StartForSuite(ServicePair::Options options);
  static void TearDownTestSuite();

  // Replaces the pair; false after an error, which fails the test.
  bool Start(ServicePair::Options options);
  void TearDown() override;

  ServicePair& pair() { return *pair_; }
  ApiClient& api() { return *api_; }

  JobFollower Follow(const v1::TuningJob& job);

  // Creates the job and follows it to its end. The errors are those of the
  // creation, and of a watch that breaks its promises.
  absl::StatusOr<FinishedJob> Run(const v1::TuningJobSpec& spec);
  // Run, for a job that must succeed; an empty one otherwise.
  FinishedJob MustSucceed(const v1::TuningJobSpec& spec);

  // That the events count 1, 2, 3 ..., begin with QUEUED, hold exactly one
  // final state at the end, and that attempts only grow.
  static void ExpectSoundEvents(const std::vector<v1::TuningEvent>& events);

 private:
  static std::unique_ptr<ServicePair> pair_;
  static std::unique_ptr<ApiClient> api_;
  static bool shared_;
};

}  // namespace attune::integration

#endif  // ATTUNE_TESTS_INTEGRATION_SERVICE_TEST_H_
