#include "server/api/tuning_service.h"

#include <string>

#include "attune/v1/prompt_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using TuningStub = v1::TuningService::Stub;

class TuningServiceTest : public testing::Test {
 protected:
  absl::StatusOr<v1::TuningJob> Create(
      const v1::CreateTuningJobRequest& request) {
    return Call(*stub_, &TuningStub::CreateTuningJob, request);
  }

  InProcessServer server_;
  std::unique_ptr<TuningStub> stub_ =
      v1::TuningService::NewStub(server_.channel());
};

TEST_F(TuningServiceTest, ACreatedJobIsQueuedAndCanBeReadBack) {
  const auto created = Create(SoundCreateRequest("one"));

  ASSERT_OK(created);
  EXPECT_EQ(created->name(), "tuningJobs/one");
  EXPECT_EQ(created->state(), v1::TuningJob::STATE_QUEUED);
  EXPECT_EQ(created->snapshot().num_rows(), 4);
  const auto read = Call(*stub_, &TuningStub::GetTuningJob,
                         Named<v1::GetTuningJobRequest>("tuningJobs/one"));
  ASSERT_OK(read);
  EXPECT_EQ(read->uid(), created->uid());
}

TEST_F(TuningServiceTest, WrongFieldsComeBackOverTheWire) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  request.mutable_tuning_job()->mutable_spec()->set_prompt("x");

  EXPECT_THAT(Create(request),
              NamesField(Reason::kInvalidField, "tuning_job.spec.prompt"));
}

TEST_F(TuningServiceTest, WhatIsNotServedComesBackAsUnimplemented) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  request.mutable_tuning_job()
      ->mutable_spec()
      ->mutable_task()
      ->set_prompt_placement(static_cast<v1::PromptPlacement>(77));

  const auto created = Create(request);

  EXPECT_THAT(created, NamesField(Reason::kUnsupportedField,
                                  "tuning_job.spec.task.prompt_placement"));
  EXPECT_EQ(created.status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(TuningServiceTest, AWrongRowIsNamed) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  auto* rows = request.mutable_tuning_job()
                   ->mutable_spec()
                   ->mutable_data()
                   ->mutable_inline_()
                   ->mutable_rows();
  (*rows->Mutable(2)->mutable_fields())["split"].set_string_value("middle");

  EXPECT_THAT(Create(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                        testing::HasSubstr("rows[2]")));
}

TEST_F(TuningServiceTest, AMissingDatasetIsNotFound) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  request.mutable_tuning_job()->mutable_spec()->mutable_data()->set_dataset(
      "datasets/none");

  EXPECT_THAT(Create(request), ReasonIs(Reason::kResourceNotFound, testing::_));
}

TEST_F(TuningServiceTest, ValidateOnlyStoresNothing) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  request.set_validate_only(true);

  ASSERT_OK(Create(request));
  EXPECT_THAT(Call(*stub_, &TuningStub::GetTuningJob,
                   Named<v1::GetTuningJobRequest>("tuningJobs/one")),
              ReasonIs(Reason::kResourceNotFound, testing::_));
}

TEST_F(TuningServiceTest, TheSameRequestIdGivesTheSameJob) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("");
  request.set_request_id("0d4f7a0e-2a52-4f1e-8f3b-6f2a3c1d0001");
  const auto first = Create(request);
  const auto second = Create(request);
  request.mutable_tuning_job()->set_display_name("another");

  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_EQ(first->name(), second->name());
  EXPECT_THAT(Create(request), ReasonIs(Reason::kRequestIdReused, testing::_));
}

TEST_F(TuningServiceTest, AnUnknownModelIsRefusedOnlyWhileWorkersLive) {
  v1::CreateTuningJobRequest request = SoundCreateRequest("one");
  request.mutable_tuning_job()->mutable_spec()->set_base_model("models/other");
  request.set_validate_only(true);

  EXPECT_OK(Create(request));

  FakeWorker worker(server_.channel(), "w");
  worker.Synchronize();

  EXPECT_THAT(Create(request), ReasonIs(Reason::kUnknownBaseModel,
                                        testing::HasSubstr("models/other")));
}

constexpr char kInitVersion[] =
    "tuning_job.spec.method.prompt_tuning.init_version";

// A request for a job whose rows start as those of `version`.
v1::CreateTuningJobRequest RequestFrom(const std::string& id,
                                       const std::string& version) {
  v1::CreateTuningJobRequest request = SoundCreateRequest(id);
  request.mutable_tuning_job()
      ->mutable_spec()
      ->mutable_method()
      ->mutable_prompt_tuning()
      ->set_init_version(version);
  return request;
}

