#include "server/api/augment_checks.h"

#include <string>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using v1::AugmentDatasetRequest;
using worker::v1::EngineTarget;

AugmentDatasetRequest SoundAugmentation() {
  AugmentDatasetRequest request;
  request.set_dataset("datasets/d");
  request.set_new_dataset_id("new");
  request.mutable_classifier()->set_prompt("prompts/intent");
  return request;
}

EngineTarget Classifier() {
  EngineTarget target;
  target.set_model("models/tiny");
  target.set_prompt_version("prompts/intent/versions/1");
  target.mutable_task()->set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  target.mutable_task()->add_labels()->set_label("no");
  target.mutable_task()->add_labels()->set_label("yes");
  return target;
}

TEST(CheckAugmentDataset, TheLeastIsEnough) {
  EXPECT_OK(CheckAugmentDataset(SoundAugmentation()));
}

TEST(CheckAugmentDataset, EveryWrongFieldIsNamed) {
  AugmentDatasetRequest request;
  request.set_dataset("d");
  request.set_new_dataset_id("New");
  request.mutable_generator()->mutable_base()->set_model("tiny");
  request.mutable_generator()->mutable_base()->mutable_task()->set_template_(
      "x");
  request.set_rows_per_label(1'001);
  request.add_labels("a");
  request.add_labels("a");
  request.set_text_field(std::string(257, 'x'));
  request.set_num_demonstrations(17);
  request.mutable_min_score()->set_value(1.5);
  request.set_max_attempts_per_row(-1);
  request.mutable_decoding()->set_max_new_tokens(1'025);

  const absl::Status status = CheckAugmentDataset(request);

  EXPECT_THAT(
      FieldsOf(status),
      ElementsAre("dataset", "new_dataset_id", "generator.base.model",
                  "generator.base.task", "classifier", "rows_per_label",
                  "labels[1]", "text_field", "num_demonstrations", "min_score",
                  "max_attempts_per_row", "decoding.max_new_tokens"));
}

TEST(CheckAugmentDataset, TextsAreSampledByTheRequestsSeed) {
  AugmentDatasetRequest request = SoundAugmentation();
  v1::Decoding& decoding = *request.mutable_decoding();
  decoding.set_temperature(1.2);
  for (int i = 0; i < 7; ++i) decoding.add_stop(std::to_string(i));
  EXPECT_OK(CheckAugmentDataset(request));

  decoding.add_stop("7");
  decoding.set_seed(1);
  decoding.mutable_length_penalty()->set_value(1);
  EXPECT_THAT(
      FieldsOf(CheckAugmentDataset(request)),
      ElementsAre("decoding.stop", "decoding.seed", "decoding.length_penalty"));

  request = SoundAugmentation();
  request.mutable_decoding()->set_num_beams(4);
  EXPECT_THAT(CheckAugmentDataset(request),
              NamesField(Reason::kInvalidField, "decoding.num_beams"));

  request = SoundAugmentation();
  request.mutable_decoding()->set_temperature(0);
  EXPECT_THAT(CheckAugmentDataset(request),
              NamesField(Reason::kInvalidField, "decoding.temperature"));
}

TEST(CheckAugmentDataset, ATunedGeneratorIsNotServed) {
  AugmentDatasetRequest request = SoundAugmentation();
  request.mutable_generator()->set_prompt("prompts/tone");

  EXPECT_THAT(CheckAugmentDataset(request),
              NamesField(Reason::kUnsupportedField, "generator.prompt"));

  request.mutable_generator()->clear_prompt();
  EXPECT_THAT(CheckAugmentDataset(request),
              NamesField(Reason::kInvalidField, "generator"));
}

TEST(MakeAugmentHeader, FillsInWhatIsNotSet) {
  const auto header = MakeAugmentHeader(SoundAugmentation(), Classifier());

  ASSERT_OK(header);
  EXPECT_EQ(header->classifier().prompt_version(), "prompts/intent/versions/1");
  EXPECT_EQ(header->generator(), "models/tiny");
  EXPECT_THAT(header->labels(), ElementsAre("no", "yes"));
  EXPECT_EQ(header->text_field(), "");
  EXPECT_EQ(header->rows_per_label(), 20);
  EXPECT_EQ(header->num_demonstrations(), 4);
  EXPECT_EQ(header->max_attempts_per_row(), 8);
  EXPECT_EQ(header->min_score(), 0.8);
  EXPECT_EQ(header->decoding().max_new_tokens(), 64);
  EXPECT_EQ(header->decoding().temperature(), 0.9);
  EXPECT_EQ(header->decoding().top_p().value(), 0.95);
  EXPECT_EQ(CountWantedRows(*header), 40);
}

TEST(MakeAugmentHeader, KeepsWhatIsSet) {
  AugmentDatasetRequest request = SoundAugmentation();
  request.mutable_generator()->mutable_base()->set_model("models/large");
  request.add_labels("yes");
  request.set_text_field("query");
  request.set_rows_per_label(3);
  request.set_num_demonstrations(2);
  request.set_max_attempts_per_row(5);
  request.mutable_min_score()->set_value(0);
  request.mutable_decoding()->set_temperature(1.5);
  request.mutable_decoding()->mutable_top_p()->set_value(1);
  request.mutable_decoding()->set_max_new_tokens(9);
  request.set_seed(7);

  const auto header = MakeAugmentHeader(request, Classifier());

  ASSERT_OK(header);
  EXPECT_EQ(header->generator(), "models/large");
  EXPECT_THAT(header->labels(), ElementsAre("yes"));
  EXPECT_EQ(header->text_field(), "query");
  EXPECT_EQ(header->rows_per_label(), 3);
  EXPECT_EQ(header->num_demonstrations(), 2);
  EXPECT_EQ(header->max_attempts_per_row(), 5);
  EXPECT_EQ(header->min_score(), 0);
  EXPECT_EQ(header->decoding().temperature(), 1.5);
  EXPECT_EQ(header->decoding().top_p().value(), 1);
  EXPECT_EQ(header->decoding().max_new_tokens(), 9);
  EXPECT_EQ(header->seed(), 7u);
}

TEST(MakeAugmentHeader, OnlyAClassificationByOneLabelJudges) {
  EngineTarget classifier = Classifier();
  classifier.mutable_task()->set_multi_label(true);
  EXPECT_THAT(MakeAugmentHeader(SoundAugmentation(), classifier),
              NamesField(Reason::kInvalidField, "classifier"));
  classifier.mutable_task()->set_multi_label(false);
  classifier.mutable_task()->set_type(v1::TASK_TYPE_TEXT_GENERATION);
  const auto header = MakeAugmentHeader(SoundAugmentation(), classifier);
  EXPECT_THAT(header, NamesField(Reason::kInvalidField, "classifier"));
  EXPECT_THAT(header, ReasonIs(Reason::kInvalidField,
                               HasSubstr("TASK_TYPE_TEXT_GENERATION")));
}

TEST(MakeAugmentHeader, LabelsAreTheTasks) {
  AugmentDatasetRequest request = SoundAugmentation();
  request.add_labels("yes");
  request.add_labels("maybe");

  EXPECT_THAT(MakeAugmentHeader(request, Classifier()),
              NamesField(Reason::kInvalidField, "labels[1]"));
}

TEST(MakeAugmentHeader, AllLabelsTogetherHaveALimit) {
  AugmentDatasetRequest request = SoundAugmentation();
  request.set_rows_per_label(1'000);
  EngineTarget classifier = Classifier();
  for (int i = 0; i < 98; ++i) {
    classifier.mutable_task()->add_labels()->set_label(std::to_string(i));
  }
  EXPECT_OK(MakeAugmentHeader(request, classifier));

  classifier.mutable_task()->add_labels()->set_label("one more");
  EXPECT_THAT(MakeAugmentHeader(request, classifier),
              NamesField(Reason::kInvalidField, "rows_per_label"));
}

}  // namespace
}  // namespace attune::server
