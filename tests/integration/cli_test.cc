// The command line as a person uses it: a tour, and its exit codes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "attune/v1/dataset_service.pb.h"
#include "attune/v1/evaluation_service.pb.h"
#include "google/protobuf/util/json_util.h"
#include "tests/integration/command_line.h"
#include "tests/integration/sample_work.h"

namespace attune::integration {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitPrecondition = 3;
constexpr int kExitUnavailable = 4;

constexpr std::string_view kJobFile = R"(
spec:
  prompt: prompts/tour
  base_model: models/tiny
  data:
    dataset: datasets/tour
  task:
    type: TASK_TYPE_TEXT_CLASSIFICATION
    template: "Review: {{ text }}\nSentiment:"
    labels:
      - label: negative
      - label: positive
  method:
    prompt_tuning:
      num_virtual_tokens: 4
  training:
    max_steps: 4
    batch_size: 4
    validation_interval_steps: 4
)";

class Cli : public CommandLineTest {
 protected:
  static void SetUpTestSuite() { StartForSuite({}); }
};

TEST_F(Cli, TourFromDataToAnswers) {
  const std::string rows = Write("rows.jsonl", ReviewJsonLines(0, 40));
  const std::string job = Write("job.yaml", kJobFile);
  const std::string folder = pair().directory() + "/exported";

  EXPECT_THAT(Works({"status"}), HasSubstr("tiny"));
  EXPECT_THAT(Works({"models", "list"}), HasSubstr("tiny"));
  Works({"datasets", "create", "tour"});
  EXPECT_THAT(Works({"datasets", "upload", "tour", rows}), HasSubstr("40"));
  Works({"datasets", "append", "tour", "--field", "text=so good", "--field",
         "label=positive"});
  Works({"datasets", "upload", "tour",
         Write("rows.csv", "text,label\n\"so fine, so good\",positive\n")});
  EXPECT_THAT(Works({"datasets", "get", "tour"}), HasSubstr("42"));
  EXPECT_THAT(Works({"datasets", "list"}), HasSubstr("tour"));

  const ProgramResult watched =
      Attune({"jobs", "create", "-f", job, "--id", "tour-job", "--watch"});
  EXPECT_EQ(watched.exit_code, 0) << watched.error_output;
  EXPECT_THAT(
      watched.output + watched.error_output,
      AllOf(HasSubstr("prompts/tour/versions/1"), HasSubstr("accuracy")));
  EXPECT_THAT(Works({"jobs", "get", "tour-job"}), HasSubstr("SUCCEEDED"));
  EXPECT_THAT(Works({"jobs", "list", "--state", "SUCCEEDED"}),
              HasSubstr("tour-job"));

  EXPECT_THAT(Works({"predict", "tour", "--text", "a fine film"}),
              ::testing::AnyOf(HasSubstr("positive"), HasSubstr("negative")));
  EXPECT_THAT(Works({"prompts", "promote", "tour@latest", "--alias", "prod"}),
              HasSubstr("prod"));
  EXPECT_THAT(Works({"prompts", "list"}), HasSubstr("tour"));
  EXPECT_THAT(Works({"prompts", "versions", "tour"}), HasSubstr("prod"));
  Works({"prompts", "export", "tour@prod", folder});
  EXPECT_TRUE(std::filesystem::exists(folder + "/adapter_config.json"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/adapter_model.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/attune_manifest.json"));
}

TEST_F(Cli, GenerateStreamsTheTextOfAPrompt) {
  MustSucceed(QuickEchoJob("spoken"));
  v1::StreamGenerateRequest request;
  request.mutable_target()->set_prompt("prompts/spoken");
  *request.mutable_fields() = MakeStruct({{"text", "word 1"}});
  const auto streamed = api().Generate(request);
  ASSERT_TRUE(streamed.ok()) << streamed.failure();

  const std::string json =
      Works({"generate", "spoken", "--text", "word 1", "-o", "json"});

  // A message a line; how many there are depends on who reads how fast.
  std::string text;
  v1::StreamGenerateResponse last;
  for (const auto line : absl::StrSplit(json, '\n', absl::SkipEmpty())) {
    ASSERT_TRUE(
        google::protobuf::util::JsonStringToMessage(std::string(line), &last)
            .ok())
        << json;
    text += last.text();
  }
  EXPECT_EQ(text, streamed.value.text);
  EXPECT_EQ(last.prompt_version(), "prompts/spoken/versions/1");
}

TEST_F(Cli, JsonOutputIsTheApisJson) {
  ASSERT_TRUE(api().CreateDataset("as-json").ok());

  const std::string json = Works({"datasets", "get", "as-json", "-o", "json"});

  EXPECT_THAT(json,
              AllOf(HasSubstr("\"name\""), HasSubstr("\"datasets/as-json\"")));
}

TEST_F(Cli, UnknownFieldOfAJobFileIsNamedAndNothingIsStored) {
  std::string text(kJobFile);
  text.replace(text.find("max_steps"), 9, "max_stepz");
  const std::string job = Write("typo.yaml", text);

  const ProgramResult result = Attune({"jobs", "create", "-f", job});

  EXPECT_EQ(result.exit_code, kExitUsage) << result.error_output;
  EXPECT_THAT(result.error_output,
              AllOf(HasSubstr("max_stepz"), HasSubstr("typo.yaml")));
  EXPECT_EQ(result.output, "");
  for (const v1::TuningJob& stored : api().ListJobs().value) {
    EXPECT_NE(stored.state(), v1::TuningJob::STATE_QUEUED);
  }
}

TEST_F(Cli, WrongFlagIsAUsageError) {
  const ProgramResult result = Attune({"jobs", "list", "--colour"});

  EXPECT_EQ(result.exit_code, kExitUsage);
  EXPECT_THAT(result.error_output, HasSubstr("--colour"));
}

TEST_F(Cli, RefusedFieldsAreListedWithTheirPaths) {
  Attune({"datasets", "create", "refused"});
  Attune({"datasets", "upload", "refused",
          Write("refused.jsonl", ReviewJsonLines(0, 20))});
  const std::string job = Write("refused.yaml", kJobFile);

  const ProgramResult result =
      Attune({"jobs", "create", "-f", job, "--set",
              "spec.data.dataset=datasets/refused", "--set",
              "spec.training.weight_decay=-1"});

  EXPECT_EQ(result.exit_code, kExitUsage) << result.error_output;
  EXPECT_THAT(result.error_output, HasSubstr("training.weight_decay"));
}

TEST_F(Cli, MissingThingsHaveTheirOwnExitCode) {
  const ProgramResult result = Attune({"prompts", "get", "nobody"});

  EXPECT_EQ(result.exit_code, kExitPrecondition) << result.error_output;
  EXPECT_THAT(result.error_output, HasSubstr("prompts/nobody"));
}

TEST_F(Cli, FailedJobFailsTheWatch) {
  Attune({"datasets", "create", "failing"});
  Attune({"datasets", "upload", "failing",
          Write("failing.jsonl", ReviewJsonLines(0, 20))});
  const std::string job = Write("failing.yaml", kJobFile);

  const ProgramResult result =
      Attune({"jobs", "create", "-f", job, "--watch", "--set",
              "spec.data.dataset=datasets/failing", "--set",
              "spec.task.template={{ nothing }}"});

  EXPECT_EQ(result.exit_code, kExitFailed) << result.error_output;
  EXPECT_THAT(result.output + result.error_output, HasSubstr("nothing"));
}

TEST_F(Cli, ServerThatIsNotThereIsUnavailable) {
  const auto result =
      RunProgram({ProgramPath("attune"), "--server", "127.0.0.1:1", "--timeout",
                  "2s", "prompts", "list"},
                 {{"NO_COLOR", "1"}}, pair().directory(), kPatience);

  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, kExitUnavailable) << result->error_output;
  EXPECT_THAT(result->error_output, HasSubstr("127.0.0.1:1"));
}

TEST_F(Cli, PipedOutputHasNoEscapeSequences) {
  const std::string list = Works({"jobs", "list"});

  EXPECT_THAT(list, Not(HasSubstr("\x1b")));
}

TEST_F(Cli, EvaluatesOnAnotherDataset) {
  std::string job(kJobFile);
  for (size_t at; (at = job.find("/tour")) != std::string::npos;) {
    job.replace(at, 5, "/measured");
  }
  Works({"datasets", "create", "measured"});
  Works({"datasets", "upload", "measured",
         Write("measured.jsonl", ReviewJsonLines(0, 20))});
  Works({"jobs", "create", "-f", Write("measured.yaml", job), "--id",
         "measured", "--watch"});
  Works({"datasets", "create", "later"});
  Works({"datasets", "upload", "later",
         Write("later.jsonl", ReviewJsonLines(20, 32))});

  const std::string tables =
      Works({"evaluate", "measured", "--dataset", "later", "--split", "all",
             "--against-base"});
  EXPECT_THAT(tables, AllOf(HasSubstr("prompts/measured/versions/1"),
                            HasSubstr("models/tiny, untuned"),
                            HasSubstr("12 rows of all"), HasSubstr("accuracy"),
                            HasSubstr("BASELINE"), HasSubstr("baseline: ")));

  v1::EvaluatePromptResponse response;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                  Works({"evaluate", "measured", "--dataset", "later",
                         "--split", "train", "--max-rows", "5", "-o", "json"}),
                  &response)
                  .ok());
  EXPECT_EQ(response.report().num_rows(), 5);
  EXPECT_FALSE(response.has_comparison());

  const ProgramResult empty =
      Attune({"evaluate", "measured", "--dataset", "later"});
  EXPECT_EQ(empty.exit_code, kExitPrecondition);
  EXPECT_THAT(empty.error_output, HasSubstr("'test'"));
}

