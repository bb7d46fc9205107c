#include "worker/tasks/task_fit.h"

#include <string>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {

using attune::v1::TaskSpec;

void FillModelDefaults(ModelKind kind, TaskSpec& task) {
  if (task.type() == attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
      task.label_scoring() == attune::v1::LABEL_SCORING_UNSPECIFIED) {
    task.set_label_scoring(kind == ModelKind::kEncoder || task.multi_label()
                               ? attune::v1::LABEL_SCORING_HEAD
                               : attune::v1::LABEL_SCORING_WORDS);
  }
  if (task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION ||
      task.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA ||
      task.type() == attune::v1::TASK_TYPE_REGRESSION) {
    task.set_label_scoring(attune::v1::LABEL_SCORING_HEAD);
  }
}

absl::Status CheckFitsModel(const TaskSpec& task, const ModelConfig& config) {
  const std::string model =
      Concat("a ", config.family, " model (", ModelKindName(config.kind), ")");
  const bool is_encoder = config.kind == ModelKind::kEncoder;
  FieldViolations violations;
  if (task.type() == attune::v1::TASK_TYPE_TEXT_GENERATION && is_encoder) {
    violations.Add("task.type", Concat(model,
                                       " can't generate text: choose a "
                                       "base model that predicts tokens"));
  }
  if (task.type() == attune::v1::TASK_TYPE_MULTIPLE_CHOICE && is_encoder) {
    violations.AddUnsupported(
        "task.type",
        Concat("choices on ", model,
               " are not served by this release: choose a base model that "
               "predicts tokens, or make each choice a row of its own and "
               "tell right from wrong, TASK_TYPE_TEXT_CLASSIFICATION"));
  }
  if (!is_encoder &&
      (task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION ||
       task.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA ||
       task.type() == attune::v1::TASK_TYPE_REGRESSION)) {
    violations.AddUnsupported(
        "task.type",
        Concat(attune::v1::TaskType_Name(task.type()), " on ", model,
               " is not served by this release: choose an "
               "encoder as the base model"));
    return violations.ToStatus();
  }
  if (is_encoder && task.demonstrations_size() > 0) {
    violations.Add("task.demonstrations",
                   Concat(model,
                          " does not answer behind a text: choose a base model "
                          "that predicts tokens, or leave them out"));
  }
  if (task.label_scoring() == attune::v1::LABEL_SCORING_HEAD &&
      !task.more_templates().empty() && !task.multi_label()) {
    violations.Add("task.more_templates",
                   "are for label words, and a head weighs these labels");
  }
  if (is_encoder && task.calibration().content_free()) {
    violations.Add(
        "task.calibration.content_free",
        Concat("is for label words behind a text, which ", model, " has not"));
  }
  if (is_encoder && task.label_scoring() == attune::v1::LABEL_SCORING_WORDS &&
      config.head != EncoderHead::kMaskedLanguage) {
    violations.Add("task.label_scoring",
                   Concat("label words of ", model,
                          " are weighed at a mask, and this checkpoint has no "
                          "head that fills masks: choose LABEL_SCORING_HEAD"));
  }
  if (!is_encoder && task.label_scoring() == attune::v1::LABEL_SCORING_HEAD) {
    violations.AddUnsupported(
        "task.label_scoring",
        Concat("a head on ", model, " is not served by this release"));
  }
  return violations.ToStatus();
}

}  // namespace attune::worker
