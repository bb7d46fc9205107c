// The way of a job: data, job, version, alias, and what may be removed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class JobWay : public ServiceTest {
 protected:
  static void SetUpTestSuite() { StartForSuite({}); }

  // Deletes and returns the answer.
  Result<google::protobuf::Empty> DeletePrompt(const std::string& name,
                                               bool force) {
    v1::DeletePromptRequest request;
    request.set_name(name);
    request.set_force(force);
    Result<google::protobuf::Empty> result;
    result.status = api().prompts().DeletePrompt(api().NewContext().get(),
                                                 request, &result.value);
    return result;
  }
  Result<google::protobuf::Empty> DeleteVersion(const std::string& name) {
    v1::DeletePromptVersionRequest request;
    request.set_name(name);
    Result<google::protobuf::Empty> result;
    result.status = api().prompts().DeletePromptVersion(
        api().NewContext().get(), request, &result.value);
    return result;
  }
  Result<google::protobuf::Empty> DeleteDataset(const std::string& id) {
    v1::DeleteDatasetRequest request;
    request.set_name("datasets/" + id);
    Result<google::protobuf::Empty> result;
    result.status = api().datasets().DeleteDataset(api().NewContext().get(),
                                                   request, &result.value);
    return result;
  }
};

TEST_F(JobWay, UploadedRowsBecomeAPromotedVersionThatAnswers) {
  ASSERT_TRUE(api().CreateDataset("reviews").ok());
  const Result<v1::Dataset> uploaded =
      api().Upload("reviews", ReviewJsonLines(0, 40), "", /*chunk_bytes=*/37);
  ASSERT_TRUE(uploaded.ok()) << uploaded.failure();
  EXPECT_EQ(uploaded.value.num_rows(), 40);
  v1::TuningJobSpec spec = QuickReviewJob("way", /*num_rows=*/0);
  spec.mutable_data()->set_dataset("datasets/reviews");

  const v1::TuningJob job = MustSucceed(spec).job;

  EXPECT_EQ(job.prompt_version(), "prompts/way/versions/1");
  EXPECT_EQ(job.attempt(), 1);
  EXPECT_EQ(job.snapshot().num_rows(), 40);
  EXPECT_EQ(job.snapshot().digest(), uploaded.value.digest());
  EXPECT_EQ(job.report().num_steps(), 4);
  EXPECT_EQ(job.report().split_counts().train(), 32);
  EXPECT_EQ(job.report().split_counts().test(), 4);
  EXPECT_EQ(job.report().before().num_rows(), 4);
  EXPECT_EQ(job.report().after().num_rows(), 4);
  EXPECT_EQ(job.report().after().metrics().count("accuracy"), 1u);
  EXPECT_GT(job.resolved_spec().training().learning_rate().value(), 0);

  const Result<v1::Prompt> prompt = api().GetPrompt("prompts/way");
  ASSERT_TRUE(prompt.ok()) << prompt.failure();
  EXPECT_THAT(prompt.value.aliases(), ElementsAre(Pair("latest", 1)));

  std::vector<std::string> answers;
  for (const std::string name :
       {"prompts/way", "prompts/way@latest", "prompts/way/versions/1"}) {
    const Result<v1::PredictResponse> predicted =
        api().Predict(ReviewRequest(name, {"a fine film", "a bad film"}));
    ASSERT_TRUE(predicted.ok()) << name << ": " << predicted.failure();
    ASSERT_EQ(predicted.value.results_size(), 2);
    EXPECT_EQ(predicted.value.results(0).prompt_version(),
              "prompts/way/versions/1");
    answers.push_back(predicted.value.results(0).ShortDebugString());
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);

  const Result<v1::Prompt> promoted =
      api().SetAlias("prompts/way", "prod", "prompts/way@latest");
  ASSERT_TRUE(promoted.ok()) << promoted.failure();
  EXPECT_THAT(promoted.value.aliases(),
              UnorderedElementsAre(Pair("latest", 1), Pair("prod", 1)));
  EXPECT_TRUE(
      api().Predict(ReviewRequest("prompts/way@prod", {"a film"})).ok());
}

TEST_F(JobWay, DownloadedFilesHaveTheirDigests) {
  const v1::TuningJob job = MustSucceed(QuickReviewJob("download")).job;

  const Result<v1::PromptVersion> version =
      api().GetVersion(job.prompt_version());
  const Result<Download> download = api().DownloadVersion("prompts/download");

  ASSERT_TRUE(version.ok()) << version.failure();
  ASSERT_TRUE(download.ok()) << download.failure();
  EXPECT_THAT(download.value.wrong, IsEmpty());
  EXPECT_THAT(
      download.value.files,
      ElementsAre(
          Pair("adapter_config.json", HasSubstr("PROMPT_TUNING")),
          Pair("adapter_model.safetensors", HasSubstr("prompt_embeddings")),
          Pair("attune_manifest.json", HasSubstr("models/tiny")),
          Pair("events.out.tfevents.attune", HasSubstr("training/loss"))));
  EXPECT_EQ(version.value.files_size(), 4);
  EXPECT_GT(version.value.report().series_size(), 0);
  EXPECT_EQ(version.value.tuning_job(), job.name());
  EXPECT_EQ(version.value.base_model(), "models/tiny");
  EXPECT_EQ(version.value.model_fingerprint().size(), 64u);
}