TEST_F(Cli, AugmentsADataset) {
  std::string job(kJobFile);
  for (size_t at; (at = job.find("/tour")) != std::string::npos;) {
    job.replace(at, 5, "/judged");
  }
  Works({"datasets", "create", "judged"});
  Works({"datasets", "upload", "judged",
         Write("judged.jsonl", ReviewJsonLines(0, 20))});
  Works({"jobs", "create", "-f", Write("judged.yaml", job), "--id", "judged",
         "--watch"});
  // What a model without wisdom writes seldom ends a line, and no classifier is
  // sure of it.
  const std::vector<std::string> augment = {"datasets", "augment",
                                            "judged",   "--into",
                                            "more",     "--classifier",
                                            "judged",   "--rows-per-label",
                                            "3",        "--min-score",
                                            "0",        "--temperature",
                                            "2",        "--top-p",
                                            "1",        "--max-new-tokens",
                                            "120",      "--max-attempts",
                                            "20",       "--with-source-rows",
                                            "-o",       "json"};

  v1::AugmentDatasetResponse response;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(Works(augment), &response)
          .ok());

  EXPECT_EQ(response.labels_size(), 2);
  EXPECT_GT(response.counts().num_kept(), 0);
  EXPECT_EQ(response.num_source_rows(), 20);
  EXPECT_EQ(response.dataset().num_rows(), response.counts().num_kept() + 20);
  EXPECT_EQ(response.classifier_version(), "prompts/judged/versions/1");
  EXPECT_THAT(Works({"datasets", "list"}), HasSubstr("more"));

  const ProgramResult again = Attune(augment);
  EXPECT_EQ(again.exit_code, kExitPrecondition);
  EXPECT_THAT(again.error_output, HasSubstr("datasets/more"));
}

}  // namespace
}  // namespace attune::integration
