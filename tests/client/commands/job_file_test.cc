#include "client/commands/job_file.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

constexpr char kJob[] =
    "display_name: Test\n"
    "spec:\n"
    "  prompt: prompts/p\n"
    "  training:\n"
    "    max_steps: 10\n";

std::string ReadExample(const std::string& name) {
  std::ifstream file("client/examples/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ParseJobFile, ReadsATuningJob) {
  const auto request = ParseJobFile(kJob, "job.yaml", {});

  ASSERT_OK(request);
  EXPECT_EQ(request->tuning_job().display_name(), "Test");
  EXPECT_EQ(request->tuning_job().spec().training().max_steps(), 10);
}

TEST(ParseJobFile, ReadsAWholeRequestAsGrpcurlTakesIt) {
  const auto request = ParseJobFile(
      "{\"tuningJobId\": \"a\", \"tuningJob\": {\"displayName\": \"Test\"}}",
      "job.json", {});

  ASSERT_OK(request);
  EXPECT_EQ(request->tuning_job_id(), "a");
  EXPECT_EQ(request->tuning_job().display_name(), "Test");
}

TEST(ParseJobFile, SettingsWinOverTheFile) {
  const auto request = ParseJobFile(
      kJob, "job.yaml",
      {"spec.training.maxSteps=0", "spec.training.learning_rate=0.5",
       "spec.task.template=a=b"});

  ASSERT_OK(request);
  const v1::TuningJobSpec& spec = request->tuning_job().spec();
  EXPECT_EQ(spec.training().max_steps(), 0);
  EXPECT_EQ(spec.training().learning_rate().value(), 0.5);
  EXPECT_EQ(spec.task().template_(), "a=b");
  EXPECT_EQ(spec.prompt(), "prompts/p");
}

TEST(ParseJobFile, SettingsReachIntoAWholeRequest) {
  const auto request =
      ParseJobFile("tuning_job: {display_name: a}", "f", {"display_name=b"});

  ASSERT_OK(request);
  EXPECT_EQ(request->tuning_job().display_name(), "b");
}

TEST(ParseJobFile, RefusesWrongSettings) {
  EXPECT_THAT(ParseJobFile(kJob, "f", {"spec.prompt"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("write it like spec.training.max_steps=100")));
  EXPECT_THAT(ParseJobFile(kJob, "f", {"display_name.x=1"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'x' lies inside a value")));
  EXPECT_THAT(ParseJobFile(kJob, "f", {"spec.trainin.max_steps=1"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("did you mean 'training'?")));
}

TEST(ParseJobFile, AMessageWithoutFieldsIsThere) {
  const std::string job =
      "spec: {method: {hard_prompt: {template_search: {}}}}";
  const auto defaults = ParseJobFile(job, "f", {});
  const auto none = ParseJobFile(
      job, "f", {"spec.method.hard_prompt.template_search.num_generated=0"});

  ASSERT_OK(defaults);
  const v1::HardPrompt& of_defaults =
      defaults->tuning_job().spec().method().hard_prompt();
  EXPECT_TRUE(of_defaults.has_template_search());
  EXPECT_FALSE(of_defaults.template_search().has_num_generated());
  ASSERT_OK(none);
  const v1::HardPrompt& of_none =
      none->tuning_job().spec().method().hard_prompt();
  EXPECT_TRUE(of_none.template_search().has_num_generated());
  EXPECT_EQ(of_none.template_search().num_generated(), 0);
}

TEST(ParseTaskFile, ReadsATaskOrTheTaskOfAJob) {
  const auto task = ParseTaskFile("type: TASK_TYPE_TEXT_GENERATION", "f");
  ASSERT_OK(task);
  EXPECT_EQ(task->type(), v1::TASK_TYPE_TEXT_GENERATION);

  const auto of_job =
      ParseTaskFile("spec: {task: {answer_field: intent}}", "f");
  ASSERT_OK(of_job);
  EXPECT_EQ(of_job->answer_field(), "intent");
}

TEST(Examples, AllParse) {
  int num_files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("client/examples")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string name = entry.path().filename().string();
    const auto request = ParseJobFile(ReadExample(name), name, {});
    ASSERT_OK(request);
    EXPECT_FALSE(request->tuning_job().spec().prompt().empty()) << name;
    ++num_files;
  }
  EXPECT_GT(num_files, 9);

  const auto choices =
      ParseJobFile(ReadExample("what-follows.yaml"), "choices", {});
  ASSERT_OK(choices);
  EXPECT_EQ(choices->tuning_job().spec().task().type(),
            v1::TASK_TYPE_MULTIPLE_CHOICE);

  const auto banking =
      ParseJobFile(ReadExample("banking77-intent.yaml"), "banking", {});
  ASSERT_OK(banking);
  const v1::TuningJobSpec& spec = banking->tuning_job().spec();
  EXPECT_EQ(spec.prompt(), "prompts/banking77-intent");
  EXPECT_EQ(spec.data().dataset(), "datasets/banking77-intents");
  EXPECT_EQ(spec.task().labels_size(), 10);

  const auto tone = ParseJobFile(ReadExample("tone-rewrite.yaml"), "tone", {});
  ASSERT_OK(tone);
  EXPECT_EQ(tone->tuning_job().spec().task().decoding().stop(0), "\n");

  const auto search =
      ParseJobFile(ReadExample("question-pairs-search.yaml"), "search", {});
  ASSERT_OK(search);
  const v1::TemplateSearch& tried =
      search->tuning_job().spec().method().hard_prompt().template_search();
  EXPECT_EQ(tried.templates_size(), 1);
  EXPECT_TRUE(tried.label_words());

  const auto inline_rows =
      ParseJobFile(ReadExample("sentiment-inline.yaml"), "inline", {});
  ASSERT_OK(inline_rows);
  EXPECT_EQ(inline_rows->tuning_job().spec().data().inline_().rows_size(), 26);
}

}  // namespace
}  // namespace attune::client
