#include "server/api/unsupported.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>

#include "attune/v1/dataset_service.pb.h"
#include "attune/v1/inference_service.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "google/protobuf/descriptor.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;

// Fields of TuningJobSpec and everything below it. A new field of the protos
// must come here once it works.
const char* const kSupported[] = {"Decoding.length_penalty",
                                  "Decoding.max_new_tokens",
                                  "Decoding.num_beams",
                                  "Decoding.seed",
                                  "Decoding.stop",
                                  "Decoding.temperature",
                                  "Decoding.top_k",
                                  "Decoding.top_p",
                                  "EarlyStopping.min_delta",
                                  "EarlyStopping.patience",
                                  "EvaluationConfig.max_test_rows",
                                  "EvaluationConfig.max_validation_rows",
                                  "EvaluationConfig.metric",
                                  "EvaluationConfig.skip_baseline",
                                  "Demonstration.answer",
                                  "Demonstration.fields",
                                  "HardPrompt.num_demonstrations",
                                  "HardPrompt.selection",
                                  "HardPrompt.template_search",
                                  "Head.dropout",
                                  "InlineRows.rows",
                                  "LabelCalibration.abstain_below",
                                  "LabelCalibration.content_free",
                                  "LabelCalibration.fit_temperature",
                                  "LabelCalibration.log_priors",
                                  "LabelCalibration.temperature",
                                  "LabelWords.label",
                                  "LabelWords.words",
                                  "Lora.alpha",
                                  "Lora.dropout",
                                  "Lora.merged",
                                  "Lora.rank",
                                  "Lora.target_modules",
                                  "NumberScale.deviation",
                                  "NumberScale.mean",
                                  "PrefixTuning.encoder_hidden_size",
                                  "PrefixTuning.first_layer",
                                  "PrefixTuning.init_text",
                                  "PrefixTuning.init_version",
                                  "PrefixTuning.initialisation",
                                  "PrefixTuning.num_layers",
                                  "PrefixTuning.num_virtual_tokens",
                                  "PrefixTuning.projection",
                                  "PromptTuning.encoder_hidden_size",
                                  "PromptTuning.init_text",
                                  "PromptTuning.init_version",
                                  "PromptTuning.initialisation",
                                  "PromptTuning.num_virtual_tokens",
                                  "PromptTuning.reparameterisation",
                                  "SpanReading.context_field",
                                  "SpanReading.max_answer_tokens",
                                  "SpanReading.overlap_tokens",
                                  "SpanReading.starts_field",
                                  "SplitFractions.test",
                                  "SplitFractions.validation",
                                  "TaskSpec.answer_field",
                                  "TaskSpec.calibration",
                                  "TaskSpec.choices_field",
                                  "TaskSpec.decoding",
                                  "TaskSpec.demonstrations",
                                  "TaskSpec.label_scoring",
                                  "TaskSpec.labels",
                                  "TaskSpec.more_templates",
                                  "TaskSpec.multi_label",
                                  "TaskSpec.num_nearest_demonstrations",
                                  "TaskSpec.number_scale",
                                  "TaskSpec.prompt_placement",
                                  "TaskSpec.span_reading",
                                  "TaskSpec.system_message",
                                  "TaskSpec.template",
                                  "TaskSpec.tokens_field",
                                  "TaskSpec.truncation",
                                  "TaskSpec.type",
                                  "TaskSpec.use_chat_template",
                                  "TemplateSearch.ensemble_size",
                                  "TemplateSearch.label_words",
                                  "TemplateSearch.num_generated",
                                  "TemplateSearch.skip_patterns",
                                  "TemplateSearch.templates",
                                  "TopLayers.num_layers",
                                  "TrainingConfig.adafactor_clip_threshold",
                                  "TrainingConfig.adafactor_decay_rate",
                                  "TrainingConfig.adafactor_scale_parameter",
                                  "TrainingConfig.adam_beta1",
                                  "TrainingConfig.adam_beta2",
                                  "TrainingConfig.adam_epsilon",
                                  "TrainingConfig.batch_size",
                                  "TrainingConfig.checkpoint_interval_steps",
                                  "TrainingConfig.early_stopping",
                                  "TrainingConfig.ema_decay",
                                  "TrainingConfig.gradient_accumulation_steps",
                                  "TrainingConfig.group_by_length",
                                  "TrainingConfig.head_learning_rate",
                                  "TrainingConfig.label_smoothing",
                                  "TrainingConfig.learning_rate",
                                  "TrainingConfig.learning_rate_schedule",
                                  "TrainingConfig.max_duration",
                                  "TrainingConfig.max_epochs",
                                  "TrainingConfig.max_grad_norm",
                                  "TrainingConfig.max_steps",
                                  "TrainingConfig.optimizer",
                                  "TrainingConfig.plateau_factor",
                                  "TrainingConfig.plateau_min_factor",
                                  "TrainingConfig.plateau_patience",
                                  "TrainingConfig.polynomial_end_factor",
                                  "TrainingConfig.polynomial_power",
                                  "TrainingConfig.precision",
                                  "TrainingConfig.seed",
                                  "TrainingConfig.sgd_momentum",
                                  "TrainingConfig.stratify_labels",
                                  "TrainingConfig.validation_interval_epochs",
                                  "TrainingConfig.validation_interval_steps",
                                  "TrainingConfig.warmup_ratio",
                                  "TrainingConfig.warmup_steps",
                                  "TrainingConfig.weight_decay",
                                  "Truncation.field",
                                  "Truncation.max_input_tokens",
                                  "Truncation.side",
                                  "TuningData.dataset",
                                  "TuningData.fractions",
                                  "TuningData.inline",
                                  "TuningData.split_seed",
                                  "TuningJobSpec.aliases",
                                  "TuningJobSpec.base_model",
                                  "TuningJobSpec.data",
                                  "TuningJobSpec.evaluation",
                                  "TuningJobSpec.method",
                                  "TuningJobSpec.prompt",
                                  "TuningJobSpec.task",
                                  "TuningJobSpec.training",
                                  "TuningMethod.all_parameters",
                                  "TuningMethod.bias_only",
                                  "TuningMethod.hard_prompt",
                                  "TuningMethod.head",
                                  "TuningMethod.lora",
                                  "TuningMethod.prefix_tuning",
                                  "TuningMethod.prompt_tuning",
                                  "TuningMethod.top_layers"};

