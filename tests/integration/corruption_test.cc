// Damaged files: found before they are used, and never served.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/integration/sample_work.h"
#include "tests/integration/service_test.h"

namespace attune::integration {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kDataLoss = grpc::StatusCode::DATA_LOSS;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string WithFlippedBit(std::string bytes, size_t index) {
  bytes.at(index) = static_cast<char>(bytes.at(index) ^ 0x10);
  return bytes;
}

class CorruptArtifact : public ServiceTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Start({}));
    const v1::TuningJob job = MustSucceed(QuickReviewJob("damaged")).job;
    const auto version = api().GetVersion(job.prompt_version());
    ASSERT_TRUE(version.ok()) << version.failure();
    const std::string& digest = version.value.artifact_digest();
    folder_ = pair().state_directory() + "/artifacts/" + digest.substr(0, 2) +
              "/" + digest;
    ASSERT_TRUE(std::filesystem::is_directory(folder_)) << folder_;
  }

  std::string PathOf(const std::string& file) { return folder_ + "/" + file; }

  // That the version is neither downloaded nor served, and `file` is named;
  // and that all is well once the file is whole again.
  void ExpectRefused(const std::string& file, const std::string& damaged) {
    const std::string good = ReadFile(PathOf(file));
    // A worker that has the version in memory is right to go on with it.
    pair().KillWorker();
    WriteFile(PathOf(file), damaged);
    ASSERT_TRUE(pair().RestartServer().ok());
    ASSERT_TRUE(pair().StartWorker().ok());

    const Failure download = api().DownloadVersion("prompts/damaged").failure();
    EXPECT_EQ(download.code, kDataLoss) << download;
    EXPECT_EQ(download.reason, "CORRUPT_ARTIFACT");
    EXPECT_THAT(download.message, HasSubstr(file));
    const auto predicted = api().PredictWhenAvailable(
        ReviewRequest("prompts/damaged", {"a film"}));
    ASSERT_TRUE(predicted.ok()) << predicted.failure();
    const Failure item = FailureOf(predicted.value.results(0).error());
    EXPECT_EQ(item.code, kDataLoss) << item;
    EXPECT_EQ(item.reason, "CORRUPT_ARTIFACT");
    // Other prompts are served and made as before.
    MustSucceed(QuickReviewJob("whole"));
    EXPECT_TRUE(api().Predict(ReviewRequest("prompts/whole", {"a film"})).ok());

    WriteFile(PathOf(file), good);
    const auto mended =
        api().Predict(ReviewRequest("prompts/damaged", {"a film"}));
    ASSERT_TRUE(mended.ok()) << mended.failure();
    EXPECT_TRUE(mended.value.results(0).has_answer())
        << mended.value.ShortDebugString();
    EXPECT_THAT(api().DownloadVersion("prompts/damaged").value.wrong,
                IsEmpty());
  }

 private:
  std::string folder_;
};

TEST_F(CorruptArtifact, FlippedBitOfTheTensorsIsDataLoss) {
  const std::string bytes = ReadFile(PathOf("adapter_model.safetensors"));
  ASSERT_FALSE(bytes.empty());

  ExpectRefused("adapter_model.safetensors",
                WithFlippedBit(bytes, bytes.size() - 3));
}

TEST_F(CorruptArtifact, TruncatedTensorsAreDataLoss) {
  const std::string bytes = ReadFile(PathOf("adapter_model.safetensors"));

  ExpectRefused("adapter_model.safetensors", bytes.substr(0, bytes.size() / 2));
}

TEST_F(CorruptArtifact, FlippedBitOfTheManifestIsDataLoss) {
  const std::string bytes = ReadFile(PathOf("attune_manifest.json"));
  ASSERT_FALSE(bytes.empty());

  ExpectRefused("attune_manifest.json", WithFlippedBit(bytes, 20));
}

class CorruptModel : public ServiceTest {
 protected:
  void SetUp() override {
    ServicePair::Options options;
    options.tiny_models = {"tiny", "other"};
    ASSERT_TRUE(Start(options));
  }

