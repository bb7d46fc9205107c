#include "worker/inference/target_evaluation.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/inference/inference_fixture.h"
#include "worker/tuning/attempt.h"

namespace attune::worker {
namespace {

using attune::v1::EvaluatePromptResponse;
using attune::v1::EvaluationReport;
using google::protobuf::util::MessageDifferencer;
using testing::HasSubstr;

// Hears nothing and never stops.
class DeafListener final : public AttemptListener {
 public:
  void OnResolvedSpec(const attune::v1::TuningJobSpec&) override {}
  void OnProgress(const attune::v1::TuningProgress&) override {}
  void OnNotice(std::string) override {}
  void OnCheckpoint(Artifact, int) override {}
  bool StopRequested() override { return false; }
  void BeforeStep() override {}
};

class TargetEvaluationTest : public InferenceFixture {
 protected:
  // Rows of text and label, 24 for training and 8 each to measure on.
  static std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    for (int i = 0; i < 40; ++i) {
      const char* split = i < 24 ? "train" : i < 32 ? "validation" : "test";
      rows.push_back(absl::StrCat(R"({"label":")", i % 2 ? "left" : "right",
                                  R"(","split":")", split, R"(","text":"go )",
                                  i * 7, R"("})"));
    }
    return rows;
  }

  AttemptResult Tune(
      const std::function<void(attune::v1::TuningMethod&)>& set_method) {
    AttemptInput input;
    input.rows = Rows();
    input.job.set_name("tuningJobs/toy");
    attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
    spec.set_base_model("models/tiny");
    spec.mutable_task()->set_type(attune::v1::TASK_TYPE_TEXT_CLASSIFICATION);
    spec.mutable_task()->set_template_("Text: {{ text }}\nLabel:");
    set_method(*spec.mutable_method());
    if (!spec.method().has_hard_prompt()) {
      spec.mutable_training()->set_max_steps(6);
      spec.mutable_training()->set_batch_size(8);
      spec.mutable_training()->mutable_learning_rate()->set_value(0.05);
    }
    DeafListener listener;
    absl::StatusOr<AttemptResult> result =
        RunAttempt(input, models_, clock_, listener);
    EXPECT_OK(result.status());
    return result.ok() ? *std::move(result) : AttemptResult();
  }

  // What the job made, as a target.
  InferenceTarget TargetOf(const AttemptResult& result) {
    return {.model = "models/tiny",
            .task = result.resolved_spec.task(),
            .artifact_digest = artifacts_.Add(result.artifact),
            .prompt_version = "prompts/p/versions/1",
            .model_fingerprint = result.model_fingerprint};
  }
  // The bare base with the same task.
  static InferenceTarget BaseOf(InferenceTarget target) {
    target.artifact_digest.clear();
    target.prompt_version.clear();
    target.model_fingerprint.clear();
    target.task.clear_demonstrations();
    target.task.clear_num_nearest_demonstrations();
    return target;
  }

  absl::StatusOr<EvaluatePromptResponse> Evaluate(const EvaluationCall& call) {
    return EvaluateTargets(
        call, resolver_,
        {.pause = [this] { return pause_ ? pause_() : absl::OkStatus(); },
         .on_progress =
             [this](int64_t done, int64_t total) {
               progress_ = {done, total};
             }});
  }

  std::function<absl::Status()> pause_;
  std::pair<int64_t, int64_t> progress_;
};

// An evaluation is held against the report of the job that made the version.
class MatchesTheJobTest
    : public TargetEvaluationTest,
      public testing::WithParamInterface<attune::v1::TuningMethod::MethodCase> {
 protected:
  static void SetMethod(attune::v1::TuningMethod& method) {
    using attune::v1::TuningMethod;
    switch (GetParam()) {
      case TuningMethod::kPrefixTuning:
        method.mutable_prefix_tuning()->set_num_virtual_tokens(4);
        break;
      case TuningMethod::kLora:
        method.mutable_lora()->set_rank(2);
        break;
      case TuningMethod::kHardPrompt:
        method.mutable_hard_prompt()->set_num_demonstrations(2);
        break;
      default:
        method.mutable_prompt_tuning()->set_num_virtual_tokens(4);
    }
  }
};

TEST_P(MatchesTheJobTest, OnTheJobsRowsAndAgainstItsBase) {
  const AttemptResult job = Tune(SetMethod);
  EvaluationCall call;
  call.target = TargetOf(job);
  call.baseline = BaseOf(call.target);
  call.rows = Rows();

  const auto response = Evaluate(call);

  ASSERT_OK(response);
  EXPECT_TRUE(
      MessageDifferencer::Equals(response->report(), job.report.after()))
      << response->report().DebugString() << job.report.after().DebugString();
  EXPECT_TRUE(MessageDifferencer::Equals(response->baseline_report(),
                                         job.report.before()));
  EXPECT_TRUE(MessageDifferencer::Equals(response->comparison(),
                                         job.report.comparison()));
  EXPECT_EQ(response->changed_examples_size(),
            job.report.changed_examples_size());
  EXPECT_EQ(response->prompt_version(), "prompts/p/versions/1");
  EXPECT_EQ(progress_, std::make_pair(int64_t{16}, int64_t{16}));
}

INSTANTIATE_TEST_SUITE_P(
    Methods, MatchesTheJobTest,
    testing::Values(attune::v1::TuningMethod::kPromptTuning,
                    attune::v1::TuningMethod::kPrefixTuning,
                    attune::v1::TuningMethod::kLora,
                    attune::v1::TuningMethod::kHardPrompt));

