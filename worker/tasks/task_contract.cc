#include "worker/tasks/task_contract.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/strings/ascii.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "worker/tasks/label_calibration.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;

constexpr int kMaxLabels = 1000;
constexpr int kMaxWords = 16;
constexpr size_t kMaxLabelBytes = 256;
constexpr size_t kMaxTemplateBytes = 65'536;
constexpr int kMaxMoreTemplates = 7;
constexpr size_t kMaxSystemBytes = 16'384;
constexpr int kDefaultNewTokens = 64;
constexpr int kDefaultSpanTokens = 30;
constexpr int kMaxSpanTokens = 512;
constexpr int kDefaultOverlap = 64;
constexpr int kMaxOverlap = 2048;
constexpr int kMaxBeams = 16;

std::string WordOfLabel(std::string label) {
  std::replace(label.begin(), label.end(), '_', ' ');
  std::replace(label.begin(), label.end(), '-', ' ');
  absl::StripAsciiWhitespace(&label);
  return label;
}

void CheckLabels(const TaskSpec& task, FieldViolations& violations) {
  std::unordered_map<std::string, int> label_of_word;
  std::unordered_map<std::string, int> place_of_label;
  for (int i = 0; i < task.labels_size(); ++i) {
    const attune::v1::LabelWords& label = task.labels(i);
    const std::string path = Concat("task.labels[", i, "]");
    if (label.label().empty() || label.label().size() > kMaxLabelBytes) {
      violations.Add(Concat(path, ".label"), "must have 1 to 256 bytes");
    }
    if (!place_of_label.try_emplace(label.label(), i).second) {
      violations.Add(Concat(path, ".label"),
                     Concat("'", label.label(), "' is already there"));
    }
    if (label.words_size() > kMaxWords) {
      violations.Add(Concat(path, ".words"),
                     Concat("at most ", kMaxWords, " words per label"));
    }
    // They play no part, and nobody may have chosen them.
    if (task.multi_label()) continue;
    for (int w = 0; w < label.words_size(); ++w) {
      const std::string& word = label.words(w);
      const std::string word_path = Concat(path, ".words[", w, "]");
      if (word.empty() || word != absl::StripAsciiWhitespace(word)) {
        violations.Add(word_path,
                       Concat("'", word,
                              "' must have letters and neither begin nor end "
                              "with white space"));
      }
      const auto [other, is_new] = label_of_word.try_emplace(word, i);
      if (!is_new) {
        violations.Add(word_path,
                       Concat("'", word, "' is already a word of label '",
                              task.labels(other->second).label(), "'"));
      }
    }
  }
}

void CheckDemonstrations(const TaskSpec& task, FieldViolations& violations) {
  constexpr char kPath[] = "task.demonstrations";
  size_t bytes = 0;
  for (int i = 0; i < task.demonstrations_size(); ++i) {
    const attune::v1::Demonstration& one = task.demonstrations(i);
    bytes += one.ByteSizeLong();
    const std::string path = Concat(kPath, "[", i, "]");
    if (one.fields().fields().empty()) {
      violations.Add(Concat(path, ".fields"), "is required");
    }
    if (one.answer().empty()) {
      violations.Add(Concat(path, ".answer"), "is required");
    }
  }
  const int nearest = task.num_nearest_demonstrations();
  const int most = nearest > 0 ? kMaxPoolDemonstrations : kMaxDemonstrations;
  if (task.demonstrations_size() > most || bytes > kMaxDemonstrationsBytes) {
    violations.Add(kPath, Concat("at most ", most, " and ",
                                 kMaxDemonstrationsBytes, " bytes"));
  }
  constexpr char kNearestPath[] = "task.num_nearest_demonstrations";
  if (nearest < 0 || nearest > kMaxDemonstrations) {
    violations.Add(kNearestPath, "must be 0 to 256");
  } else if (nearest > task.demonstrations_size()) {
    violations.Add(kNearestPath,
                   Concat("is ", nearest, ", but the task names ",
                          task.demonstrations_size(), " demonstrations"));
  }
}

