// Fencing: what an attempt may do that is no longer the current one. The
// workers here are calls of the private API.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "attune/worker/v1/control.grpc.pb.h"
#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::IsEmpty;

// A worker that only says it is one.
class FakeWorker {
 public:
  FakeWorker(const ServicePair& pair, const std::string& id)
      : stub_(worker::v1::WorkerControl::NewStub(pair.channel())) {
    state_.set_id(id);
    state_.set_instance_id(NewRequestId());
    state_.set_engine_address("127.0.0.1:1");
    v1::Model& model = *state_.add_models();
    model.set_name("models/tiny");
    model.set_fingerprint(Sha256Hex("tiny"));
    state_.set_accepts_jobs(true);
    state_.set_free_job_slots(1);
  }

  // Waits for a job; an empty assignment when none came in time.
  worker::v1::Assignment WaitForJob() {
    const absl::Time deadline = absl::Now() + kPatience;
    worker::v1::SynchronizeRequest request;
    *request.mutable_worker() = state_;
    request.mutable_wait_duration()->set_seconds(5);
    while (absl::Now() < deadline) {
      worker::v1::SynchronizeResponse response;
      const grpc::Status status =
          stub_->Synchronize(Context().get(), request, &response);
      EXPECT_TRUE(status.ok()) << FailureOf(status);
      if (!status.ok() || response.has_assignment()) {
        return response.assignment();
      }
    }
    return {};
  }

  worker::v1::AttemptDirective::Action Report(
      const worker::v1::Assignment& assignment) {
    worker::v1::SynchronizeRequest request;
    *request.mutable_worker() = state_;
    request.mutable_worker()->set_free_job_slots(0);
    worker::v1::AttemptState& attempt = *request.add_attempts();
    attempt.set_tuning_job(assignment.tuning_job().name());
    attempt.set_attempt(assignment.attempt());
    worker::v1::SynchronizeResponse response;
    const grpc::Status status =
        stub_->Synchronize(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << FailureOf(status);
    return response.directives_size() == 1
               ? response.directives(0).action()
               : worker::v1::AttemptDirective::ACTION_UNSPECIFIED;
  }

  grpc::Status Finish(worker::v1::FinishAttemptRequest request,
                      const worker::v1::Assignment& assignment) {
    request.set_tuning_job(assignment.tuning_job().name());
    request.set_attempt(assignment.attempt());
    worker::v1::FinishAttemptResponse response;
    return stub_->FinishAttempt(Context().get(), request, &response);
  }

  grpc::Status Upload(const worker::v1::Assignment& assignment,
                      const std::string& bytes, const std::string& sha256) {
    const auto context = Context();
    worker::v1::UploadArtifactResponse response;
    auto writer = stub_->UploadArtifact(context.get(), &response);
    worker::v1::UploadArtifactRequest message;
    message.mutable_header()->set_tuning_job(assignment.tuning_job().name());
    message.mutable_header()->set_attempt(assignment.attempt());
    writer->Write(message);
    message.mutable_file()->set_name("adapter_model.safetensors");
    message.mutable_file()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    message.mutable_file()->set_sha256(sha256);
    writer->Write(message);
    message.set_chunk(bytes);
    writer->Write(message);
    writer->WritesDone();
    return writer->Finish();
  }

  // Reads all rows.
  grpc::Status ReadRows(const worker::v1::Assignment& assignment,
                        int* num_rows) {
    const auto context = Context();
    worker::v1::ReadSnapshotRequest request;
    request.set_tuning_job(assignment.tuning_job().name());
    request.set_attempt(assignment.attempt());
    auto reader = stub_->ReadSnapshot(context.get(), request);
    worker::v1::ReadSnapshotResponse response;
    *num_rows = 0;
    while (reader->Read(&response)) *num_rows += response.rows_size();
    return reader->Finish();
  }

 private:
  static std::unique_ptr<grpc::ClientContext> Context() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return context;
  }

  const std::unique_ptr<worker::v1::WorkerControl::Stub> stub_;
  worker::v1::WorkerState state_;
};

class StaleAttempt : public ServiceTest {
 protected:
  void SetUp() override {
    ServicePair::Options options;
    options.start_worker = false;
    ASSERT_TRUE(Start(options));
  }

  // A complete report of a success with an artifact of this digest.
  static worker::v1::FinishAttemptRequest Success(
      const worker::v1::Assignment& assignment, const std::string& digest) {
    worker::v1::FinishAttemptRequest request;
    auto& succeeded = *request.mutable_succeeded();
    succeeded.set_artifact_digest(digest);
    succeeded.set_model_fingerprint(Sha256Hex("model"));
    *succeeded.mutable_resolved_spec() = assignment.tuning_job().spec();
    succeeded.mutable_report()->set_num_steps(1);
    return request;
  }

  static void ExpectLeaseLost(const grpc::Status& status) {
    const Failure failure = FailureOf(status);
    EXPECT_EQ(failure.code, grpc::StatusCode::FAILED_PRECONDITION) << failure;
    EXPECT_EQ(failure.reason, "LEASE_LOST");
  }
};

