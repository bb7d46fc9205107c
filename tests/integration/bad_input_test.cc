// Bad input, line by line: each has its own status that names the field, or a
// FAILED job with a reason, and leaves nothing half-done behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kInvalidArgument = grpc::StatusCode::INVALID_ARGUMENT;
constexpr int kFailedPrecondition = grpc::StatusCode::FAILED_PRECONDITION;
constexpr int kResourceExhausted = grpc::StatusCode::RESOURCE_EXHAUSTED;

class BadInput : public ServiceTest {
 protected:
  static void SetUpTestSuite() { StartForSuite({}); }

  void TearDown() override {
    ExpectNothingHalfDone();
    ServiceTest::TearDown();
  }

  // What submitting `spec` leads to: the refusal of the call, or the error of
  // the FAILED job.
  Failure Submit(const v1::TuningJobSpec& spec) {
    const auto created = api().CreateJob(spec);
    if (!created.ok()) return created.failure();
    JobFollower follower = Follow(created.value);
    const auto end = follower.WaitForEnd(kPatience);
    if (!end.ok()) return {0, "", std::string(end.status().message()), {}};
    EXPECT_EQ(end->state(), v1::TuningJob::STATE_FAILED);
    ExpectSoundEvents(follower.events());
    const v1::TuningJob job = api().GetJob(created.value.name()).value;
    EXPECT_EQ(job.prompt_version(), "");
    EXPECT_FALSE(job.has_report());
    return FailureOf(job.error());
  }

  // That no prompt came of it, that lists agree, and that the service works.
  void ExpectNothingHalfDone() {
    EXPECT_EQ(api().GetPrompt("prompts/bad").failure().code,
              grpc::StatusCode::NOT_FOUND);
    const auto jobs = api().ListJobs("prompt = \"prompts/bad\"");
    ASSERT_TRUE(jobs.ok()) << jobs.failure();
    for (const v1::TuningJob& job : jobs.value) {
      EXPECT_EQ(job.state(), v1::TuningJob::STATE_FAILED) << job.name();
    }
    EXPECT_THAT(api().ListJobs("state = \"QUEUED\"").value, IsEmpty());
    EXPECT_THAT(api().ListJobs("state = \"RUNNING\"").value, IsEmpty());
    const v1::TuningJob good = MustSucceed(QuickReviewJob("good")).job;
    EXPECT_NE(good.prompt_version(), "");
  }
};

TEST_F(BadInput, UnknownBaseModelIsNamed) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.set_base_model("models/no-such-model");

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kFailedPrecondition) << failure;
  EXPECT_EQ(failure.reason, "UNKNOWN_BASE_MODEL");
  EXPECT_THAT(failure.message, HasSubstr("no-such-model"));
}

TEST_F(BadInput, TemplateSyntaxErrorFailsWithItsPlace) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_task()->set_template_("Review: {{ text \nSentiment:");

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_TEMPLATE");
  EXPECT_THAT(failure.message, HasSubstr("line"));
}

TEST_F(BadInput, TemplateFieldThatNoRowHasIsNamed) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_task()->set_template_("Review: {{ body }}\nSentiment:");

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.reason, AnyOf("INVALID_TEMPLATE", "INVALID_DATA"));
  EXPECT_THAT(failure.message, HasSubstr("body"));
}

TEST_F(BadInput, LabelThatIsNoneOfTheLabelWordsIsNamed) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  *spec.mutable_data()->mutable_inline_()->add_rows() =
      MakeStruct({{"text", "so so"}, {"label", "lukewarm"}});

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_DATA");
  EXPECT_THAT(failure.message, HasSubstr("lukewarm"));
}

TEST_F(BadInput, RowWithoutAnAnswerIsNamed) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  *spec.mutable_data()->mutable_inline_()->add_rows() =
      MakeStruct({{"text", "so so"}});

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_DATA");
  EXPECT_THAT(failure.message, HasSubstr("label"));
}

TEST_F(BadInput, NoInlineRowsAreRefused) {
  v1::TuningJobSpec spec = QuickReviewJob("bad", /*num_rows=*/0);
  spec.mutable_data()->mutable_inline_();

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.fields, ElementsAre("tuning_job.spec.data.inline.rows"));
}