// What a token classification does not have.
void CheckTagging(const TaskSpec& task, FieldViolations& violations) {
  for (int i = 0; i < task.labels_size(); ++i) {
    if (task.labels(i).words_size() > 0) {
      violations.Add(Concat("task.labels[", i, "].words"),
                     "a tag has no words: a head weighs tags");
    }
  }
  if (task.truncation().side() == attune::v1::TRUNCATION_SIDE_LEFT) {
    violations.Add("task.truncation.side",
                   "a token classification loses its last words: choose "
                   "TRUNCATION_SIDE_RIGHT or TRUNCATION_SIDE_REFUSE");
  }
  if (task.use_chat_template()) {
    violations.Add("task.use_chat_template",
                   "is not for a token classification");
  }
  if (task.label_scoring() == attune::v1::LABEL_SCORING_WORDS) {
    violations.AddUnsupported("task.label_scoring",
                              "words of tags are not served by this release; "
                              "LABEL_SCORING_HEAD is");
  }
}

void CheckRegression(const TaskSpec& task, FieldViolations& violations) {
  if (task.labels_size() > 0) {
    violations.Add("task.labels", "a regression has no labels");
  }
  if (task.label_scoring() == attune::v1::LABEL_SCORING_WORDS) {
    violations.AddUnsupported("task.label_scoring",
                              "numbers as words are not served by this "
                              "release; LABEL_SCORING_HEAD is");
  }
  const attune::v1::NumberScale& scale = task.number_scale();
  if (task.has_number_scale() &&
      !(std::isfinite(scale.mean()) && std::isfinite(scale.deviation()) &&
        scale.deviation() > 0)) {
    violations.Add("task.number_scale",
                   "must be finite, with a deviation above 0");
  }
}

void CheckExtraction(const TaskSpec& task, FieldViolations& violations) {
  if (task.labels_size() > 0) {
    violations.Add("task.labels", "an extractive QA has no labels");
  }
  if (task.use_chat_template()) {
    violations.Add("task.use_chat_template", "is not for an extractive QA");
  }
  if (task.label_scoring() == attune::v1::LABEL_SCORING_WORDS) {
    violations.Add("task.label_scoring",
                   "words weigh labels; spans need LABEL_SCORING_HEAD");
  }
  const attune::v1::SpanReading& reading = task.span_reading();
  if (reading.max_answer_tokens() < 1 ||
      reading.max_answer_tokens() > kMaxSpanTokens) {
    violations.Add("task.span_reading.max_answer_tokens", "must be 1 to 512");
  }
  if (reading.overlap_tokens() < 0 || reading.overlap_tokens() > kMaxOverlap) {
    violations.Add("task.span_reading.overlap_tokens", "must be 0 to 2,048");
  }
  if (reading.context_field() == task.answer_field()) {
    violations.Add("task.span_reading.context_field",
                   Concat("is '", task.answer_field(),
                          "', as task.answer_field is: name two fields"));
  }
  if (reading.starts_field() == task.answer_field() ||
      reading.starts_field() == reading.context_field()) {
    violations.Add("task.span_reading.starts_field",
                   Concat("is '", reading.starts_field(),
                          "', which another field is: name a field of its "
                          "own"));
  }
}

