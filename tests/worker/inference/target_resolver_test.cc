#include "worker/inference/target_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TargetResolverTest : public InferenceFixture {};

TEST_F(TargetResolverTest, TheBareBaseHasNoPrompt) {
  const auto target = resolver_.Resolve(Classification({"good", "bad"}));

  ASSERT_OK(target);
  EXPECT_EQ((*target)->attached(), nullptr);
  EXPECT_EQ((*target)->model->info.id, "tiny");
  EXPECT_THAT((*target)->program->labels(), ElementsAre("good", "bad"));
  EXPECT_THAT(resolver_.WarmArtifacts(), IsEmpty());
}

TEST_F(TargetResolverTest, AVersionBringsItsKeysAndValues) {
  const auto target =
      resolver_.Resolve(WithPrompt(Classification({"good", "bad"}), 1));

  ASSERT_OK(target);
  ASSERT_NE((*target)->attached(), nullptr);
  EXPECT_EQ((*target)->attached()->length(), 4);
  EXPECT_EQ((*target)->program->num_prompt_rows(), 4);
  EXPECT_EQ((*target)->prompt_version, "prompts/p1/versions/1");
}

TEST_F(TargetResolverTest, FetchesAndCompilesOnce) {
  const InferenceTarget wanted = WithPrompt(Classification({"good", "bad"}), 1);

  const auto first = resolver_.Resolve(wanted);
  const auto second = resolver_.Resolve(wanted);

  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_EQ(artifacts_.num_fetches(), 1);
  EXPECT_EQ((*first)->prompt, (*second)->prompt);
  EXPECT_EQ((*first)->program, (*second)->program);
  EXPECT_THAT(resolver_.WarmArtifacts(), ElementsAre(wanted.artifact_digest));
}

TEST_F(TargetResolverTest, OldProgramsMakeRoom) {
  TargetResolver resolver({.max_programs = 1}, models_, artifacts_,
                          inference_metrics_, clock_);
  const auto first = resolver.Resolve(Classification({"good", "bad"}));
  ASSERT_OK(resolver.Resolve(Classification({"yes", "no"})));

  const auto again = resolver.Resolve(Classification({"good", "bad"}));

  EXPECT_NE((*first)->program, (*again)->program);
}

TEST_F(TargetResolverTest, ProgramsShareABudgetOfBytes) {
  TargetResolver resolver({.max_program_bytes = 1}, models_, artifacts_,
                          inference_metrics_, clock_);
  const auto first = resolver.Resolve(Classification({"good", "bad"}));
  const auto same = resolver.Resolve(Classification({"good", "bad"}));
  ASSERT_OK(resolver.Resolve(Classification({"yes", "no"})));

  const auto again = resolver.Resolve(Classification({"good", "bad"}));

  // The newest stays whatever its size.
  EXPECT_EQ((*first)->program, (*same)->program);
  EXPECT_NE((*first)->program, (*again)->program);
}

// A classification that shows the nearest of two demonstrations, whose texts
// begin with `word`.
InferenceTarget NearestTarget(InferenceTarget target, const std::string& word) {
  for (const char* label : {"good", "bad"}) {
    attune::v1::Demonstration& one = *target.task.add_demonstrations();
    (*one.mutable_fields()->mutable_fields())["text"].set_string_value(
        absl::StrCat(word, " is ", label));
    one.set_answer(label);
  }
  target.task.set_num_nearest_demonstrations(1);
  return target;
}

TEST_F(TargetResolverTest, APoolThatIsNotSentComesFromTheArtifact) {
  InferenceTarget it =
      WithPrompt(NearestTarget(Classification({"good", "bad"}), "it"), 1);
  InferenceTarget that =
      WithPrompt(NearestTarget(Classification({"good", "bad"}), "that"), 1);
  it.task.clear_demonstrations();
  that.task.clear_demonstrations();

  const auto first = resolver_.Resolve(it);
  const auto second = resolver_.Resolve(that);
  const auto again = resolver_.Resolve(it);

  ASSERT_OK(first);
  ASSERT_OK(second);
  ASSERT_OK(again);
  EXPECT_EQ((*first)->program->task().demonstrations_size(), 2);
  EXPECT_EQ((*first)->program, (*again)->program);
  EXPECT_NE((*first)->program, (*second)->program);
  const TaskProgram& program = *(*second)->program;
  EXPECT_THAT(*program.model().tokenizer->Decode(
                  program.PrepareInput(R"({"text": "all is good"})", 1)->ids,
                  /*skip_special_tokens=*/false),
              HasSubstr("that is"));
}

