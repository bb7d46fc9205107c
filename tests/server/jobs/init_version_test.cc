#include "server/jobs/init_version.h"

#include <soci/soci.h>

#include <string>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/registry/prompt_registry.h"
#include "tests/testing/server_state.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class InitVersionOfJobTest : public testing::Test {
 protected:
  // Stores a version of prompts/source by `method`; its artifact's digest.
  std::string Add(const v1::TuningMethod& method) {
    const int job = ++num_jobs_;
    v1::PromptVersion version;
    version.set_base_model("models/tiny");
    version.set_artifact_digest(state_.StoreArtifact(Concat("tensors ", job)));
    *version.mutable_method() = method;
    EXPECT_OK(state_.database->Transact([&](soci::session& sql) {
      return state_.registry->AddVersion(sql, "source", Concat("job-", job), {},
                                         version);
    }));
    state_.registry->Refresh("source");
    return version.artifact_digest();
  }
  static v1::TuningMethod Rows(const std::string& init_version = "") {
    v1::TuningMethod method;
    method.mutable_prompt_tuning()->set_init_version(init_version);
    return method;
  }
  static v1::TuningMethod Prefix(const std::string& init_version = "") {
    v1::TuningMethod method;
    method.mutable_prefix_tuning()->set_init_version(init_version);
    return method;
  }
  absl::StatusOr<std::optional<v1::TuningMethod>> Pin(
      const v1::TuningMethod& method,
      const std::string& model = "models/tiny") {
    v1::TuningJobSpec spec;
    spec.set_base_model(model);
    *spec.mutable_method() = method;
    return PinInitVersion(*state_.registry, spec);
  }
  std::string ArtifactOf(const v1::TuningMethod& method) {
    std::string digest;
    EXPECT_OK(state_.database->Transact([&](soci::session& sql) {
      digest = FindInitArtifact(sql, method);
      return absl::OkStatus();
    }));
    return digest;
  }

  ServerState state_;
  int num_jobs_ = 0;
};

TEST_F(InitVersionOfJobTest, AnAliasBecomesANumberAndFindsItsArtifact) {
  Add(Rows());
  const std::string digest = Add(Rows());

  const auto pinned = Pin(Prefix("prompts/source@latest"));

  ASSERT_OK(pinned);
  ASSERT_TRUE(pinned->has_value());
  EXPECT_EQ(InitVersionOf(**pinned), "prompts/source/versions/2");
  EXPECT_EQ(ArtifactOf(**pinned), digest);
}

TEST_F(InitVersionOfJobTest, AMethodThatNamesNoneStartsOtherwise) {
  const auto pinned = Pin(Rows());

  ASSERT_OK(pinned);
  EXPECT_FALSE(pinned->has_value());
  EXPECT_EQ(ArtifactOf(Rows()), "");
}

TEST_F(InitVersionOfJobTest, NamesTheFieldOfWhatCannotBeStartedFrom) {
  v1::TuningMethod head;
  head.mutable_head();
  Add(Prefix());
  Add(head);

  EXPECT_THAT(
      Pin(Rows("prompts/none/versions/1")),
      ReasonIs(Reason::kResourceNotFound,
               HasSubstr("tuning_job.spec.method.prompt_tuning.init_version")));
  EXPECT_THAT(Pin(Rows("prompts/source/versions/1")),
              ReasonIs(Reason::kIllegalState, HasSubstr("cannot be turned")));
  EXPECT_THAT(Pin(Prefix("prompts/source/versions/2")),
              ReasonIs(Reason::kIllegalState, HasSubstr("neither rows nor")));
  EXPECT_THAT(
      Pin(Prefix("prompts/source/versions/1"), "models/other"),
      ReasonIs(Reason::kModelMismatch,
               AllOf(HasSubstr("models/tiny"), HasSubstr("models/other"))));
}

TEST_F(InitVersionOfJobTest, AVersionThatIsGoneHasNoArtifact) {
  EXPECT_EQ(ArtifactOf(Rows("prompts/source/versions/7")), "");
}

}  // namespace
}  // namespace attune::server
