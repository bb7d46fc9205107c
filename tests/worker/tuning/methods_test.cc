// Every method on a model of every kind: what is learnt, what is stored, and
// that the base stays as it was.

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"
#include "tests/worker/tuning/recording_listener.h"
#include "tests/worker/tuning/toy_job.h"
#include "worker/models/parameter_table.h"
#include "worker/prompts/prompt_codec.h"
#include "worker/tuning/attempt.h"
#include "worker/tuning/trained_adaptation.h"

namespace attune::worker {
namespace {

using attune::v1::TuningMethod;
using ::testing::HasSubstr;

struct MethodCase {
  const char* name;
  std::function<void(TuningMethod&)> choose;
  double learning_rate;  // that random weights of this size learn with
};

const MethodCase kMethodCases[] = {
    {"prompt_tuning",
     [](TuningMethod& m) {
       m.mutable_prompt_tuning()->set_num_virtual_tokens(8);
     },
     0.05},
    {"prefix_tuning",
     [](TuningMethod& m) {
       m.mutable_prefix_tuning()->set_num_virtual_tokens(8);
     },
     0.05},
    {"lora", [](TuningMethod& m) { m.mutable_lora()->set_rank(4); }, 0.02},
    {"lora_merged",
     [](TuningMethod& m) {
       m.mutable_lora()->set_rank(4);
       m.mutable_lora()->set_merged(true);
     },
     0.02},
    {"lora_with_dropout",
     [](TuningMethod& m) {
       m.mutable_lora()->set_rank(4);
       m.mutable_lora()->set_dropout(0.1);
     },
     0.02},
    {"top_layers",
     [](TuningMethod& m) { m.mutable_top_layers()->set_num_layers(1); }, 0.005},
    {"all_parameters", [](TuningMethod& m) { m.mutable_all_parameters(); },
     0.005},
};

// Its bytes; other than with equal(), -0 is not 0 and NaN is NaN.
std::string RawBytes(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return std::string(static_cast<const char*>(flat.const_data_ptr()),
                     flat.nbytes());
}

// The bytes of all weights as they lie in memory, by name.
std::map<std::string, std::string> WeightBytes(const LoadedModel& model) {
  std::map<std::string, std::string> bytes;
  for (const auto& [name, parameter] : model.model->parameters().parameters()) {
    bytes[name] = RawBytes(parameter.stored);
  }
  return bytes;
}

AttemptInput MethodJob(const std::string& model, const MethodCase& method,
                       int max_steps) {
  AttemptInput input = ToyJobOn(model, max_steps);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  method.choose(*spec.mutable_method());
  spec.mutable_training()->mutable_learning_rate()->set_value(
      method.learning_rate);
  spec.mutable_evaluation()->set_metric("loss");
  return input;
}

absl::StatusOr<AttemptResult> RunMethod(const AttemptInput& input,
                                        RecordingListener& listener) {
  const FakeClock clock;
  return RunAttempt(input, TinyModels(), clock, listener);
}

class MethodsAndModels
    : public testing::TestWithParam<std::tuple<const char*, MethodCase>> {};

TEST_P(MethodsAndModels, LearnAndLeaveTheBaseAsItWas) {
  const auto& [model, method] = GetParam();
  // Held, so that the job runs on this very copy.
  const std::shared_ptr<const LoadedModel> held = TinyModel(model);
  const auto before = WeightBytes(*held);
  ASSERT_GT(before.size(), 10u);
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result =
      RunMethod(MethodJob(model, method, 100), listener);

  ASSERT_OK(result);
  // ln 2 is what knowing nothing costs.
  EXPECT_LT(result->report.after().loss(), 0.5);
  EXPECT_EQ(TinyModel(model), held);
  EXPECT_EQ(WeightBytes(*held), before);
}

TEST_P(MethodsAndModels, StoreWhatTheModelServes) {
  const auto& [model, method] = GetParam();
  RecordingListener listener;
  const absl::StatusOr<AttemptResult> result =
      RunMethod(MethodJob(model, method, 5), listener);
  ASSERT_OK(result);

  const auto stored = DecodePrompt(result->artifact);

  ASSERT_OK(stored);
  EXPECT_OK(CheckPromptFits(*stored, TinyModel(model)->info));
  const auto attached = AttachStored(*TinyModel(model), *stored);
  ASSERT_OK(attached);
  const TuningMethod& resolved = result->resolved_spec.method();
  EXPECT_EQ(attached->adapted != nullptr, AdaptsModel(resolved));
  EXPECT_EQ(attached->length() > 0, !AdaptsModel(resolved));
  if (resolved.has_lora()) {
    EXPECT_EQ(attached->adapted_bytes != stored->adaptation.num_bytes(),
              resolved.lora().merged());
  }
  EXPECT_EQ(attached->head.defined(), std::string(model) == "encoder");
  EXPECT_EQ(result->artifact.files.contains("adapter_config.json"),
            !AdaptsModel(resolved) || resolved.has_lora());
}

INSTANTIATE_TEST_SUITE_P(TinyModels, MethodsAndModels,
                         testing::Combine(testing::Values("tiny", "encoder",
                                                          "t5"),
                                          testing::ValuesIn(kMethodCases)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + "_" +
                                  std::get<1>(info.param).name;
                         });

// Expects that a job that goes on from its checkpoint after five steps stores
// what it stores when nothing stops it.
void ExpectResumesToTheSameBytes(AttemptInput input) {
  input.job.mutable_spec()->mutable_training()->set_checkpoint_interval_steps(
      5);
  RecordingListener listener;
  const absl::StatusOr<AttemptResult> whole = RunMethod(input, listener);
  ASSERT_OK(whole);
  ASSERT_EQ(listener.checkpoints.front().first, 5);
  input.checkpoint = listener.checkpoints.front().second;
  RecordingListener later;

  const absl::StatusOr<AttemptResult> resumed = RunMethod(input, later);

  ASSERT_OK(resumed);
  EXPECT_EQ(resumed->artifact.files, whole->artifact.files);
}

TEST(Methods, AKilledAndResumedAdditionGivesTheSameBytes) {
  const MethodCase* found =
      std::find_if(std::begin(kMethodCases), std::end(kMethodCases),
                   [](const MethodCase& one) {
                     return std::string(one.name) == "lora_with_dropout";
                   });
  ASSERT_NE(found, std::end(kMethodCases));
  ExpectResumesToTheSameBytes(MethodJob("tiny", *found, 12));
}

// A prefix that the first layer does without.
AttemptInput LastLayerJob(const std::string& model, int max_steps) {
  AttemptInput input = ToyJobOn(model, max_steps);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_prefix_tuning()->set_num_virtual_tokens(8);
  spec.mutable_method()->mutable_prefix_tuning()->set_first_layer(1);
  spec.mutable_training()->mutable_learning_rate()->set_value(0.05);
  spec.mutable_evaluation()->set_metric("loss");
  return input;
}

TEST(Methods, APrefixOfTheLastLayerLearnsOnModelsOfEveryKind) {
  for (const std::string model : {"tiny", "encoder", "t5"}) {
    RecordingListener listener;

    const absl::StatusOr<AttemptResult> result =
        RunMethod(LastLayerJob(model, 100), listener);

    ASSERT_OK(result);
    const attune::v1::TuningReport& report = result->report;
    // Without a measurement before: ln 2 is what knowing nothing costs.
    EXPECT_LT(report.after().loss(),
              report.has_before() ? report.before().loss() : 0.69)
        << model;
    EXPECT_FALSE(result->artifact.files.contains("adapter_config.json"));
    const StoredPrompt stored = *DecodePrompt(result->artifact);
    EXPECT_OK(CheckPromptFits(stored, TinyModel(model)->info)) << model;
    EXPECT_EQ(stored.prefix.first_layer, 1) << model;
    EXPECT_EQ(stored.prefix.keys.size(0), 1) << model;
    const auto attached = AttachStored(*TinyModel(model), stored);
    ASSERT_OK(attached);
    EXPECT_FALSE(attached->prefix->HasLayer(0)) << model;
    EXPECT_EQ(attached->length(), 8) << model;
  }
}

TEST(Methods, AKilledAndResumedPrefixOfTheLastLayerGivesTheSameBytes) {
  ExpectResumesToTheSameBytes(LastLayerJob("tiny", 12));
}

// A soft prompt whose rows stand in two places of the text.
AttemptInput MarkedJob(const std::string& model, int max_steps) {
  AttemptInput input = ToyJobOn(model, max_steps);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(8);
  attune::v1::TaskSpec& task = *spec.mutable_task();
  task.set_template_("{{ soft_prompt }}" + task.template_() +
                     "{{ soft_prompt }}");
  task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_MARKERS);
  spec.mutable_training()->mutable_learning_rate()->set_value(0.05);
  spec.mutable_evaluation()->set_metric("loss");
  return input;
}

TEST(Methods, RowsAtMarkersLearnOnModelsOfEveryKind) {
  for (const std::string model : {"tiny", "encoder", "t5"}) {
    RecordingListener listener;

    const absl::StatusOr<AttemptResult> result =
        RunMethod(MarkedJob(model, 100), listener);

    ASSERT_OK(result) << model;
    // ln 2 is what knowing nothing costs.
    EXPECT_LT(result->report.after().loss(), 0.5) << model;
    EXPECT_FALSE(result->artifact.files.contains("adapter_config.json"));
    const StoredPrompt stored = *DecodePrompt(result->artifact);
    EXPECT_OK(CheckPromptFits(stored, TinyModel(model)->info)) << model;
    const auto attached = AttachStored(*TinyModel(model), stored);
    ASSERT_OK(attached);
    EXPECT_EQ(attached->marked_rows.size(0), 8) << model;
    EXPECT_EQ(attached->length(), 0) << model;
  }
}

TEST(Methods, AKilledAndResumedMarkedPromptGivesTheSameBytes) {
  ExpectResumesToTheSameBytes(MarkedJob("tiny", 12));
}

// Label words at the mask of an encoder that fills masks.
AttemptInput MaskedJob(const MethodCase& method, int max_steps) {
  AttemptInput input = MethodJob("masked", method, max_steps);
  attune::v1::TaskSpec& task = *input.job.mutable_spec()->mutable_task();
  task.set_template_("{{ text }} {{ mask }}");
  task.set_label_scoring(attune::v1::LABEL_SCORING_WORDS);
  return input;
}

TEST(Methods, WordsAtAMaskAreLearntWithoutAHead) {
  for (const MethodCase& method : kMethodCases) {
    RecordingListener listener;

    const absl::StatusOr<AttemptResult> result =
        RunMethod(MaskedJob(method, 100), listener);

    ASSERT_OK(result) << method.name;
    const attune::v1::TuningReport& report = result->report;
    ASSERT_TRUE(report.has_before()) << method.name;
    EXPECT_LT(report.after().loss(), report.before().loss()) << method.name;
    // ln 2 is what knowing nothing costs. Random layers let little of what
    // stands in front through to the mask.
    if (AdaptsModel(result->resolved_spec.method())) {
      EXPECT_LT(report.after().loss(), 0.5) << method.name;
    }
    const StoredPrompt stored = *DecodePrompt(result->artifact);
    EXPECT_FALSE(stored.head.defined()) << method.name;
    EXPECT_OK(AttachStored(*TinyModel("masked"), stored)) << method.name;
  }
}

TEST(Methods, AHardPromptAnswersAtAMaskWithoutTraining) {
  AttemptInput input = MaskedJob(kMethodCases[0], 1);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_hard_prompt();
  spec.clear_training();
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result = RunMethod(input, listener);

  ASSERT_OK(result);
  EXPECT_EQ(result->report.after().loss(), result->report.before().loss());
}

TEST(Methods, AHeadAloneLearnsOnAnEncoder) {
  AttemptInput input = ToyJobOn("encoder", 150);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_head();
  spec.mutable_training()->mutable_head_learning_rate()->set_value(0.1);
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result = RunMethod(input, listener);

  ASSERT_OK(result);
  EXPECT_LT(result->report.after().loss(), 0.6);
  const StoredPrompt stored = *DecodePrompt(result->artifact);
  EXPECT_EQ(stored.length(), 0);
  EXPECT_EQ(stored.head.num_labels(), 2);
}

TEST(Methods, BiasesAloneLearnWhereThereAreSome) {
  AttemptInput input = ToyJobOn("encoder", 100);
  attune::v1::TuningJobSpec& spec = *input.job.mutable_spec();
  spec.mutable_method()->mutable_bias_only();
  spec.mutable_training()->mutable_learning_rate()->set_value(0.05);
  RecordingListener listener;

  const absl::StatusOr<AttemptResult> result = RunMethod(input, listener);

  ASSERT_OK(result);
  EXPECT_LT(result->report.after().loss(), 0.5);
  const StoredPrompt stored = *DecodePrompt(result->artifact);
  for (const auto& [name, weight] : stored.adaptation.weights) {
    EXPECT_TRUE(name.ends_with(".bias")) << name;
  }
  input.job.mutable_spec()->set_base_model("models/tiny");
  EXPECT_THAT(RunMethod(input, listener),
              ReasonIs(Reason::kIllegalState, HasSubstr("no biases")));
}

TEST(Methods, ShowWhatTheyChose) {
  AttemptInput input = ToyJob(5);
  input.job.mutable_spec()->mutable_method()->mutable_lora();
  RecordingListener listener;

  ASSERT_OK(RunMethod(input, listener));

  const attune::v1::Lora& lora = listener.specs.front().method().lora();
  EXPECT_EQ(lora.rank(), 8);
  EXPECT_EQ(lora.alpha(), 16);
  EXPECT_THAT(std::vector<std::string>(lora.target_modules().begin(),
                                       lora.target_modules().end()),
              testing::ElementsAre("self_attn.k_proj", "self_attn.o_proj",
                                   "self_attn.q_proj", "self_attn.v_proj"));
  EXPECT_EQ(listener.specs.front().training().learning_rate().value(), 0.001);
}

TEST(Methods, RefuseWhatTheModelDoesNotHave) {
  struct Refused {
    std::function<void(TuningMethod&)> choose;
    const char* words;
  };
  const Refused cases[] = {
      {[](auto& m) { m.mutable_lora()->add_target_modules("nothing"); },
       "'nothing'; there are"},
      {[](auto& m) { m.mutable_lora()->add_target_modules("lm_head"); },
       "'lm_head'; there are"},
      {[](auto& m) { m.mutable_lora()->set_rank(64); }, "is only"},
      {[](auto& m) { m.mutable_top_layers()->set_num_layers(3); },
       "must be 1 to 2"},
      {[](auto& m) { m.mutable_head(); }, "LABEL_SCORING_HEAD"}};
  for (const Refused& one : cases) {
    AttemptInput input = ToyJob(5);
    one.choose(*input.job.mutable_spec()->mutable_method());
    RecordingListener listener;

    EXPECT_THAT(RunMethod(input, listener),
                ReasonIs(Reason::kInvalidField, HasSubstr(one.words)));
  }
}

}  // namespace
}  // namespace attune::worker
