#include "worker/agent/model_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"
#include "tests/testing/tiny_llama.h"

namespace attune::worker {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class ModelReportTest : public testing::Test {
 protected:
  TempDirectory directory_;
  FakeClock clock_;
  ModelStore models_{{.directory = directory_.path()}};
  ModelReport report_{models_, "w", clock_};
};

TEST_F(ModelReportTest, DescribesAModelAndItsHolder) {
  ASSERT_OK(WriteTinyLlama(directory_ / "tiny"));

  const std::vector<attune::v1::Model> models = report_.Make();

  ASSERT_THAT(models, SizeIs(1));
  const auto info = models_.Info("tiny");
  ASSERT_OK(info);
  EXPECT_EQ(models[0].name(), "models/tiny");
  EXPECT_EQ(models[0].family(), "llama");
  EXPECT_EQ(models[0].kind(), attune::v1::MODEL_KIND_CAUSAL);
  EXPECT_EQ(models[0].fingerprint(), info->fingerprint);
  EXPECT_EQ(models[0].context_length(), info->config.context_length);
  EXPECT_EQ(models[0].vocabulary_size(), info->config.vocab_size);
  EXPECT_EQ(models[0].num_parameters(), info->num_parameters);
  EXPECT_EQ(models[0].holders(0).worker(), "w");
  EXPECT_EQ(models[0].holders(0).device(), "cpu");
  EXPECT_EQ(models[0].holders(0).dtype(), "fp32");
  EXPECT_FALSE(models[0].holders(0).loaded());
  EXPECT_EQ(models[0].holders(0).memory_bytes(), 4 * info->num_parameters);
}

TEST_F(ModelReportTest, NamesTheKindOfAModel) {
  const std::filesystem::path golden = "tests/golden/architectures";
  for (const char* id : {"bert", "t5"}) {
    std::filesystem::copy(golden / id, directory_ / id);
  }

  const std::vector<attune::v1::Model> models = report_.Make();

  ASSERT_THAT(models, SizeIs(2));
  EXPECT_EQ(models[0].family(), "bert");
  EXPECT_EQ(models[0].kind(), attune::v1::MODEL_KIND_ENCODER);
  EXPECT_EQ(models[1].family(), "t5");
  EXPECT_EQ(models[1].kind(), attune::v1::MODEL_KIND_ENCODER_DECODER);
}

TEST_F(ModelReportTest, MemoryIsThatOfTheNumberFormat) {
  ASSERT_OK(WriteTinyLlama(directory_ / "tiny"));
  ModelStore models({.directory = directory_.path(), .dtype = c10::kBFloat16});
  ModelReport report(models, "w", clock_);

  const attune::v1::Model model = report.Make().at(0);

  EXPECT_EQ(model.holders(0).dtype(), "bf16");
  EXPECT_EQ(model.holders(0).memory_bytes(), 2 * model.num_parameters());
}

TEST_F(ModelReportTest, AModelThatMadeRoomIsNotLoadedAnyMore) {
  ASSERT_OK(WriteTinyLlama(directory_ / "one"));
  ASSERT_OK(WriteTinyLlama(directory_ / "two"));
  const int64_t bytes = models_.LoadedBytes(*models_.Info("one"));
  ModelStore models(
      {.directory = directory_.path(), .max_loaded_bytes = bytes});
  ModelReport report(models, "w", clock_);
  ASSERT_OK(models.Load("one"));
  ASSERT_OK(models.Load("two"));

  const std::vector<attune::v1::Model> reported = report.Make();

  ASSERT_THAT(reported, SizeIs(2));
  EXPECT_FALSE(reported[0].holders(0).loaded());
  EXPECT_TRUE(reported[1].holders(0).loaded());
}

TEST_F(ModelReportTest, SaysWhenAModelIsLoaded) {
  ASSERT_OK(WriteTinyLlama(directory_ / "tiny"));
  ASSERT_OK(models_.Load("tiny"));

  EXPECT_TRUE(report_.Make().at(0).holders(0).loaded());
}

TEST_F(ModelReportTest, FindsNewModelsFromTimeToTime) {
  EXPECT_THAT(report_.Make(), IsEmpty());
  ASSERT_OK(WriteTinyLlama(directory_ / "tiny"));
  EXPECT_THAT(report_.Make(), IsEmpty());

  clock_.Advance(absl::Seconds(30));

  EXPECT_THAT(report_.Make(), SizeIs(1));
}

}  // namespace
}  // namespace attune::worker