TEST_F(BadInput, EmptyDatasetIsRefused) {
  ASSERT_TRUE(api().CreateDataset("empty").ok());
  v1::TuningJobSpec spec = QuickReviewJob("bad", /*num_rows=*/0);
  spec.mutable_data()->set_dataset("datasets/empty");

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kFailedPrecondition) << failure;
  EXPECT_EQ(failure.reason, "ILLEGAL_STATE");
  EXPECT_THAT(failure.message, HasSubstr("datasets/empty"));
}

TEST_F(BadInput, DatasetThatDoesNotExistIsNamed) {
  v1::TuningJobSpec spec = QuickReviewJob("bad", /*num_rows=*/0);
  spec.mutable_data()->set_dataset("datasets/nowhere");

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, grpc::StatusCode::NOT_FOUND) << failure;
  EXPECT_EQ(failure.reason, "RESOURCE_NOT_FOUND");
  EXPECT_THAT(failure.message, HasSubstr("datasets/nowhere"));
}

TEST_F(BadInput, OneClassDataIsRefused) {
  v1::TuningJobSpec spec = QuickReviewJob("bad", /*num_rows=*/0);
  spec.mutable_task()->clear_labels();
  for (int i = 0; i < 20; i += 2) {
    *spec.mutable_data()->mutable_inline_()->add_rows() = ReviewRow(i);
  }

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_DATA");
  EXPECT_THAT(failure.message, HasSubstr("label"));
}

TEST_F(BadInput, OneClassDataIsRefusedWithLabelsGivenToo) {
  v1::TuningJobSpec spec = QuickReviewJob("bad", /*num_rows=*/0);
  for (int i = 0; i < 20; i += 2) {
    *spec.mutable_data()->mutable_inline_()->add_rows() = ReviewRow(i);
  }

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_DATA");
}

TEST_F(BadInput, NanLearningRateIsRefused) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_training()->mutable_learning_rate()->set_value(
      std::numeric_limits<double>::quiet_NaN());

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_FIELD");
  EXPECT_THAT(failure.fields,
              ElementsAre("tuning_job.spec.training.learning_rate"));
}

TEST_F(BadInput, EveryWrongFieldIsNamedAtOnce) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_training()->set_weight_decay(-1);
  spec.mutable_training()->set_max_steps(-5);
  spec.set_base_model("tiny");

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.fields, ::testing::UnorderedElementsAre(
                                  "tuning_job.spec.base_model",
                                  "tuning_job.spec.training.max_steps",
                                  "tuning_job.spec.training.weight_decay"));
}

TEST_F(BadInput, TooFewOrTooManyVirtualTokensAreRefused) {
  for (const int wrong : {-1, 0, 1025}) {
    v1::TuningJobSpec spec = QuickReviewJob("bad");
    spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(
        wrong);

    const Failure failure = Submit(spec);

    EXPECT_EQ(failure.code, kInvalidArgument) << failure;
    EXPECT_THAT(
        failure.fields,
        ElementsAre("tuning_job.spec.method.prompt_tuning.num_virtual_tokens"));
  }
}

TEST_F(BadInput, NoNumberOfVirtualTokensMeansTheDefault) {
  v1::TuningJobSpec spec = QuickReviewJob("default");
  spec.mutable_method()->mutable_prompt_tuning()->clear_num_virtual_tokens();

  const v1::TuningJob job = MustSucceed(spec).job;

  EXPECT_EQ(job.resolved_spec().method().prompt_tuning().num_virtual_tokens(),
            20);
}

TEST_F(BadInput, PromptThatFillsTheContextIsRefused) {
  v1::GetModelRequest request;
  request.set_name("models/tiny");
  v1::Model model;
  ASSERT_TRUE(
      api().models().GetModel(api().NewContext().get(), request, &model).ok());
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(
      static_cast<int>(std::min<int64_t>(model.context_length(), 1024)));

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.message, HasSubstr("num_virtual_tokens"));
  EXPECT_THAT(failure.message, HasSubstr(absl::StrCat(model.context_length())));
}

TEST_F(BadInput, RowThatIsTooLongIsRefusedWhereNothingMayBeCut) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_task()->mutable_truncation()->set_side(
      v1::TRUNCATION_SIDE_REFUSE);
  *spec.mutable_data()->mutable_inline_()->add_rows() =
      MakeStruct({{"text", std::string(20000, 'a')}, {"label", "positive"}});

  const Failure failure = Submit(spec);

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INPUT_TOO_LONG");
}

