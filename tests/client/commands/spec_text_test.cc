#include "client/commands/spec_text.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::client {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(ExampleCall, UsesTheFirstFieldOfTheTemplate) {
  v1::TaskSpec task;
  task.set_template_("Q: {{- question | trim }} C: {{ context }}");
  EXPECT_EQ(ExampleCall("prompts/qa", task),
            "attune predict qa --field question=\"...\"");

  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("no field");
  EXPECT_EQ(ExampleCall("prompts/g", task), "attune generate g --text \"...\"");
}

TEST(ExampleCall, ReadsRowsWithChoicesFromAFile) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_MULTIPLE_CHOICE);
  task.set_template_("{{ question }}");

  EXPECT_EQ(ExampleCall("prompts/exam", task),
            "attune predict exam --input rows.jsonl");
}

TEST(MethodText, NamesTheMethod) {
  v1::TuningMethod method;
  EXPECT_EQ(MethodText(method), "prompt tuning");
  method.mutable_prefix_tuning();
  EXPECT_EQ(MethodText(method), "prefix tuning");
  method.mutable_hard_prompt();
  EXPECT_EQ(MethodText(method), "hard prompt");
  method.mutable_hard_prompt()->set_num_demonstrations(8);
  EXPECT_EQ(MethodText(method), "hard prompt, 8 demonstrations");
  method.mutable_hard_prompt()->set_selection(
      v1::HardPrompt::SELECTION_NEAREST);
  EXPECT_EQ(MethodText(method), "hard prompt, 8 nearest demonstrations");
  method.mutable_hard_prompt()->mutable_template_search();
  EXPECT_EQ(MethodText(method),
            "hard prompt, template search, 8 nearest demonstrations");
  method.mutable_hard_prompt()->clear_num_demonstrations();
  EXPECT_EQ(MethodText(method), "hard prompt, template search");
}

TEST(TaskText, CountsLabels) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  EXPECT_EQ(TaskText(task), "text classification");
  task.add_labels();
  task.add_labels();
  EXPECT_EQ(TaskText(task), "text classification, 2 labels");
}

TEST(TaskText, NamesTypesOfLaterReleasesByNumber) {
  v1::TaskSpec task;
  task.set_type(static_cast<v1::TaskType>(99));

  EXPECT_THAT(TaskText(task), testing::HasSubstr("99"));
}

TEST(SnapshotText, NamesTheRows) {
  v1::DatasetSnapshot snapshot;
  snapshot.set_num_rows(1500);
  EXPECT_EQ(SnapshotText(snapshot), "inline rows, 1,500 rows");

  snapshot.set_dataset("datasets/d");

  EXPECT_EQ(SnapshotText(snapshot), "datasets/d, 1,500 rows");
}

TEST(SettingsOf, ListsWhatIsSet) {
  v1::TaskSpec task;
  task.set_type(v1::TASK_TYPE_TEXT_GENERATION);
  task.set_template_("{{ text }}");
  task.mutable_truncation()->set_max_input_tokens(64);
  task.mutable_truncation()->set_side(v1::TRUNCATION_SIDE_LEFT);
  task.mutable_decoding()->mutable_top_p()->set_value(0.5);
  task.mutable_decoding()->add_stop("a");
  task.mutable_decoding()->add_stop("b");
  task.add_demonstrations();
  task.set_multi_label(true);

  EXPECT_THAT(
      SettingsOf(task, {"template"}),
      ElementsAre(Pair("type", "text generation"),
                  Pair("truncation max input tokens", "64"),
                  Pair("truncation side", "left"),
                  Pair("decoding top p", "0.5"), Pair("decoding stop", "a, b"),
                  Pair("demonstrations", "1"), Pair("multi label", "true")));
}

TEST(SettingsOf, OfNothingIsEmpty) {
  EXPECT_TRUE(SettingsOf(v1::TuningMethod()).empty());
}

TEST(MethodSettings, AreThoseOfTheMethodThatIsSet) {
  v1::TuningMethod method;
  EXPECT_TRUE(MethodSettings(method).empty());

  method.mutable_lora()->set_rank(8);
  method.mutable_lora()->set_merged(true);

  EXPECT_THAT(MethodSettings(method),
              ElementsAre(Pair("rank", "8"), Pair("merged", "true")));
}

TEST(MethodSettings, TellWhatASearchTriesWithoutItsTemplates) {
  v1::TuningMethod method;
  v1::HardPrompt& hard = *method.mutable_hard_prompt();
  hard.set_num_demonstrations(4);
  v1::TemplateSearch& search = *hard.mutable_template_search();
  EXPECT_THAT(MethodSettings(method),
              ElementsAre(Pair("num demonstrations", "4"),
                          Pair("template search", "patterns, instructions")));

  search.add_templates("{{ text }} It was");
  search.add_templates("{{ text }} =>");
  search.set_num_generated(8);
  search.set_label_words(true);
  EXPECT_THAT(MethodSettings(method)[1],
              Pair("template search",
                   "2 given templates, patterns, up to 8 instructions, label "
                   "words"));

  search.set_ensemble_size(4);
  EXPECT_THAT(MethodSettings(method)[1],
              Pair("template search",
                   "2 given templates, patterns, up to 8 instructions, label "
                   "words, ensembles of 4"));
  search.set_ensemble_size(1);
  EXPECT_THAT(MethodSettings(method)[1].second,
              testing::EndsWith("label words"));

  search.Clear();
  search.set_skip_patterns(true);
  search.set_num_generated(0);
  EXPECT_THAT(MethodSettings(method)[1],
              Pair("template search", "the task's own alone"));
}

}  // namespace
}  // namespace attune::client
