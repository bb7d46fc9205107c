#include "client/commands/message_file.h"

#include <cmath>

#include "attune/v1/tuning_service.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

absl::StatusOr<v1::TuningJob> Parse(std::string_view text) {
  const auto document = ParseDocument(text, "f");
  if (!document.ok()) return document.status();
  v1::TuningJob job;
  const absl::Status status = FillMessage(*document, "f", job);
  if (!status.ok()) return status;
  return job;
}

std::string ErrorOf(std::string_view text) {
  return std::string(Parse(text).status().message());
}

TEST(FillMessage, TakesBothSpellings) {
  const auto job = Parse(
      "display_name: One\n"
      "spec:\n"
      "  baseModel: models/m\n"
      "  training: {max_steps: 5, batchSize: 2}\n");

  ASSERT_OK(job);
  EXPECT_EQ(job->display_name(), "One");
  EXPECT_EQ(job->spec().base_model(), "models/m");
  EXPECT_EQ(job->spec().training().max_steps(), 5);
  EXPECT_EQ(job->spec().training().batch_size(), 2);
}

TEST(FillMessage, KnowsEnumsDurationsAndWrappers) {
  const auto job = Parse(
      "spec:\n"
      "  task: {type: TASK_TYPE_TEXT_CLASSIFICATION}\n"
      "  training:\n"
      "    max_duration: 90s\n"
      "    learning_rate: 3e-2\n"
      "    warmup_steps: 0\n");

  ASSERT_OK(job);
  EXPECT_EQ(job->spec().task().type(), v1::TASK_TYPE_TEXT_CLASSIFICATION);
  const v1::TrainingConfig& training = job->spec().training();
  EXPECT_EQ(training.max_duration().seconds(), 90);
  EXPECT_DOUBLE_EQ(training.learning_rate().value(), 0.03);
  EXPECT_TRUE(training.has_warmup_steps());
}

TEST(FillMessage, LeavesWhatNumbersMeanToTheServer) {
  const auto job = Parse("spec: {training: {learning_rate: .nan}}");

  ASSERT_OK(job);
  EXPECT_TRUE(std::isnan(job->spec().training().learning_rate().value()));
}

TEST(FillMessage, KeepsEveryDigitOfASeed) {
  const auto job = Parse("spec: {data: {split_seed: 18446744073709551615}}");

  ASSERT_OK(job);
  EXPECT_EQ(job->spec().data().split_seed(), 18446744073709551615u);
}

TEST(FillMessage, AYamlWordIsTextWhereTextIsWanted) {
  const auto job = Parse("display_name: 2024\nannotations: {team: 7}\n");

  ASSERT_OK(job);
  EXPECT_EQ(job->display_name(), "2024");
  EXPECT_EQ(job->annotations().at("team"), "7");
}

TEST(FillMessage, AJsonNumberIsNotText) {
  EXPECT_EQ(ErrorOf("{\"display_name\": 2024}"),
            "f:1: display_name: must be a string: put it in quotes");
}

TEST(FillMessage, AFreeRowIsWhatYamlSays) {
  const auto job = Parse(
      "spec:\n"
      "  data:\n"
      "    inline:\n"
      "      rows:\n"
      "        - {a: yes, b: 1.5, c: true, d: '7', e: null, f: 1.2.3}\n"
      "        - {list: [1, x], map: {k: v}}\n");

  ASSERT_OK(job);
  const auto& rows = job->spec().data().inline_().rows();
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0].fields().at("a").string_value(), "yes");
  EXPECT_EQ(rows[0].fields().at("b").number_value(), 1.5);
  EXPECT_TRUE(rows[0].fields().at("c").bool_value());
  EXPECT_EQ(rows[0].fields().at("d").string_value(), "7");
  EXPECT_TRUE(rows[0].fields().at("e").has_null_value());
  EXPECT_EQ(rows[0].fields().at("f").string_value(), "1.2.3");
  EXPECT_EQ(rows[1].fields().at("list").list_value().values_size(), 2);
  EXPECT_EQ(
      rows[1].fields().at("map").struct_value().fields().at("k").string_value(),
      "v");
}

TEST(FillMessage, NullMeansNotSet) {
  const auto job = Parse("display_name: ~\nspec: null\n");

  ASSERT_OK(job);
  EXPECT_FALSE(job->has_spec());
}

TEST(FillMessage, NamesAnUnknownFieldItsLineAndTheRightOne) {
  EXPECT_EQ(ErrorOf("spec:\n  training:\n    learnin_rate: 1\n"),
            "f:3: spec.training.learnin_rate: unknown field (did you mean "
            "'learning_rate'?)");
  EXPECT_THAT(ErrorOf("{\"spec\": {\n\"zzzzzzzzzzzz\": 1}}"),
              StartsWith("f:2: spec.zzzzzzzzzzzz: unknown field (there are: "
                         "prompt, base_model, data,"));
}

TEST(FillMessage, RefusesAFieldInBothSpellings) {
  EXPECT_EQ(ErrorOf("display_name: a\ndisplayName: b\n"),
            "f:2: displayName: comes twice");
}

TEST(FillMessage, NamesTheLineOfAValueThatDoesNotFit) {
  EXPECT_EQ(ErrorOf("spec:\n  training:\n    max_steps: many\n"),
            "f:3: spec.training.max_steps: invalid value \"many\" for type "
            "TYPE_INT32");
  EXPECT_THAT(ErrorOf("spec:\n  training: {batch_size: 1,\n"
                      "    max_steps: 99999999999}\n"),
              StartsWith("f:3: spec.training.max_steps: invalid value"));
  EXPECT_THAT(ErrorOf("spec:\n  training: {max_duration: 5 hours}\n"),
              StartsWith("f:2: spec.training.max_duration: "));
}

TEST(FillMessage, ListsWhatAnEnumMayBe) {
  EXPECT_THAT(ErrorOf("spec: {task: {type: CLASSIFICATION}}"),
              StartsWith("f:1: spec.task.type: 'CLASSIFICATION' is not one of "
                         "TASK_TYPE_TEXT_CLASSIFICATION, "));
}

TEST(FillMessage, RefusesTheWrongShape) {
  EXPECT_EQ(ErrorOf("spec: 5"), "f:1: spec: must have fields of its own");
  EXPECT_EQ(ErrorOf("spec: {aliases: prod}"),
            "f:1: spec.aliases: must be a list");
  EXPECT_EQ(ErrorOf("display_name: [a]"),
            "f:1: display_name: must be one value");
  EXPECT_EQ(ErrorOf("annotations: [a]"),
            "f:1: annotations: must have keys and values");
  EXPECT_EQ(ErrorOf("spec: {evaluation: {skip_baseline: maybe}}"),
            "f:1: spec.evaluation.skip_baseline: must be true or false");
  EXPECT_EQ(ErrorOf("just words"), "f:1: must have fields of its own");
}

TEST(FillMessage, RefusesTwoOfAOneof) {
  EXPECT_THAT(ErrorOf("spec: {data: {dataset: d, inline: {}}}"),
              HasSubstr("oneof field 'source' is already set"));
}

TEST(SameFieldName, IgnoresUnderscoresAndCase) {
  EXPECT_TRUE(SameFieldName("max_steps", "maxSteps"));
  EXPECT_FALSE(SameFieldName("max_steps", "min_steps"));
}

}  // namespace
}  // namespace attune::client
