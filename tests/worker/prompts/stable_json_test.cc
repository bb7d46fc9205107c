#include "worker/prompts/stable_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "attune/v1/report.pb.h"
#include "attune/worker/v1/manifest.pb.h"
#include "google/protobuf/util/message_differencer.h"

namespace attune::worker {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

attune::v1::EvaluationReport ReportOf(const std::vector<std::string>& names) {
  attune::v1::EvaluationReport report;
  for (const std::string& name : names) (*report.mutable_metrics())[name] = 0.5;
  return report;
}

TEST(StableJson, DoesNotDependOnTheOrderOfMapEntries) {
  const auto forwards = ReportOf({"a", "b", "c", "d", "e", "f"});
  const auto backwards = ReportOf({"f", "e", "d", "c", "b", "a"});

  EXPECT_EQ(*ToStableJson(forwards), *ToStableJson(backwards));
  EXPECT_EQ(StableBytes(forwards), StableBytes(backwards));
}

TEST(StableJson, ReadsBackWhatItWrote) {
  v1::PromptManifest manifest;
  manifest.set_format_version(1);
  manifest.set_base_model("models/x");
  *manifest.mutable_report()->mutable_after() = ReportOf({"accuracy"});
  manifest.mutable_report()->mutable_after()->set_loss(0.1234567890123456789);
  manifest.mutable_report()->set_num_trained_tokens(int64_t{1} << 60);

  v1::PromptManifest again;
  ASSERT_TRUE(FromStrictJson(*ToStableJson(manifest), again).ok());

  EXPECT_TRUE(MessageDifferencer::Equals(manifest, again));
}

TEST(StableJson, RefusesUnknownFields) {
  v1::PromptManifest manifest;

  const absl::Status status =
      FromStrictJson(R"({"baseModel": "models/x", "colour": 1})", manifest);

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("colour"));
}

TEST(StableJson, RefusesWhatIsNoJson) {
  v1::PromptManifest manifest;

  EXPECT_THAT(FromStrictJson("{\"baseModel\"", manifest).ToString(),
              HasSubstr("PromptManifest"));
}

}  // namespace
}  // namespace attune::worker