void CheckCalibration(const TaskSpec& task, FieldViolations& violations) {
  const attune::v1::LabelCalibration& calibration = task.calibration();
  if (task.type() != attune::v1::TASK_TYPE_TEXT_CLASSIFICATION ||
      task.multi_label()) {
    violations.Add("task.calibration",
                   "only a classification by one label has it");
    return;
  }
  if (calibration.content_free() &&
      task.label_scoring() == attune::v1::LABEL_SCORING_HEAD) {
    violations.Add("task.calibration.content_free",
                   "is for label words: a head learns what labels are likely");
  }
  const double abstain = calibration.abstain_below();
  if (!(abstain >= 0 && abstain < 1)) {
    violations.Add("task.calibration.abstain_below",
                   Concat("is ", abstain, "; must be 0 or more and below 1"));
  }
  if (calibration.has_temperature() &&
      !(calibration.temperature().value() >= kMinLabelTemperature &&
        calibration.temperature().value() <= kMaxLabelTemperature)) {
    violations.Add("task.calibration.temperature",
                   Concat("is ", calibration.temperature().value(), "; ",
                          kMinLabelTemperature, " to ", kMaxLabelTemperature));
  }
  // Of a task that leaves its labels to the rows, all there will be are known
  // too late.
  if (calibration.log_priors_size() > 0 &&
      calibration.log_priors_size() != task.labels_size()) {
    violations.Add("task.calibration.log_priors",
                   Concat("are ", calibration.log_priors_size(), " for ",
                          task.labels_size(),
                          " labels that task.labels names: give one for each"));
  }
  if (!std::all_of(calibration.log_priors().begin(),
                   calibration.log_priors().end(),
                   [](double value) { return std::isfinite(value); })) {
    violations.Add("task.calibration.log_priors", "must be finite");
  }
}

void CheckChoice(const TaskSpec& task, FieldViolations& violations) {
  if (task.labels_size() > 0) {
    violations.Add("task.labels",
                   "a multiple choice has no labels: choices come with the "
                   "rows");
  }
  if (task.choices_field() == task.answer_field()) {
    violations.Add("task.choices_field",
                   Concat("is '", task.answer_field(),
                          "', as task.answer_field is: name two fields"));
  }
}

// What may be cut where an input is too long.
void CheckTruncation(const TaskSpec& task, FieldViolations& violations) {
  const attune::v1::Truncation& truncation = task.truncation();
  if (truncation.max_input_tokens() < 0) {
    violations.Add("task.truncation.max_input_tokens", "must be 1 or more");
  }
  if (!attune::v1::TruncationSide_IsValid(truncation.side())) {
    violations.Add("task.truncation.side", "is unknown");
  }
  constexpr char kField[] = "task.truncation.field";
  const std::string& field = truncation.field();
  if (field.empty()) return;
  if (truncation.side() == attune::v1::TRUNCATION_SIDE_REFUSE) {
    violations.Add(kField, "nothing is cut with TRUNCATION_SIDE_REFUSE");
  }
  if (task.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA) {
    violations.Add(kField,
                   "an extractive QA cuts nothing: it reads a long context in "
                   "windows");
  } else if (task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION &&
             field != task.tokens_field()) {
    violations.Add(kField,
                   Concat("a token classification cuts its words only: name '",
                          task.tokens_field(), "' or leave it out"));
  } else if (task.type() == attune::v1::TASK_TYPE_MULTIPLE_CHOICE &&
             field == task.choices_field()) {
    violations.Add(kField, "choices are never cut: name another field");
  }
}

// Templates that answer together.
void CheckMoreTemplates(const TaskSpec& task, FieldViolations& violations) {
  constexpr char kPath[] = "task.more_templates";
  if (task.more_templates().empty()) return;
  if ((task.type() != attune::v1::TASK_TYPE_TEXT_CLASSIFICATION &&
       task.type() != attune::v1::TASK_TYPE_MULTIPLE_CHOICE) ||
      task.multi_label()) {
    violations.Add(kPath,
                   "are for a classification by label words and a multiple "
                   "choice");
  }
  if (task.prompt_placement() == attune::v1::PROMPT_PLACEMENT_MARKERS) {
    violations.Add(kPath,
                   "have no PROMPT_PLACEMENT_MARKERS: nothing is trained "
                   "behind several templates");
  }
  if (task.more_templates_size() > kMaxMoreTemplates) {
    violations.Add(kPath, Concat("at most ", kMaxMoreTemplates));
  }
  std::set<std::string_view> seen = {task.template_()};
  for (int i = 0; i < task.more_templates_size(); ++i) {
    const std::string& one = task.more_templates(i);
    if (one.empty() || one.size() > kMaxTemplateBytes) {
      violations.Add(Concat(kPath, "[", i, "]"), "must have 1 to 65,536 bytes");
    } else if (!seen.insert(one).second) {
      violations.Add(Concat(kPath, "[", i, "]"), "is there twice");
    }
  }
}