  std::string WeightsPath() {
    return pair().models_directory() + "/other/model.safetensors";
  }

  v1::TuningJobSpec OtherJob() {
    v1::TuningJobSpec spec = QuickReviewJob("other");
    spec.set_base_model("models/other");
    return spec;
  }

  // That a job on the damaged model fails and names the file, and that the
  // other model is as good as before.
  void ExpectJobFails() {
    const auto finished = Run(OtherJob());

    ASSERT_TRUE(finished.ok()) << finished.status();
    EXPECT_EQ(finished->job.state(), v1::TuningJob::STATE_FAILED);
    const Failure failure = FailureOf(finished->job.error());
    EXPECT_EQ(failure.code, kDataLoss) << failure;
    EXPECT_EQ(failure.reason, "CORRUPT_MODEL");
    EXPECT_THAT(failure.message, HasSubstr("model.safetensors"));
    EXPECT_EQ(api().GetPrompt("prompts/other").failure().code,
              grpc::StatusCode::NOT_FOUND);
    MustSucceed(QuickReviewJob("whole"));
  }
};

TEST_F(CorruptModel, FlippedBitOfTheHeaderFailsTheJob) {
  // The worker knows the model but has not loaded it yet.
  WriteFile(WeightsPath(), WithFlippedBit(ReadFile(WeightsPath()), 9));

  ExpectJobFails();
}

TEST_F(CorruptModel, TruncatedWeightsFailTheJob) {
  const std::string bytes = ReadFile(WeightsPath());
  WriteFile(WeightsPath(), bytes.substr(0, bytes.size() - 100));

  ExpectJobFails();
}

TEST_F(CorruptModel, WorkerThatStartsWithADamagedModelDoesNotOfferIt) {
  pair().KillWorker();
  WriteFile(WeightsPath(), ReadFile(WeightsPath()).substr(0, 1000));
  ASSERT_TRUE(pair().RestartServer().ok());
  ASSERT_TRUE(pair().StartWorker().ok());

  const Failure refused = api().CreateJob(OtherJob()).failure();
  v1::ListModelsResponse models;
  ASSERT_TRUE(api()
                  .models()
                  .ListModels(api().NewContext().get(), v1::ListModelsRequest(),
                              &models)
                  .ok());

  EXPECT_EQ(refused.reason, "UNKNOWN_BASE_MODEL") << refused;
  EXPECT_THAT(models.models(), SizeIs(1));
  MustSucceed(QuickReviewJob("whole"));
}

TEST_F(CorruptModel, PromptIsNotServedWithOtherWeightsThanItsOwn) {
  MustSucceed(OtherJob());
  pair().KillWorker();
  const std::string bytes = ReadFile(WeightsPath());
  WriteFile(WeightsPath(), WithFlippedBit(bytes, bytes.size() - 5));
  ASSERT_TRUE(pair().RestartServer().ok());
  ASSERT_TRUE(pair().StartWorker().ok());

  const auto predicted =
      api().PredictWhenAvailable(ReviewRequest("prompts/other", {"a film"}));

  ASSERT_TRUE(predicted.ok()) << predicted.failure();
  const Failure item = FailureOf(predicted.value.results(0).error());
  EXPECT_EQ(item.code, grpc::StatusCode::FAILED_PRECONDITION) << item;
  EXPECT_EQ(item.reason, "MODEL_MISMATCH");
}

class CorruptState : public ServiceTest {};

TEST_F(CorruptState, SecondServerOnTheSameStateIsRefused) {
  ServicePair::Options options;
  options.start_worker = false;
  ASSERT_TRUE(Start(options));

  const auto second =
      RunProgram({ProgramPath("attune-server"), "--listen", "127.0.0.1:0",
                  "--metrics-listen", "127.0.0.1:0", "--state-dir",
                  pair().state_directory()},
                 {}, pair().directory(), kPatience);

  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(second->exit_code, 0);
  EXPECT_THAT(second->output + second->error_output,
              HasSubstr(pair().state_directory()));
  EXPECT_TRUE(api().CreateDataset("still-there").ok());
}

}  // namespace
}  // namespace attune::integration