class InitVersionTest : public TuningServiceTest {
 protected:
  // Makes the next version of prompts/source by `method` and returns its job.
  v1::TuningJob MakeSource(const std::string& id,
                           const v1::TuningMethod& method) {
    v1::CreateTuningJobRequest request = SoundCreateRequest(id);
    v1::TuningJobSpec& spec = *request.mutable_tuning_job()->mutable_spec();
    spec.set_prompt("prompts/source");
    *spec.mutable_method() = method;
    EXPECT_OK(Create(request));
    return worker_.CompleteNextJob({{{"weights", "tensors of " + id}}});
  }
  static v1::TuningMethod Prompt() {
    v1::TuningMethod method;
    method.mutable_prompt_tuning();
    return method;
  }
  static v1::TuningMethod Prefix() {
    v1::TuningMethod method;
    method.mutable_prefix_tuning();
    return method;
  }

  FakeWorker worker_{server_.channel(), "w"};
};

TEST_F(InitVersionTest, AnAliasBecomesTheVersionThatItStandsFor) {
  MakeSource("first", Prompt());
  const auto created = Create(RequestFrom("one", "prompts/source@latest"));
  ASSERT_OK(created);

  const worker::v1::Assignment work = worker_.Synchronize().assignment();

  EXPECT_EQ(created->spec().method().prompt_tuning().init_version(),
            "prompts/source/versions/1");
  EXPECT_EQ(work.tuning_job().spec().method().prompt_tuning().init_version(),
            "prompts/source/versions/1");
  EXPECT_EQ(work.init_artifact_digest(),
            ArtifactDigest(Artifact{{{"weights", "tensors of first"}}}));
}

TEST_F(InitVersionTest, TheSameRequestIdGivesTheSameJobAfterTheAliasMoved) {
  MakeSource("first", Prompt());
  v1::CreateTuningJobRequest request =
      RequestFrom("one", "prompts/source@latest");
  request.set_request_id("0d4f7a0e-2a52-4f1e-8f3b-6f2a3c1d0002");
  ASSERT_OK(Create(request));
  worker_.CompleteNextJob({{{"weights", "tensors of one"}}});
  MakeSource("second", Prompt());

  const auto again = Create(request);

  ASSERT_OK(again);
  EXPECT_EQ(again->spec().method().prompt_tuning().init_version(),
            "prompts/source/versions/1");
}

TEST_F(InitVersionTest, TheNewVersionSaysWhereItWentOnFrom) {
  MakeSource("first", Prompt());
  ASSERT_OK(Create(RequestFrom("one", "prompts/source")));
  const v1::TuningJob job =
      worker_.CompleteNextJob({{{"weights", "tensors of one"}}});
  const auto prompts = v1::PromptService::NewStub(server_.channel());

  const auto version =
      Call(*prompts, &v1::PromptService::Stub::GetPromptVersion,
           Named<v1::GetPromptVersionRequest>(job.prompt_version()));

  ASSERT_OK(version);
  EXPECT_EQ(version->parent_version(), "prompts/source/versions/1");
}

TEST_F(InitVersionTest, AVersionThatIsNotThereIsNotFound) {
  MakeSource("first", Prompt());

  for (const char* name : {"prompts/source/versions/2", "prompts/source@prod",
                           "prompts/none/versions/1"}) {
    EXPECT_THAT(
        Create(RequestFrom("one", name)),
        ReasonIs(Reason::kResourceNotFound, testing::HasSubstr(kInitVersion)));
  }
}

TEST_F(InitVersionTest, AVersionOfAnotherModelIsRefused) {
  MakeSource("first", Prompt());
  FakeWorker other(server_.channel(), "o", "models/other");
  other.Synchronize();
  v1::CreateTuningJobRequest request =
      RequestFrom("one", "prompts/source/versions/1");
  request.mutable_tuning_job()->mutable_spec()->set_base_model("models/other");

  EXPECT_THAT(Create(request), ReasonIs(Reason::kModelMismatch,
                                        testing::HasSubstr(kInitVersion)));
}