TEST_F(BadInput, InputLongerThanTheContextIsCutAndSaysSo) {
  MustSucceed(QuickReviewJob("cut"));

  const auto predicted = api().Predict(
      ReviewRequest("prompts/cut", {std::string(20000, 'a'), "short"}));

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  EXPECT_TRUE(predicted.value.results(0).has_answer());
  EXPECT_TRUE(predicted.value.results(0).truncated());
  EXPECT_FALSE(predicted.value.results(1).truncated());
}

TEST_F(BadInput, RowOverTheSizeLimitIsRefusedWithItsIndex) {
  ASSERT_TRUE(api().CreateDataset("large-row").ok());
  const std::string large = absl::StrCat(
      R"({"label": "x", "text": ")", std::string(256 * 1024 + 1, 'a'), "\"}");

  const Failure failure =
      api().Append("large-row", {ReviewRowJson(0), large}).failure();

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.fields, ElementsAre("rows[1]"));
  EXPECT_EQ(api().GetDataset("large-row").value.num_rows(), 0);
}

TEST_F(BadInput, UploadedRowOverTheSizeLimitIsRefusedWithItsLine) {
  ASSERT_TRUE(api().CreateDataset("large-line").ok());
  const std::string file =
      absl::StrCat(ReviewJsonLines(0, 3), R"({"text": ")",
                   std::string(256 * 1024 + 1, 'a'), "\"}\n");

  const Failure failure = api().Upload("large-line", file).failure();

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_DATA");
  EXPECT_THAT(failure.message, HasSubstr("line 4"));
  EXPECT_EQ(api().GetDataset("large-line").value.num_rows(), 0);
}

TEST_F(BadInput, InvalidUtf8IsRefusedWithItsLine) {
  ASSERT_TRUE(api().CreateDataset("latin").ok());
  const std::string file =
      absl::StrCat(ReviewJsonLines(0, 2), "{\"text\": \"caf\xe9\"}\n");

  const Failure failure = api().Upload("latin", file).failure();

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_DATA");
  EXPECT_THAT(failure.message, HasSubstr("line 3"));
  EXPECT_THAT(failure.message, HasSubstr("UTF-8"));
  EXPECT_EQ(api().GetDataset("latin").value.num_rows(), 0);
}

TEST_F(BadInput, InvalidUtf8InARequestNeverReachesTheService) {
  v1::TuningJobSpec spec = QuickReviewJob("bad");
  spec.mutable_task()->set_template_("caf\xe9 {{ text }}");

  const auto created = api().CreateJob(spec);

  EXPECT_FALSE(created.ok());
  EXPECT_THAT(
      api().ListJobs("prompt = \"prompts/bad\" AND state = \"QUEUED\"").value,
      IsEmpty());
}

TEST_F(BadInput, LineThatIsNoJsonIsRefusedWithItsNumber) {
  ASSERT_TRUE(api().CreateDataset("broken").ok());

  const Failure failure =
      api().Upload("broken", "{\"text\": \"a\"}\n\n{\"text\": \n").failure();

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.message, HasSubstr("line 3"));
  EXPECT_EQ(api().GetDataset("broken").value.num_rows(), 0);
}

TEST_F(BadInput, WrongPageTokensAreRefused) {
  for (const std::string token : {"nonsense", "AAAA", "\n"}) {
    v1::ListTuningJobsRequest jobs;
    jobs.set_page_token(token);
    v1::ListTuningJobsResponse job_page;
    const Failure job_failure = FailureOf(api().tuning().ListTuningJobs(
        api().NewContext().get(), jobs, &job_page));
    v1::ListDatasetsRequest datasets;
    datasets.set_page_token(token);
    v1::ListDatasetsResponse dataset_page;
    const Failure dataset_failure = FailureOf(api().datasets().ListDatasets(
        api().NewContext().get(), datasets, &dataset_page));
    v1::ListPromptsRequest prompts;
    prompts.set_page_token(token);
    v1::ListPromptsResponse prompt_page;
    const Failure prompt_failure = FailureOf(api().prompts().ListPrompts(
        api().NewContext().get(), prompts, &prompt_page));
    v1::ListModelsRequest models;
    models.set_page_token(token);
    v1::ListModelsResponse model_page;
    const Failure model_failure = FailureOf(api().models().ListModels(
        api().NewContext().get(), models, &model_page));

    for (const Failure& failure :
         {job_failure, dataset_failure, prompt_failure, model_failure}) {
      EXPECT_EQ(failure.code, kInvalidArgument) << failure;
      EXPECT_EQ(failure.reason, "INVALID_PAGE_TOKEN");
    }
  }
}