TEST_F(TargetEvaluationTest, AVersionFindsItsNearestDemonstrationsByItself) {
  const AttemptResult job = Tune([](attune::v1::TuningMethod& method) {
    method.mutable_hard_prompt()->set_num_demonstrations(2);
    method.mutable_hard_prompt()->set_selection(
        attune::v1::HardPrompt::SELECTION_NEAREST);
  });
  EvaluationCall call;
  call.target = TargetOf(job);
  call.target.task.clear_demonstrations();  // as the server sends it
  call.baseline = BaseOf(call.target);
  call.rows = Rows();

  const auto response = Evaluate(call);

  ASSERT_OK(response);
  EXPECT_TRUE(
      MessageDifferencer::Equals(response->report(), job.report.after()));
  EXPECT_TRUE(MessageDifferencer::Equals(response->baseline_report(),
                                         job.report.before()));
}

TEST_F(TargetEvaluationTest, TheComparisonGoesByTheMetricThatIsNamed) {
  EvaluationCall call;
  call.target = Classification({"left", "right"});
  call.baseline = WithPrompt(Classification({"left", "right"}), 1);
  call.rows = Rows();
  call.choice.split = "all";
  const auto usual = Evaluate(call);
  call.metric = "macro_f1";
  const auto named = Evaluate(call);

  ASSERT_OK(usual);
  ASSERT_OK(named);
  EXPECT_EQ(usual->comparison().metric(), "accuracy");
  EXPECT_EQ(named->comparison().metric(), "macro_f1");
  EXPECT_NEAR(named->comparison().improvement(),
              named->report().metrics().at("macro_f1") -
                  named->baseline_report().metrics().at("macro_f1"),
              1e-12);
  call.metric = "bleu";
  EXPECT_THAT(Evaluate(call).status(),
              ReasonIs(Reason::kInvalidField, HasSubstr("accuracy, macro_f1")));
}

TEST_F(TargetEvaluationTest, WithoutABaselineThereIsNothingToCompare) {
  EvaluationCall call;
  call.target = Classification({"left", "right"});
  call.rows = Rows();
  call.choice.split = "all";

  const auto response = Evaluate(call);

  ASSERT_OK(response);
  EXPECT_EQ(response->report().num_rows(), 40);
  EXPECT_EQ(response->report().split(), "all");
  EXPECT_EQ(response->report().intervals().count("accuracy"), 1u);
  EXPECT_FALSE(response->has_baseline_report());
  EXPECT_FALSE(response->has_comparison());
}

TEST_F(TargetEvaluationTest, AtMostMaxRowsAreDrawnBySeed) {
  EvaluationCall call;
  call.target = Classification({"left", "right"});
  call.rows = Rows();
  call.choice = {.split = "train", .max_rows = 5, .seed = 1};
  const auto first = Evaluate(call);
  const auto again = Evaluate(call);
  call.choice.seed = 2;
  const auto other = Evaluate(call);

  ASSERT_OK(first);
  EXPECT_EQ(first->report().num_rows(), 5);
  EXPECT_EQ(first->report().loss(), again->report().loss());
  EXPECT_NE(first->report().loss(), other->report().loss());
}

TEST_F(TargetEvaluationTest, LabelsInAnotherOrderAreTheSameAnswers) {
  EvaluationCall call;
  call.target = Classification({"left", "right"});
  call.baseline = Classification({"right", "left"});
  call.rows = Rows();
  call.choice.split = "all";

  const auto response = Evaluate(call);

  ASSERT_OK(response);
  EXPECT_EQ(response->comparison().num_gained_rows(), 0);
  EXPECT_EQ(response->comparison().num_lost_rows(), 0);
  EXPECT_EQ(response->changed_examples_size(), 0);
}

TEST_F(TargetEvaluationTest, TasksThatDifferAreNotCompared) {
  EvaluationCall call;
  call.target = Classification({"left", "right"});
  call.rows = Rows();

  call.baseline = Classification({"left", "right", "up"});
  EXPECT_THAT(Evaluate(call).status(),
              ReasonIs(Reason::kIllegalState, HasSubstr("label 'up'")));
  call.baseline = Generation(4);
  EXPECT_THAT(
      Evaluate(call).status(),
      ReasonIs(Reason::kIllegalState, HasSubstr("TASK_TYPE_TEXT_GENERATION")));
  call.baseline = Classification({"left", "right"});
  call.baseline->task.set_answer_field("side");
  EXPECT_THAT(Evaluate(call).status(),
              ReasonIs(Reason::kIllegalState, HasSubstr("'side'")));
}

TEST_F(TargetEvaluationTest, ARowThatDoesNotFitIsNamed) {
  EvaluationCall call;
  call.target = Classification({"left", "right"});
  call.rows = Rows();
  call.rows[35] = R"({"label":"up","split":"test","text":"a"})";
  EXPECT_THAT(Evaluate(call).status(),
              ReasonIs(Reason::kInvalidData,
                       testing::AllOf(HasSubstr("row 36"), HasSubstr("'up'"))));
  call.rows[35] = R"({"split":"test","text":"a"})";
  EXPECT_THAT(Evaluate(call).status(),
              ReasonIs(Reason::kInvalidData, HasSubstr("row 36")));
}

TEST_F(TargetEvaluationTest, AnErrorOfThePauseEndsItMidway) {
  EvaluationCall call;
  call.target = WithPrompt(Generation(8), 1);
  call.target.task.set_answer_field("label");
  call.rows = Rows();
  call.choice.split = "all";
  int pauses = 0;
  pause_ = [&pauses] {
    return ++pauses == 4 ? MakeError(Reason::kCancelled, "gone")
                         : absl::OkStatus();
  };

  EXPECT_THAT(Evaluate(call).status(),
              ReasonIs(Reason::kCancelled, HasSubstr("gone")));
  EXPECT_EQ(pauses, 4);
}

}  // namespace
}  // namespace attune::worker