TEST_F(JobWay, SecondJobMakesTheNextVersionAndMovesLatest) {
  MustSucceed(QuickReviewJob("twice"));
  v1::TuningJobSpec again = QuickReviewJob("twice");
  again.mutable_training()->set_seed(7);
  again.add_aliases("candidate");

  const v1::TuningJob second = MustSucceed(again).job;

  EXPECT_EQ(second.prompt_version(), "prompts/twice/versions/2");
  const Result<v1::Prompt> prompt = api().GetPrompt("prompts/twice");
  ASSERT_TRUE(prompt.ok());
  EXPECT_THAT(prompt.value.aliases(),
              UnorderedElementsAre(Pair("latest", 2), Pair("candidate", 2)));
  EXPECT_EQ(prompt.value.num_versions(), 2);
  const auto versions = api().ListVersions("prompts/twice", /*page_size=*/1);
  ASSERT_TRUE(versions.ok()) << versions.failure();
  ASSERT_EQ(versions.value.size(), 2u);
  EXPECT_EQ(versions.value[0].name(), "prompts/twice/versions/2");
  EXPECT_EQ(versions.value[1].name(), "prompts/twice/versions/1");
  EXPECT_NE(versions.value[0].artifact_digest(),
            versions.value[1].artifact_digest());
}

TEST_F(JobWay, VersionWithAnAliasStaysAndItsNumberIsNeverUsedAgain) {
  MustSucceed(QuickReviewJob("rules"));
  ASSERT_TRUE(
      api().SetAlias("prompts/rules", "prod", "prompts/rules/versions/1").ok());

  const Failure held = DeleteVersion("prompts/rules/versions/1").failure();
  EXPECT_EQ(held.code, grpc::StatusCode::FAILED_PRECONDITION) << held;
  EXPECT_THAT(held.message, HasSubstr("prod"));

  v1::DeleteAliasRequest unalias;
  unalias.set_prompt("prompts/rules");
  unalias.set_alias("prod");
  v1::Prompt prompt;
  ASSERT_TRUE(api()
                  .prompts()
                  .DeleteAlias(api().NewContext().get(), unalias, &prompt)
                  .ok());
  EXPECT_TRUE(DeleteVersion("prompts/rules/versions/1").ok());
  EXPECT_EQ(api().GetVersion("prompts/rules/versions/1").failure().code,
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(MustSucceed(QuickReviewJob("rules")).job.prompt_version(),
            "prompts/rules/versions/2");
}

TEST_F(JobWay, PromptWithVersionsIsRemovedByForceOnly) {
  MustSucceed(QuickReviewJob("heavy"));

  const Failure kept = DeletePrompt("prompts/heavy", /*force=*/false).failure();
  const bool removed = DeletePrompt("prompts/heavy", /*force=*/true).ok();

  EXPECT_EQ(kept.code, grpc::StatusCode::FAILED_PRECONDITION) << kept;
  EXPECT_TRUE(removed);
  EXPECT_EQ(api().GetPrompt("prompts/heavy").failure().code,
            grpc::StatusCode::NOT_FOUND);
  const auto answer = api().Predict(ReviewRequest("prompts/heavy", {"a film"}));
  ASSERT_TRUE(answer.ok()) << answer.failure();
  EXPECT_EQ(answer.value.results(0).error().reason(), "RESOURCE_NOT_FOUND");
}

TEST_F(JobWay, RowsAppendedLaterDoNotChangeTheJob) {
  ASSERT_TRUE(api().CreateDataset("growing").ok());
  ASSERT_TRUE(api().Upload("growing", ReviewJsonLines(0, 20)).ok());
  v1::TuningJobSpec spec = QuickReviewJob("growing", /*num_rows=*/0);
  spec.mutable_data()->set_dataset("datasets/growing");
  v1::TuningJobSpec first = LongReviewJob("growing-first", 2000);

  // The first job keeps the worker busy while rows are appended.
  const auto blocker = api().CreateJob(first);
  const auto pinned = api().CreateJob(spec);
  ASSERT_TRUE(blocker.ok() && pinned.ok()) << pinned.failure();
  const auto grown = api().Append("growing", {ReviewRowJson(20)});
  const Failure in_use = DeleteDataset("growing").failure();
  ASSERT_TRUE(api().CancelJob(blocker.value.name()).ok());
  JobFollower follower = Follow(pinned.value);
  ASSERT_TRUE(follower.WaitForEnd(kPatience).ok());

  ASSERT_TRUE(grown.ok()) << grown.failure();
  EXPECT_EQ(grown.value.num_rows(), 21);
  EXPECT_EQ(in_use.code, grpc::StatusCode::FAILED_PRECONDITION) << in_use;
  EXPECT_EQ(in_use.reason, "RESOURCE_IN_USE");
  const v1::TuningJob job = api().GetJob(pinned.value.name()).value;
  EXPECT_EQ(job.snapshot().num_rows(), 20);
  const v1::SplitCounts& counts = job.report().split_counts();
  EXPECT_EQ(counts.train() + counts.validation() + counts.test(), 20);
  EXPECT_TRUE(DeleteDataset("growing").ok());
}

TEST_F(JobWay, CancelledJobStopsAndRetryGoesOn) {
  const auto created = api().CreateJob(LongReviewJob("stopped", 2000));
  ASSERT_TRUE(created.ok()) << created.failure();
  JobFollower follower = Follow(created.value);
  ASSERT_TRUE(
      follower.WaitForState(v1::TuningJob::STATE_RUNNING, kPatience).ok());

  const auto cancelled = api().CancelJob(created.value.name());
  const auto end = follower.WaitForEnd(kPatience);

  ASSERT_TRUE(cancelled.ok()) << cancelled.failure();
  EXPECT_THAT(cancelled.value.state(), AnyOf(v1::TuningJob::STATE_CANCELLING,
                                             v1::TuningJob::STATE_CANCELLED));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->state(), v1::TuningJob::STATE_CANCELLED);
  EXPECT_EQ(api().GetPrompt("prompts/stopped").failure().code,
            grpc::StatusCode::NOT_FOUND);

  v1::RetryTuningJobRequest retry;
  retry.set_name(created.value.name());
  v1::TuningJob job;
  ASSERT_TRUE(api()
                  .tuning()
                  .RetryTuningJob(api().NewContext().get(), retry, &job)
                  .ok());
  const auto success =
      follower.WaitForState(v1::TuningJob::STATE_SUCCEEDED, kPatience);
  ASSERT_TRUE(success.ok()) << success.status();
  EXPECT_EQ(api().GetJob(job.name()).value.prompt_version(),
            "prompts/stopped/versions/1");
}