TEST_F(BadInput, PageTokenOfAnotherFilterIsRefused) {
  MustSucceed(QuickReviewJob("page"));
  MustSucceed(QuickReviewJob("page"));
  v1::ListTuningJobsRequest request;
  request.set_page_size(1);
  request.set_filter("state = \"SUCCEEDED\"");
  v1::ListTuningJobsResponse response;
  ASSERT_TRUE(api()
                  .tuning()
                  .ListTuningJobs(api().NewContext().get(), request, &response)
                  .ok());
  ASSERT_NE(response.next_page_token(), "");

  request.set_page_token(response.next_page_token());
  request.set_filter("state = \"FAILED\"");
  const Failure failure = FailureOf(api().tuning().ListTuningJobs(
      api().NewContext().get(), request, &response));

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_EQ(failure.reason, "INVALID_PAGE_TOKEN");
}

TEST_F(BadInput, WrongFilterIsRefused) {
  for (const std::string filter :
       {"state", "colour = \"red\"", "state = \"SLEEPING\"",
        "state = \"QUEUED\" OR"}) {
    const Failure failure = api().ListJobs(filter).failure();
    EXPECT_EQ(failure.code, kInvalidArgument) << filter << ": " << failure;
    EXPECT_EQ(failure.reason, "INVALID_FILTER") << filter;
  }
}

TEST_F(BadInput, WatchBeyondTheNewestEventIsRefused) {
  const v1::TuningJob job = MustSucceed(QuickReviewJob("future")).job;
  v1::WatchTuningJobRequest request;
  request.set_name(job.name());
  request.set_after_sequence(job.last_sequence() + 1);
  auto context = api().NewContext();
  v1::WatchTuningJobResponse response;
  auto reader = api().tuning().WatchTuningJob(context.get(), request);
  while (reader->Read(&response)) {
  }

  const Failure failure = FailureOf(reader->Finish());

  EXPECT_EQ(failure.code, kInvalidArgument) << failure;
  EXPECT_THAT(failure.fields, ElementsAre("after_sequence"));
}

TEST_F(BadInput, WhatThisReleaseDoesNotKnowIsRefusedByName) {
  v1::TuningJobSpec placed = QuickReviewJob("bad");
  placed.mutable_task()->set_prompt_placement(
      static_cast<v1::PromptPlacement>(77));

  const Failure failure = Submit(placed);

  EXPECT_EQ(failure.code, grpc::StatusCode::UNIMPLEMENTED) << failure;
  EXPECT_EQ(failure.reason, "UNSUPPORTED_FIELD");
  EXPECT_THAT(failure.fields,
              ElementsAre("tuning_job.spec.task.prompt_placement"));
}

// Servers of their own.
class FullQueue : public ServiceTest {};

TEST_F(FullQueue, JobBeyondTheLimitIsRefusedUntilThereIsRoom) {
  ServicePair::Options options;
  options.start_worker = false;
  options.server_flags = {"--max-queued-jobs", "2"};
  ASSERT_TRUE(Start(options));
  const auto first = api().CreateJob(QuickReviewJob("one"));
  ASSERT_TRUE(first.ok()) << first.failure();
  ASSERT_TRUE(api().CreateJob(QuickReviewJob("two")).ok());

  const Failure full = api().CreateJob(QuickReviewJob("three")).failure();
  const size_t stored = api().ListJobs().value.size();
  ASSERT_TRUE(api().CancelJob(first.value.name()).ok());
  const bool room = api().CreateJob(QuickReviewJob("three")).ok();

  EXPECT_EQ(full.code, kResourceExhausted) << full;
  EXPECT_EQ(full.reason, "QUEUE_FULL");
  EXPECT_THAT(full.message, HasSubstr("2"));
  EXPECT_EQ(stored, 2u);
  EXPECT_TRUE(room);
}

}  // namespace
}  // namespace attune::integration