// Fields of one type of task in another.
void CheckOwnFields(const TaskSpec& task, FieldViolations& violations) {
  if (task.has_calibration()) CheckCalibration(task, violations);
  if (!task.choices_field().empty() &&
      task.type() != attune::v1::TASK_TYPE_MULTIPLE_CHOICE) {
    violations.Add("task.choices_field", "only a multiple choice has it");
  }
  if (!task.tokens_field().empty() &&
      task.type() != attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION) {
    violations.Add("task.tokens_field", "only a token classification has it");
  }
  if (task.has_number_scale() &&
      task.type() != attune::v1::TASK_TYPE_REGRESSION) {
    violations.Add("task.number_scale", "only a regression has it");
  }
  if (task.has_span_reading() &&
      task.type() != attune::v1::TASK_TYPE_EXTRACTIVE_QA) {
    violations.Add("task.span_reading", "only an extractive QA has it");
  }
  if (!task.multi_label()) return;
  if (task.type() != attune::v1::TASK_TYPE_TEXT_CLASSIFICATION) {
    violations.Add("task.multi_label", "only a text classification has it");
  } else if (task.label_scoring() == attune::v1::LABEL_SCORING_WORDS) {
    violations.AddUnsupported("task.multi_label",
                              "needs LABEL_SCORING_HEAD: words of several "
                              "labels are not served by this release");
  }
}

void CheckType(const TaskSpec& task, FieldViolations& violations) {
  switch (task.type()) {
    case attune::v1::TASK_TYPE_TEXT_CLASSIFICATION:
      return;
    case attune::v1::TASK_TYPE_TEXT_GENERATION:
      if (task.labels_size() > 0) {
        violations.Add("task.labels", "only a classification has labels");
      }
      return;
    case attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION:
      return CheckTagging(task, violations);
    case attune::v1::TASK_TYPE_REGRESSION:
      return CheckRegression(task, violations);
    case attune::v1::TASK_TYPE_EXTRACTIVE_QA:
      return CheckExtraction(task, violations);
    case attune::v1::TASK_TYPE_MULTIPLE_CHOICE:
      return CheckChoice(task, violations);
    default:
      violations.Add("task.type", "is required");
  }
}

void FillReading(attune::v1::SpanReading& reading) {
  if (reading.context_field().empty()) reading.set_context_field("context");
  if (reading.starts_field().empty()) reading.set_starts_field("answer_starts");
  if (reading.max_answer_tokens() == 0) {
    reading.set_max_answer_tokens(kDefaultSpanTokens);
  }
  if (!reading.has_overlap_tokens()) {
    reading.set_overlap_tokens(kDefaultOverlap);
  }
}

std::string_view DefaultAnswerField(const TaskSpec& task) {
  switch (task.type()) {
    case attune::v1::TASK_TYPE_TEXT_GENERATION:
      return "target";
    case attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION:
      return "tags";
    case attune::v1::TASK_TYPE_REGRESSION:
      return "value";
    case attune::v1::TASK_TYPE_EXTRACTIVE_QA:
      return "answers";
    default:
      return task.multi_label() ? "labels" : "label";
  }
}

void CheckPlacement(const TaskSpec& task, FieldViolations& violations) {
  if (task.prompt_placement() == attune::v1::PROMPT_PLACEMENT_FRONT) return;
  if (task.prompt_placement() != attune::v1::PROMPT_PLACEMENT_MARKERS) {
    violations.Add("task.prompt_placement", "is unknown");
  } else if (task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION ||
             task.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA) {
    violations.Add("task.prompt_placement",
                   Concat("PROMPT_PLACEMENT_MARKERS is not for ",
                          attune::v1::TaskType_Name(task.type()),
                          ": its tokens are found by their place, so the rows "
                          "stand in front"));
  }
}

}  // namespace