TEST_F(TargetResolverTest, ABareBaseBringsItsPoolItself) {
  InferenceTarget target = NearestTarget(Classification({"good", "bad"}), "it");
  EXPECT_OK(resolver_.Resolve(target));

  target.task.clear_demonstrations();
  EXPECT_THAT(resolver_.Resolve(target),
              ReasonIs(Reason::kInvalidField,
                       HasSubstr("task.num_nearest_demonstrations")));
}

// Two models and room for one.
class TargetResolverMemoryTest : public InferenceFixture {
 protected:
  void SetUp() override {
    TinyLlamaOptions options;
    options.seed = 2;
    ASSERT_OK(WriteTinyLlama(directory_ / "other", options));
  }

  InferenceTarget OfOther(InferenceTarget target) {
    target.model = "models/other";
    return target;
  }

  ModelStore budgeted_{
      {.directory = directory_.path(),
       .max_loaded_bytes = models_.LoadedBytes(*models_.Info("tiny"))}};
  TargetResolver small_{{}, budgeted_, artifacts_, inference_metrics_, clock_};
};

TEST_F(TargetResolverMemoryTest, WhatIsKeptDoesNotKeepAModelInMemory) {
  const InferenceTarget tiny = WithPrompt(Classification({"good", "bad"}), 1);
  ASSERT_OK(small_.Resolve(tiny));
  ASSERT_OK(small_.Resolve(OfOther(Generation(1))));
  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("other"));

  // What was compiled belongs to a model that is gone; the prompt is still
  // good.
  const auto again = small_.Resolve(tiny);

  ASSERT_OK(again);
  EXPECT_THAT(budgeted_.LoadedIds(), ElementsAre("tiny"));
  EXPECT_EQ(&(*again)->program->model(), (*again)->model.get());
  EXPECT_EQ(artifacts_.num_fetches(), 1);
  EXPECT_OK((*again)->program->PrepareInput(R"({"text": "fine"})", 1));
}

TEST_F(TargetResolverMemoryTest, ARequestUnderWayKeepsItsModel) {
  auto target = small_.Resolve(Classification({"good", "bad"}));
  ASSERT_OK(target);
  // The program alone is enough.
  auto program = (*target)->program;
  target = absl::CancelledError("done with it");

  EXPECT_THAT(small_.Resolve(OfOther(Generation(1))),
              ReasonIs(Reason::kModelMemoryFull, HasSubstr("in use: tiny")));

  program.reset();
  EXPECT_OK(small_.Resolve(OfOther(Generation(1))));
}

TEST_F(TargetResolverTest, OtherWeightsAreRefusedWithBothFingerprints) {
  InferenceTarget target = Classification({"good", "bad"});
  target.model_fingerprint = "0123";
  target.prompt_version = "prompts/p/versions/7";

  EXPECT_THAT(resolver_.Resolve(target),
              ReasonIs(Reason::kModelMismatch,
                       AllOf(HasSubstr("0123"), HasSubstr("versions/7"),
                             HasSubstr(Model()->info.fingerprint))));
}

TEST_F(TargetResolverTest, AnUnknownModelIsNamed) {
  InferenceTarget target = Classification({"good", "bad"});
  target.model = "models/none";

  EXPECT_THAT(resolver_.Resolve(target),
              ReasonIs(Reason::kUnknownBaseModel, HasSubstr("none")));
}

TEST_F(TargetResolverTest, AMissingArtifactIsNotFound) {
  InferenceTarget target = Classification({"good", "bad"});
  target.artifact_digest = "none";

  EXPECT_THAT(resolver_.Resolve(target),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST_F(TargetResolverTest, ABrokenTemplateIsTheCallersError) {
  InferenceTarget target = Classification({"good", "bad"});
  target.task.set_template_("{{ text");

  EXPECT_THAT(resolver_.Resolve(target), ReasonIs(Reason::kInvalidTemplate, _));
}

}  // namespace
}  // namespace attune::worker
