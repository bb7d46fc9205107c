#include "server/jobs/worker_requests.h"

#include <string>
#include <vector>

#include "google/protobuf/any.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The paths of all fields that an error names.
std::vector<std::string> FieldsOf(const absl::Status& status) {
  std::vector<std::string> fields;
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const google::rpc::Status rpc_status = ToRpcStatus(status);
  for (const google::protobuf::Any& detail : rpc_status.details()) {
    google::rpc::BadRequest request;
    if (!detail.UnpackTo(&request)) continue;
    for (const auto& violation : request.field_violations()) {
      fields.push_back(violation.field());
    }
  }
  return fields;
}

TEST(ToProto, KeepsNanoseconds) {
  google::protobuf::Duration duration =
      ToProto(absl::Seconds(10) + absl::Nanoseconds(7));

  EXPECT_EQ(duration.seconds(), 10);
  EXPECT_EQ(duration.nanos(), 7);
}

TEST(CutText, CutsBetweenCharacters) {
  const std::string text =
      "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";  // 1 to 4 bytes
  const size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t i = 0; i < std::size(ends); ++i) {
    EXPECT_EQ(CutText(text, i), text.substr(0, ends[i])) << i;
  }
}

TEST(CheckSynchronize, AWorkerMustSayWhoItIs) {
  worker::v1::SynchronizeRequest request;
  EXPECT_THAT(FieldsOf(CheckSynchronize(request)),
              ElementsAre("worker.id", "worker.instance_id"));
  *request.mutable_worker() = MakeWorker("w1");
  EXPECT_OK(CheckSynchronize(request));
  request.mutable_worker()->set_id(std::string(254, 'x'));
  EXPECT_THAT(CheckSynchronize(request),
              ReasonIs(Reason::kInvalidField, HasSubstr("worker.id")));
}

TEST(CheckSynchronize, EveryAttemptMustBeNamed) {
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker("w1");
  worker::v1::AttemptState& sound = *request.add_attempts();
  sound.set_tuning_job("tuningJobs/x");
  sound.set_attempt(1);
  worker::v1::AttemptState& wrong = *request.add_attempts();
  wrong.set_tuning_job("jobs/x");
  const std::string note = "a note";
  for (int i = 0; i <= kMaxNotices; ++i) wrong.add_notices(note);

  EXPECT_THAT(FieldsOf(CheckSynchronize(request)),
              ElementsAre("attempts[1].tuning_job", "attempts[1].attempt",
                          "attempts[1].notices"));
}

TEST(CheckSynchronize, JobsOfAWorkerAreBounded) {
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker("w1");
  for (int i = 0; i < kMaxWorkerJobs; ++i) {
    worker::v1::AttemptState& attempt = *request.add_attempts();
    attempt.set_tuning_job(Concat("tuningJobs/j", i));
    attempt.set_attempt(1);
  }
  EXPECT_OK(CheckSynchronize(request));
  request.add_attempts();
  request.mutable_worker()->set_free_job_slots(kMaxWorkerJobs + 1);

  EXPECT_THAT(FieldsOf(CheckSynchronize(request)),
              ElementsAre("worker.free_job_slots", "attempts"));
}

TEST(CheckSynchronize, EverythingThatAWorkerKeepsForOneReportIsTaken) {
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker("w1");
  worker::v1::AttemptState& attempt = *request.add_attempts();
  attempt.set_tuning_job("tuningJobs/x");
  attempt.set_attempt(1);
  const std::string note = "a note";
  for (int i = 0; i < 100; ++i) attempt.add_notices(note);

  EXPECT_OK(CheckSynchronize(request));
}

TEST(CheckFinish, AnOutcomeMustBeWhole) {
  worker::v1::FinishAttemptRequest request;
  EXPECT_THAT(CheckFinish(request),
              ReasonIs(Reason::kInvalidField, HasSubstr("outcome")));
  request.mutable_failed();
  EXPECT_THAT(CheckFinish(request),
              ReasonIs(Reason::kInvalidField, HasSubstr("failed.code")));
  request.mutable_succeeded();
  EXPECT_THAT(
      FieldsOf(CheckFinish(request)),
      ElementsAre("succeeded.artifact_digest", "succeeded.report",
                  "succeeded.resolved_spec", "succeeded.model_fingerprint"));
  EXPECT_OK(CheckFinish(MakeSuccess("job", 1, "digest")));
  request.mutable_released();
  EXPECT_OK(CheckFinish(request));
}

TEST(RemoveRows, KeepsTheKindOfTheSource) {
  v1::TuningJobSpec spec;
  spec.mutable_data()->mutable_inline_()->add_rows();

  RemoveRows(spec);

  EXPECT_TRUE(spec.data().has_inline_());
  EXPECT_EQ(spec.data().inline_().rows_size(), 0);
  spec.mutable_data()->set_dataset("datasets/d");
  RemoveRows(spec);
  EXPECT_EQ(spec.data().dataset(), "datasets/d");
}

TEST(MakeVersion, TakesEverythingFromJobAndOutcome) {
  v1::TuningJob job;
  job.set_name("tuningJobs/j");
  job.mutable_spec()->set_base_model("models/tiny");
  job.mutable_snapshot()->set_num_rows(2);

  v1::PromptVersion version = MakeVersion(
      job, MakeSuccess("job", 1, "digest").succeeded(), {{"file", 7, "sha"}});

  EXPECT_EQ(version.tuning_job(), "tuningJobs/j");
  EXPECT_EQ(version.base_model(), "models/tiny");
  EXPECT_EQ(version.model_fingerprint(), "f1");
  EXPECT_EQ(version.artifact_digest(), "digest");
  EXPECT_EQ(version.snapshot().num_rows(), 2);
  EXPECT_EQ(version.task().template_(), "{{ text }} is");
  EXPECT_EQ(version.method().prompt_tuning().num_virtual_tokens(), 20);
  EXPECT_EQ(version.report().num_steps(), 100);
  ASSERT_EQ(version.files_size(), 1);
  EXPECT_EQ(version.files(0).name(), "file");
  EXPECT_EQ(version.files(0).size_bytes(), 7);
  EXPECT_EQ(version.files(0).sha256(), "sha");
}

}  // namespace
}  // namespace attune::server