TEST_F(JobWay, SameRequestIdMakesOneJob) {
  const std::string request_id = NewRequestId();
  const v1::TuningJobSpec spec = QuickReviewJob("once");

  const auto first = api().CreateJob(spec, "", request_id);
  const auto second = api().CreateJob(spec, "", request_id);
  const auto other = api().CreateJob(QuickReviewJob("else"), "", request_id);

  ASSERT_TRUE(first.ok() && second.ok()) << second.failure();
  EXPECT_EQ(first.value.name(), second.value.name());
  EXPECT_EQ(first.value.uid(), second.value.uid());
  EXPECT_EQ(other.failure().reason, "REQUEST_ID_REUSED") << other.failure();
  JobFollower follower = Follow(first.value);
  ASSERT_TRUE(follower.WaitForEnd(kPatience).ok());
  EXPECT_EQ(api().ListVersions("prompts/once").value.size(), 1u);
}

TEST_F(JobWay, ListFindsEveryJobOnceAndFilters) {
  for (int i = 0; i < 3; ++i) MustSucceed(QuickReviewJob("listed"));

  const auto all = api().ListJobs("", /*page_size=*/2);
  const auto filtered = api().ListJobs(
      "state = \"SUCCEEDED\" AND prompt = \"prompts/listed\"", 2);

  ASSERT_TRUE(all.ok()) << all.failure();
  ASSERT_TRUE(filtered.ok()) << filtered.failure();
  EXPECT_EQ(filtered.value.size(), 3u);
  std::vector<std::string> names;
  for (const v1::TuningJob& job : all.value) names.push_back(job.name());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
}

TEST_F(JobWay, WatchResumesAfterTheSequenceItIsGiven) {
  const FinishedJob finished = MustSucceed(QuickReviewJob("watched"));
  const int64_t last = finished.job.last_sequence();
  ASSERT_GE(last, 3);

  v1::WatchTuningJobRequest request;
  request.set_name(finished.job.name());
  request.set_after_sequence(last - 1);
  auto context = api().NewContext();
  auto reader = api().tuning().WatchTuningJob(context.get(), request);
  std::vector<int64_t> sequences;
  v1::WatchTuningJobResponse response;
  while (reader->Read(&response)) {
    if (response.has_event()) sequences.push_back(response.event().sequence());
  }

  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(sequences, ElementsAre(last));
  EXPECT_EQ(finished.events.size(), static_cast<size_t>(last));
}

}  // namespace
}  // namespace attune::integration
