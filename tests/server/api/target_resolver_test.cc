#include "server/api/target_resolver.h"

#include "server/registry/prompt_registry.h"
#include "tests/server/api/api_test.h"
#include "tests/testing/server_state.h"

namespace attune::server {
namespace {

class TargetResolverTest : public testing::Test {
 protected:
  void SetUp() override {
    state_.CreateJob("one");
    state_.TakeJob("w");
    ASSERT_OK(state_.Succeed("one", 1));
  }
  absl::StatusOr<worker::v1::EngineTarget> Resolve(const std::string& prompt) {
    v1::InferenceTarget target;
    target.set_prompt(prompt);
    return ResolveTarget(*state_.registry, target, "target");
  }

  ServerState state_;
};

TEST_F(TargetResolverTest, AliasesBecomeVersions) {
  const auto target = Resolve("prompts/intent@latest");

  ASSERT_OK(target);
  EXPECT_EQ(target->prompt_version(), "prompts/intent/versions/1");
  EXPECT_EQ(target->model(), "models/tiny");
  EXPECT_EQ(target->artifact_digest().size(), 64u);
}

TEST_F(TargetResolverTest, WrongTargetsAreRefused) {
  EXPECT_THAT(Resolve("prompts/intent/versions/2"),
              ReasonIs(Reason::kResourceNotFound, testing::_));
  EXPECT_THAT(Resolve("intent"),
              NamesField(Reason::kInvalidField, "target.prompt"));
  EXPECT_THAT(ResolveTarget(*state_.registry, {}, "target"),
              NamesField(Reason::kInvalidField, "target"));
}

TEST_F(TargetResolverTest, ABareBaseBringsItsTask) {
  v1::InferenceTarget target;
  target.mutable_base()->set_model("models/tiny");
  target.mutable_base()->mutable_task()->set_type(
      v1::TASK_TYPE_TEXT_CLASSIFICATION);
  target.mutable_base()->mutable_task()->set_template_("x");

  EXPECT_THAT(ResolveTarget(*state_.registry, target, "target"),
              NamesField(Reason::kInvalidField, "target.base.task.labels"));

  target.mutable_base()->mutable_task()->add_labels()->set_label("a");
  target.mutable_base()->mutable_task()->add_labels()->set_label("b");
  const auto resolved = ResolveTarget(*state_.registry, target, "target");

  ASSERT_OK(resolved);
  EXPECT_EQ(resolved->model(), "models/tiny");
  EXPECT_EQ(resolved->artifact_digest(), "");
}

TEST(NeedOf, NamesModelWeightsAndArtifact) {
  worker::v1::EngineTarget target;
  target.set_model("models/tiny");
  target.set_model_fingerprint("print");
  target.set_artifact_digest("digest");

  const Fleet::Need need = NeedOf(target);

  EXPECT_EQ(need.model, "models/tiny");
  EXPECT_EQ(need.fingerprint, "print");
  EXPECT_EQ(need.artifact_digest, "digest");
}

}  // namespace
}  // namespace attune::server
