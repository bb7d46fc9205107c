#include "server/api/prompt_service.h"

#include <string>

#include "attune/v1/prompt_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using PromptsStub = v1::PromptService::Stub;

class PromptServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    MakeVersion(server_.channel(), worker_, "one", "prompts/intent");
    MakeVersion(server_.channel(), worker_, "two", "prompts/intent");
  }
  absl::StatusOr<v1::Prompt> SetAlias(const std::string& alias,
                                      const std::string& version) {
    v1::SetAliasRequest request;
    request.set_prompt("prompts/intent");
    request.set_alias(alias);
    request.set_version(version);
    return Call(*stub_, &PromptsStub::SetAlias, request);
  }
  absl::Status DeleteVersion(const std::string& name) {
    return Call(*stub_, &PromptsStub::DeletePromptVersion,
                Named<v1::DeletePromptVersionRequest>(name))
        .status();
  }

  InProcessServer server_;
  FakeWorker worker_{server_.channel(), "w"};
  std::unique_ptr<PromptsStub> stub_ =
      v1::PromptService::NewStub(server_.channel());
};

TEST_F(PromptServiceTest, ShowsPromptsAndVersions) {
  const auto prompt = Call(*stub_, &PromptsStub::GetPrompt,
                           Named<v1::GetPromptRequest>("prompts/intent"));
  const auto prompts =
      Call(*stub_, &PromptsStub::ListPrompts, v1::ListPromptsRequest());
  const auto newest =
      Call(*stub_, &PromptsStub::GetPromptVersion,
           Named<v1::GetPromptVersionRequest>("prompts/intent@latest"));
  v1::ListPromptVersionsRequest request;
  request.set_parent("prompts/intent");
  const auto versions = Call(*stub_, &PromptsStub::ListPromptVersions, request);

  ASSERT_OK(prompt);
  EXPECT_EQ(prompt->num_versions(), 2);
  ASSERT_OK(prompts);
  EXPECT_EQ(prompts->prompts_size(), 1);
  ASSERT_OK(newest);
  EXPECT_EQ(newest->name(), "prompts/intent/versions/2");
  EXPECT_EQ(newest->model_fingerprint(), "print");
  EXPECT_EQ(newest->tuning_job(), "tuningJobs/two");
  ASSERT_OK(versions);
  EXPECT_EQ(versions->prompt_versions_size(), 2);
}

TEST_F(PromptServiceTest, AliasesMoveAndProtectVersions) {
  const std::string first = "prompts/intent/versions/1";
  ASSERT_OK(SetAlias("prod", first));

  EXPECT_THAT(DeleteVersion(first),
              ReasonIs(Reason::kResourceInUse, testing::_));
  const auto moved = SetAlias("prod", "prompts/intent@latest");
  ASSERT_OK(moved);
  EXPECT_EQ(moved->aliases().at("prod"), 2);
  EXPECT_OK(DeleteVersion(first));
  v1::DeleteAliasRequest remove;
  remove.set_prompt("prompts/intent");
  remove.set_alias("prod");
  const auto removed = Call(*stub_, &PromptsStub::DeleteAlias, remove);
  ASSERT_OK(removed);
  EXPECT_EQ(removed->aliases().count("prod"), 0u);
}

TEST_F(PromptServiceTest, WrongNamesAndAliasesAreRefused) {
  EXPECT_THAT(SetAlias("latest", "prompts/intent/versions/1"),
              NamesField(Reason::kInvalidField, "alias"));
  EXPECT_THAT(SetAlias("Prod", "prompts/intent/versions/1"),
              NamesField(Reason::kInvalidField, "alias"));
  EXPECT_THAT(SetAlias("prod", "prompts/intent/versions/0"),
              NamesField(Reason::kInvalidField, "version"));
  EXPECT_THAT(SetAlias("prod", "prompts/intent/versions/9"),
              ReasonIs(Reason::kResourceNotFound, testing::_));
  EXPECT_THAT(DeleteVersion("prompts/intent@latest"),
              NamesField(Reason::kInvalidField, "name"));
  EXPECT_THAT(Call(*stub_, &PromptsStub::GetPrompt,
                   Named<v1::GetPromptRequest>("intent")),
              NamesField(Reason::kInvalidField, "name"));
}

TEST_F(PromptServiceTest, APromptWithVersionsIsDeletedOnlyByForce) {
  auto request = Named<v1::DeletePromptRequest>("prompts/intent");

  EXPECT_THAT(Call(*stub_, &PromptsStub::DeletePrompt, request),
              ReasonIs(Reason::kIllegalState, testing::_));
  request.set_force(true);
  EXPECT_OK(Call(*stub_, &PromptsStub::DeletePrompt, request));
}

TEST_F(PromptServiceTest, WhatIsNotServedSaysSo) {
  v1::InspectPromptVersionRequest inspect;
  grpc::ClientContext context;
  SetDeadline(context);
  v1::PromptVersion version;
  const auto writer = stub_->ImportPromptVersion(&context, &version);
  writer->WritesDone();

  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              ReasonIs(Reason::kMethodNotServed, testing::_));
  EXPECT_THAT(Call(*stub_, &PromptsStub::InspectPromptVersion, inspect),
              ReasonIs(Reason::kMethodNotServed, testing::_));
}

}  // namespace
}  // namespace attune::server