TEST_F(InitVersionTest, APrefixGivesAPrefixButNoRows) {
  MakeSource("first", Prefix());
  v1::CreateTuningJobRequest prefix = SoundCreateRequest("prefix");
  prefix.mutable_tuning_job()
      ->mutable_spec()
      ->mutable_method()
      ->mutable_prefix_tuning()
      ->set_init_version("prompts/source/versions/1");

  EXPECT_OK(Create(prefix));
  EXPECT_THAT(
      Create(RequestFrom("rows", "prompts/source/versions/1")),
      ReasonIs(Reason::kIllegalState, testing::HasSubstr("cannot be turned")));
}

TEST_F(InitVersionTest, AVersionThatIsGoneHasNoArtifactToStartFrom) {
  MakeSource("first", Prompt());
  MakeSource("second", Prompt());
  ASSERT_OK(Create(RequestFrom("one", "prompts/source/versions/1")));
  const auto prompts = v1::PromptService::NewStub(server_.channel());
  ASSERT_OK(
      Call(*prompts, &v1::PromptService::Stub::DeletePromptVersion,
           Named<v1::DeletePromptVersionRequest>("prompts/source/versions/1")));

  const worker::v1::Assignment work = worker_.Synchronize().assignment();

  EXPECT_EQ(work.tuning_job().name(), "tuningJobs/one");
  EXPECT_EQ(work.init_artifact_digest(), "");
}

TEST_F(TuningServiceTest, ListsInPages) {
  for (const char* id : {"a", "b", "c"}) {
    ASSERT_OK(Create(SoundCreateRequest(id)));
  }
  v1::ListTuningJobsRequest request;
  request.set_page_size(2);
  const auto first = Call(*stub_, &TuningStub::ListTuningJobs, request);
  ASSERT_OK(first);
  request.set_page_token(first->next_page_token());
  const auto second = Call(*stub_, &TuningStub::ListTuningJobs, request);
  ASSERT_OK(second);
  request.set_page_token("wrong");

  ASSERT_EQ(first->tuning_jobs_size(), 2);
  EXPECT_EQ(first->tuning_jobs(0).name(), "tuningJobs/c");
  ASSERT_EQ(second->tuning_jobs_size(), 1);
  EXPECT_EQ(second->tuning_jobs(0).name(), "tuningJobs/a");
  EXPECT_EQ(second->next_page_token(), "");
  EXPECT_THAT(Call(*stub_, &TuningStub::ListTuningJobs, request),
              ReasonIs(Reason::kInvalidPageToken, testing::_));
}

TEST_F(TuningServiceTest, CancelRetryAndDeleteFollowTheStates) {
  ASSERT_OK(Create(SoundCreateRequest("one")));
  const std::string name = "tuningJobs/one";

  EXPECT_THAT(Call(*stub_, &TuningStub::DeleteTuningJob,
                   Named<v1::DeleteTuningJobRequest>(name)),
              ReasonIs(Reason::kIllegalState, testing::_));
  const auto cancelled = Call(*stub_, &TuningStub::CancelTuningJob,
                              Named<v1::CancelTuningJobRequest>(name));
  ASSERT_OK(cancelled);
  EXPECT_EQ(cancelled->state(), v1::TuningJob::STATE_CANCELLED);
  const auto retried = Call(*stub_, &TuningStub::RetryTuningJob,
                            Named<v1::RetryTuningJobRequest>(name));
  ASSERT_OK(retried);
  EXPECT_EQ(retried->state(), v1::TuningJob::STATE_QUEUED);
  ASSERT_OK(Call(*stub_, &TuningStub::CancelTuningJob,
                 Named<v1::CancelTuningJobRequest>(name)));
  EXPECT_OK(Call(*stub_, &TuningStub::DeleteTuningJob,
                 Named<v1::DeleteTuningJobRequest>(name)));
}

TEST_F(TuningServiceTest, NamesAreChecked) {
  const std::string wrong = "jobs/one";
  const auto names = NamesField(Reason::kInvalidField, "name");

  EXPECT_THAT(Call(*stub_, &TuningStub::GetTuningJob,
                   Named<v1::GetTuningJobRequest>(wrong)),
              names);
  EXPECT_THAT(Call(*stub_, &TuningStub::CancelTuningJob,
                   Named<v1::CancelTuningJobRequest>(wrong)),
              names);
  EXPECT_THAT(Call(*stub_, &TuningStub::RetryTuningJob,
                   Named<v1::RetryTuningJobRequest>(wrong)),
              names);
  EXPECT_THAT(Call(*stub_, &TuningStub::DeleteTuningJob,
                   Named<v1::DeleteTuningJobRequest>(wrong)),
              names);
}

}  // namespace
}  // namespace attune::server