// Adds the full names of all fields below `type`.
void Walk(const Descriptor* type, std::set<std::string>& fields) {
  if (type->file()->package() != "attune.v1") return;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const bool is_new = fields.insert(field->full_name()).second;
    if (is_new && field->message_type() != nullptr) {
      Walk(field->message_type(), fields);
    }
  }
}

TEST(Unsupported, EveryFieldOfASpecIsSupported) {
  std::set<std::string> decided;
  for (const char* name : kSupported) {
    decided.insert(std::string("attune.v1.") + name);
  }
  std::set<std::string> found;
  Walk(v1::TuningJobSpec::descriptor(), found);

  EXPECT_EQ(found, decided);
}

TEST(Unsupported, EveryRowOfTheTablesNamesSomethingThatExists) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  for (const UnsupportedMethod& row : UnsupportedMethods()) {
    EXPECT_NE(pool.FindMethodByName(std::string(row.method)), nullptr)
        << row.method;
  }
}

TEST(Unsupported, UnknownFieldsAreRefusedWhereTheyStand) {
  v1::CreateTuningJobRequest request;
  auto* task = request.mutable_tuning_job()->mutable_spec()->mutable_task();
  task->GetReflection()->MutableUnknownFields(task)->AddVarint(999, 1);

  const absl::Status status = CheckSupported(request);

  EXPECT_THAT(status,
              NamesField(Reason::kUnsupportedField, "tuning_job.spec.task"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnimplemented,
                               testing::HasSubstr("field number 999")));
}

TEST(Unsupported, UnknownEnumNumbersAreRefused) {
  v1::TaskSpec task;
  task.set_type(static_cast<v1::TaskType>(77));

  EXPECT_THAT(CheckSupported(task),
              NamesField(Reason::kUnsupportedField, "type"));
}

TEST(Unsupported, NumbersThatAreNotFiniteAreRefused) {
  v1::TrainingConfig training;
  training.mutable_learning_rate()->set_value(
      std::numeric_limits<double>::quiet_NaN());

  EXPECT_THAT(CheckSupported(training),
              NamesField(Reason::kInvalidField, "learning_rate"));

  training.mutable_learning_rate()->set_value(0.1);
  training.set_weight_decay(std::numeric_limits<double>::infinity());

  EXPECT_THAT(CheckSupported(training),
              NamesField(Reason::kInvalidField, "weight_decay"));
}

TEST(Unsupported, AMethodOutsideTheListIsABug) {
  EXPECT_THAT(MethodNotServed("attune.v1.TuningService.GetTuningJob"),
              ReasonIs(Reason::kInternal, testing::_));
}

}  // namespace
}  // namespace attune::server