void FillTaskDefaults(TaskSpec& task) {
  const bool generates = task.type() == attune::v1::TASK_TYPE_TEXT_GENERATION;
  const bool tags = task.type() == attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION;
  if (task.answer_field().empty()) {
    task.set_answer_field(std::string(DefaultAnswerField(task)));
  }
  if (tags && task.tokens_field().empty()) task.set_tokens_field("tokens");
  if (task.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA) {
    FillReading(*task.mutable_span_reading());
  }
  if (task.type() == attune::v1::TASK_TYPE_MULTIPLE_CHOICE &&
      task.choices_field().empty()) {
    task.set_choices_field("choices");
  }
  for (attune::v1::LabelWords& label : *task.mutable_labels()) {
    if (label.words().empty() && !tags) {
      label.add_words(WordOfLabel(label.label()));
    }
  }
  if (task.truncation().side() == attune::v1::TRUNCATION_SIDE_UNSPECIFIED) {
    task.mutable_truncation()->set_side(tags
                                            ? attune::v1::TRUNCATION_SIDE_RIGHT
                                            : attune::v1::TRUNCATION_SIDE_LEFT);
  }
  if (task.prompt_placement() == attune::v1::PROMPT_PLACEMENT_UNSPECIFIED) {
    task.set_prompt_placement(attune::v1::PROMPT_PLACEMENT_FRONT);
  }
  if (generates && task.decoding().max_new_tokens() == 0) {
    task.mutable_decoding()->set_max_new_tokens(kDefaultNewTokens);
  }
}

absl::Status CheckTask(const TaskSpec& task) {
  FieldViolations violations;
  CheckType(task, violations);
  CheckLabels(task, violations);
  CheckDemonstrations(task, violations);
  if (task.template_().empty() || task.template_().size() > kMaxTemplateBytes) {
    violations.Add("task.template", "must have 1 to 65,536 bytes");
  }
  CheckMoreTemplates(task, violations);
  CheckTruncation(task, violations);
  if (!task.system_message().empty() && !task.use_chat_template()) {
    violations.Add("task.system_message", "needs use_chat_template");
  }
  if (task.system_message().size() > kMaxSystemBytes) {
    violations.Add("task.system_message", "must have at most 16,384 bytes");
  }
  CheckPlacement(task, violations);
  if (!attune::v1::LabelScoring_IsValid(task.label_scoring())) {
    violations.Add("task.label_scoring", "is unknown");
  }
  if (task.label_scoring() != attune::v1::LABEL_SCORING_UNSPECIFIED &&
      (task.type() == attune::v1::TASK_TYPE_TEXT_GENERATION ||
       task.type() == attune::v1::TASK_TYPE_MULTIPLE_CHOICE)) {
    violations.Add("task.label_scoring", "only a classification has labels");
  }
  if (task.decoding().max_new_tokens() < 0) {
    violations.Add("task.decoding.max_new_tokens", "must be 1 or more");
  }
  if (task.decoding().num_beams() < 0 ||
      task.decoding().num_beams() > kMaxBeams) {
    violations.Add("task.decoding.num_beams", "must be 0 to 16");
  }
  CheckOwnFields(task, violations);
  return violations.ToStatus();
}

absl::Status CheckHasLabels(const TaskSpec& task) {
  if (task.type() == attune::v1::TASK_TYPE_TEXT_GENERATION ||
      task.type() == attune::v1::TASK_TYPE_REGRESSION ||
      task.type() == attune::v1::TASK_TYPE_EXTRACTIVE_QA ||
      task.type() == attune::v1::TASK_TYPE_MULTIPLE_CHOICE ||
      (task.labels_size() >= 2 && task.labels_size() <= kMaxLabels)) {
    return absl::OkStatus();
  }
  return InvalidField("task.labels",
                      Concat("a classification has 2 to 1,000 labels, not ",
                             task.labels_size()));
}

}  // namespace attune::worker