TEST_F(StaleAttempt, ChangesNothingOnceItsLeaseHasExpired) {
  const auto created = api().CreateJob(QuickReviewJob("fenced"));
  ASSERT_TRUE(created.ok()) << created.failure();
  FakeWorker silent(pair(), "silent");
  FakeWorker next(pair(), "next");
  const worker::v1::Assignment stale = silent.WaitForJob();
  ASSERT_EQ(stale.tuning_job().name(), created.value.name());

  // `silent` says no more, so its lease ends and `next` gets the job.
  const worker::v1::Assignment current = next.WaitForJob();

  ASSERT_EQ(current.tuning_job().name(), created.value.name());
  EXPECT_EQ(stale.attempt(), 1);
  EXPECT_EQ(current.attempt(), 2);
  EXPECT_EQ(silent.Report(stale), worker::v1::AttemptDirective::ACTION_ABANDON);
  worker::v1::FinishAttemptRequest failed;
  failed.mutable_failed()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
  failed.mutable_failed()->set_message("of the stale attempt");
  ExpectLeaseLost(silent.Finish(failed, stale));
  ExpectLeaseLost(silent.Finish(Success(stale, Sha256Hex("x")), stale));
  ExpectLeaseLost(silent.Upload(stale, "x", Sha256Hex("x")));
  int num_rows = 0;
  ExpectLeaseLost(silent.ReadRows(stale, &num_rows));
  EXPECT_EQ(num_rows, 0);

  EXPECT_EQ(next.Report(current),
            worker::v1::AttemptDirective::ACTION_CONTINUE);
  EXPECT_TRUE(next.ReadRows(current, &num_rows).ok());
  EXPECT_EQ(num_rows, 20);
  EXPECT_EQ(api().GetJob(created.value.name()).value.state(),
            v1::TuningJob::STATE_RUNNING);

  // A real worker finishes what the fake one gives back.
  worker::v1::FinishAttemptRequest released;
  released.mutable_released();
  ASSERT_TRUE(next.Finish(released, current).ok());
  ASSERT_TRUE(pair().StartWorker().ok());
  JobFollower follower = Follow(created.value);
  const auto end = follower.WaitForEnd(kPatience);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_SUCCEEDED);
  ExpectSoundEvents(follower.events());
  EXPECT_EQ(api().ListVersions("prompts/fenced").value.size(), 1u);
}

TEST_F(StaleAttempt, NewProcessOfTheSameWorkerVoidsTheOldOnesAttempt) {
  ASSERT_TRUE(api().CreateJob(QuickReviewJob("again")).ok());
  FakeWorker before(pair(), "worker");
  const worker::v1::Assignment stale = before.WaitForJob();
  FakeWorker after(pair(), "worker");

  const worker::v1::Assignment current = after.WaitForJob();

  EXPECT_EQ(current.attempt(), stale.attempt() + 1);
  worker::v1::FinishAttemptRequest released;
  released.mutable_released();
  ExpectLeaseLost(before.Finish(released, stale));
}

TEST_F(StaleAttempt, DamagedUploadIsRefusedAndStoresNothing) {
  ASSERT_TRUE(api().CreateJob(QuickReviewJob("damaged")).ok());
  FakeWorker fake(pair(), "fake");
  const worker::v1::Assignment assignment = fake.WaitForJob();

  const Failure damaged =
      FailureOf(fake.Upload(assignment, "bytes", Sha256Hex("other bytes")));
  const grpc::Status unfounded =
      fake.Finish(Success(assignment, Sha256Hex("nothing")), assignment);

  EXPECT_EQ(damaged.code, grpc::StatusCode::DATA_LOSS) << damaged;
  EXPECT_FALSE(unfounded.ok());
  EXPECT_EQ(api().GetPrompt("prompts/damaged").failure().code,
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(fake.Report(assignment),
            worker::v1::AttemptDirective::ACTION_CONTINUE);
}

TEST_F(StaleAttempt, RepeatedFinishIsAnsweredTheSame) {
  const auto created = api().CreateJob(QuickReviewJob("repeated"));
  FakeWorker fake(pair(), "fake");
  const worker::v1::Assignment assignment = fake.WaitForJob();
  worker::v1::FinishAttemptRequest failed;
  // An error without a reason would count as a loss, and the job go on.
  *failed.mutable_failed() =
      ToRpcStatus(MakeError(Reason::kInvalidData, "the rows are wrong"));

  const grpc::Status first = fake.Finish(failed, assignment);
  const grpc::Status second = fake.Finish(failed, assignment);

  EXPECT_TRUE(first.ok()) << FailureOf(first);
  EXPECT_TRUE(second.ok()) << FailureOf(second);
  JobFollower follower = Follow(created.value);
  const auto end = follower.WaitForEnd(kPatience);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_FAILED);
  EXPECT_EQ(end->error().message(), "the rows are wrong");
}

TEST_F(StaleAttempt, AttemptsThatAllDieFailTheJobForGood) {
  const auto created = api().CreateJob(QuickReviewJob("poison"));
  for (int i = 0; i < 3; ++i) {
    // A new process of the same worker: the old one's lease is void at once.
    FakeWorker dying(pair(), "dying");
    ASSERT_EQ(dying.WaitForJob().tuning_job().name(), created.value.name());
  }

  JobFollower follower = Follow(created.value);
  const auto end = follower.WaitForEnd(kPatience);

  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_FAILED);
  EXPECT_EQ(FailureOf(end->error()).reason, "ATTEMPTS_EXHAUSTED");
  ExpectSoundEvents(follower.events());
  EXPECT_THAT(api().ListVersions("prompts/poison").value, IsEmpty());
}

}  // namespace
}  // namespace attune::integration
