#include "worker/api/engine_messages.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(MakeCall, TakesOverTargetsAndItems) {
  v1::EnginePredictRequest request;
  v1::EngineTarget& target = *request.add_targets();
  target.set_model("models/m");
  target.mutable_task()->set_template_("{{ text }}");
  target.set_artifact_digest("d");
  target.set_prompt_version("prompts/p/versions/1");
  target.set_model_fingerprint("f");
  v1::EngineItem& item = *request.add_items();
  (*item.mutable_fields()->mutable_fields())["text"].set_string_value("x");
  item.mutable_decoding()->set_top_k(3);

  const InferenceCall call = MakeCall(request);

  ASSERT_EQ(call.targets.size(), 1u);
  EXPECT_EQ(call.targets[0].model, "models/m");
  EXPECT_EQ(call.targets[0].task.template_(), "{{ text }}");
  EXPECT_EQ(call.targets[0].artifact_digest, "d");
  EXPECT_EQ(call.targets[0].prompt_version, "prompts/p/versions/1");
  EXPECT_EQ(call.targets[0].model_fingerprint, "f");
  ASSERT_EQ(call.inputs.size(), 1u);
  EXPECT_EQ(call.inputs[0].target, 0u);
  EXPECT_EQ(call.inputs[0].fields.fields().at("text").string_value(), "x");
  EXPECT_EQ(call.inputs[0].decoding.top_k(), 3);
}

TEST(MakeCall, ANegativeTargetIsBeyondEveryList) {
  v1::EnginePredictRequest request;
  request.add_items()->set_target(-1);

  EXPECT_GT(MakeCall(request).inputs[0].target, size_t{1} << 60);
}

TEST(MakeCall, AStreamHasOneTargetAndOneInput) {
  v1::EngineGenerateRequest request;
  request.mutable_target()->set_model("models/m");
  request.mutable_decoding()->set_seed(4);

  const InferenceCall call = MakeCall(request);

  ASSERT_EQ(call.targets.size(), 1u);
  ASSERT_EQ(call.inputs.size(), 1u);
  EXPECT_EQ(call.targets[0].model, "models/m");
  EXPECT_EQ(call.inputs[0].decoding.seed(), 4u);
}

TEST(MakeCall, AnAugmentationIsAsItsHeaderSays) {
  v1::EngineAugmentHeader header;
  header.mutable_classifier()->set_prompt_version("prompts/p/versions/1");
  header.set_generator("models/m");
  header.add_labels("a");
  header.add_labels("b");
  header.set_text_field("query");
  header.set_rows_per_label(3);
  header.set_num_demonstrations(2);
  header.set_max_attempts_per_row(5);
  header.set_min_score(0.5);
  header.mutable_decoding()->set_temperature(1.5);
  header.set_seed(9);

  const AugmentationCall call = MakeCall(header, {"{}"});

  EXPECT_EQ(call.classifier.prompt_version, "prompts/p/versions/1");
  EXPECT_EQ(call.generator, "models/m");
  EXPECT_EQ(call.labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call.text_field, "query");
  EXPECT_EQ(call.rows_per_label, 3);
  EXPECT_EQ(call.num_demonstrations, 2);
  EXPECT_EQ(call.max_attempts_per_row, 5);
  EXPECT_EQ(call.min_score, 0.5);
  EXPECT_EQ(call.decoding.temperature(), 1.5);
  EXPECT_EQ(call.seed, 9u);
  EXPECT_EQ(call.rows, std::vector<std::string>{"{}"});
}

TEST(MakeCall, AnEvaluationHasItsChoiceOfRowsAndMayHaveABaseline) {
  v1::EngineEvaluateHeader header;
  header.mutable_target()->set_model("models/m");
  header.set_split("validation");
  header.set_max_rows(7);
  header.set_seed(3);
  header.set_metric("mcc");

  const EvaluationCall alone = MakeCall(header, {"{}"});
  header.mutable_baseline()->set_artifact_digest("d");
  const EvaluationCall compared = MakeCall(header, {});

  EXPECT_EQ(alone.target.model, "models/m");
  EXPECT_EQ(alone.choice.split, "validation");
  EXPECT_EQ(alone.choice.max_rows, 7);
  EXPECT_EQ(alone.choice.seed, 3u);
  EXPECT_EQ(alone.metric, "mcc");
  EXPECT_EQ(alone.rows.size(), 1u);
  EXPECT_FALSE(alone.baseline.has_value());
  ASSERT_TRUE(compared.baseline.has_value());
  EXPECT_EQ(compared.baseline->artifact_digest, "d");
}

}  // namespace
}  // namespace attune::worker
