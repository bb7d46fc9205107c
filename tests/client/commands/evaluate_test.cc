#include "client/commands/evaluate.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"
#include "tests/client/sample_versions.h"

namespace attune::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using WriteEvaluated = std::function<bool(const v1::EvaluatePromptResponse&)>;

class EvaluateTest : public testing::Test {
 protected:
  EvaluateTest() {
    fake_.scripts.evaluate = [this](const auto& request,
                                    const WriteEvaluated& write) {
      request_ = request;
      v1::EvaluatePromptResponse message;
      message.set_num_rows_total(200);
      message.set_num_rows_done(50);
      write(message);
      const v1::TuningReport report = ClassificationSample(3).report();
      *message.mutable_report() = report.after();
      message.set_prompt_version("prompts/p/versions/2");
      if (request.has_baseline()) {
        *message.mutable_baseline_report() = report.before();
        *message.mutable_comparison() = report.comparison();
        *message.mutable_changed_examples() = report.changed_examples();
        message.set_baseline_prompt_version(
            request.baseline().has_base() ? "" : "prompts/p/versions/1");
      }
      write(message);
      return absl::OkStatus();
    };
    fake_.scripts.get_version = [](const auto& request, auto& version) {
      version.set_name(request.name());
      version.set_base_model("models/m");
      version.mutable_task()->set_template_("{{ text }}");
      version.mutable_task()->add_demonstrations()->set_answer("yes");
      version.mutable_task()->set_num_nearest_demonstrations(1);
      return absl::OkStatus();
    };
  }

  RunResult Run(std::vector<std::string> arguments, RunOptions options = {}) {
    arguments.insert(arguments.begin(), "evaluate");
    return RunClient(fake_.address(), std::move(arguments), options);
  }

  FakeAttune fake_;
  v1::EvaluatePromptRequest request_;
};

TEST_F(EvaluateTest, AsksForWhatIsNamed) {
  const RunResult run = Run({"p@prod", "--dataset", "d", "--split", "all",
                             "--max-rows", "9", "--seed", "4", "--against",
                             "prompts/p/versions/1", "--metric", "macro_f1"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(request_.target().prompt(), "prompts/p@prod");
  EXPECT_EQ(request_.dataset(), "datasets/d");
  EXPECT_EQ(request_.split(), "all");
  EXPECT_EQ(request_.max_rows(), 9);
  EXPECT_EQ(request_.seed(), 4u);
  EXPECT_EQ(request_.baseline().prompt(), "prompts/p/versions/1");
  EXPECT_EQ(request_.metric(), "macro_f1");
}

TEST_F(EvaluateTest, PrintsTheTablesOfAReport) {
  const RunResult run =
      Run({"p", "--dataset", "d", "--against", "prompts/p/versions/1"});

  EXPECT_THAT(run.out,
              AllOf(HasSubstr("prompts/p/versions/2"),
                    HasSubstr("prompts/p/versions/1"), HasSubstr("TARGET"),
                    HasSubstr("BASELINE F1"), HasSubstr("than the baseline"),
                    HasSubstr("became right"), HasSubstr("confusion matrix")));
  EXPECT_THAT(run.out, Not(HasSubstr("TUNED")));
  EXPECT_EQ(run.err, "");
}

TEST_F(EvaluateTest, WithoutABaselineNothingIsClaimed) {
  const RunResult run = Run({"p", "--dataset", "d"});

  EXPECT_EQ(request_.split(), "test");
  EXPECT_FALSE(request_.has_baseline());
  EXPECT_THAT(run.out, AllOf(HasSubstr("accuracy"), Not(HasSubstr("ompared")),
                             Not(HasSubstr("etter")), Not(HasSubstr("CHANGE")),
                             Not(HasSubstr("BASELINE"))));
}

TEST_F(EvaluateTest, TheBaseIsTheVersionsOwnWithoutDemonstrations) {
  const RunResult run = Run({"p", "--dataset", "d", "--against-base"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(request_.baseline().base().model(), "models/m");
  EXPECT_EQ(request_.baseline().base().task().template_(), "{{ text }}");
  EXPECT_EQ(request_.baseline().base().task().demonstrations_size(), 0);
  EXPECT_EQ(request_.baseline().base().task().num_nearest_demonstrations(), 0);
  EXPECT_EQ(request_.metric(), "");
  EXPECT_THAT(run.out, HasSubstr("models/m, untuned"));
}

TEST_F(EvaluateTest, ATerminalSeesTheProgress) {
  RunOptions options;
  options.terminal = true;

  const RunResult run = Run({"p", "--dataset", "d"}, options);

  EXPECT_THAT(run.err, AllOf(HasSubstr("evaluating"), HasSubstr("row 50/200")));
}

TEST_F(EvaluateTest, AsJsonPrintsTheResult) {
  const RunResult run = Run({"p", "--dataset", "d", "-o", "json"});

  EXPECT_THAT(run.out, AllOf(HasSubstr("\"promptVersion\""),
                             HasSubstr("\"report\""), Not(HasSubstr("LABEL"))));
}

TEST_F(EvaluateTest, WrongUseIsToldBeforeAnyCall) {
  EXPECT_EQ(Run({"p"}).exit_code, 2);
  EXPECT_EQ(Run({"p", "--dataset", "d", "--against", "q", "--against-base"})
                .exit_code,
            2);
  EXPECT_EQ(Run({"--dataset", "d"}).exit_code, 2);
  EXPECT_EQ(request_.dataset(), "");
}

TEST_F(EvaluateTest, TheServersErrorIsShown) {
  fake_.scripts.evaluate = [](const auto&, const WriteEvaluated&) {
    return MakeError(Reason::kInvalidData, "row 3: field 'label' is missing");
  };

  const RunResult run = Run({"p", "--dataset", "d"});

  EXPECT_NE(run.exit_code, 0);
  EXPECT_THAT(run.err, HasSubstr("row 3: field 'label' is missing"));
}

}  // namespace
}  // namespace attune::client
