#include "server/api/task_checks.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "proto/cc/text.h"
#include "server/api/template_checks.h"

namespace attune::server {
namespace {

// The word that stands for a label which has none of its own.
std::string DefaultWord(std::string label) {
  std::replace_if(
      label.begin(), label.end(), [](char c) { return c == '_' || c == '-'; },
      ' ');
  absl::StripAsciiWhitespace(&label);
  return label;
}

// A field's name as the worker fills it in.
std::string OrDefault(const std::string& field, std::string_view usual) {
  return field.empty() ? std::string(usual) : field;
}

bool IsBlank(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isspace(c) != 0; });
}

void CheckWords(const v1::LabelWords& label, const std::string& path,
                std::map<std::string, std::string>& owners,
                FieldViolations& violations) {
  if (label.words_size() > kMaxLabelWords) {
    violations.Add(path + ".words", Concat("has ", label.words_size(),
                                           " words; at most ", kMaxLabelWords));
    return;
  }
  std::vector<std::string> words(label.words().begin(), label.words().end());
  const bool own = !words.empty();
  if (!own) words.push_back(DefaultWord(label.label()));
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word_path =
        own ? Concat(path, ".words[", i, "]") : path + ".label";
    if (words[i].size() > kMaxLabelBytes || IsBlank(words[i])) {
      violations.Add(word_path, Concat("is ", words[i].size(),
                                       " bytes long or blank; 1 to ",
                                       kMaxLabelBytes, " bytes are allowed"));
      continue;
    }
    if (words[i] != absl::StripAsciiWhitespace(words[i])) {
      violations.Add(word_path, Concat("'", words[i],
                                       "' must neither begin nor end with "
                                       "white space"));
      continue;
    }
    const auto [owner, is_new] = owners.emplace(words[i], label.label());
    if (!is_new) {
      violations.Add(word_path,
                     Concat("the word '", words[i], "' stands for label '",
                            owner->second, "' already"));
    }
  }
}

void CheckLabels(const v1::TaskSpec& task, bool required,
                 const std::string& path, FieldViolations& violations) {
  const bool tags = task.type() == v1::TASK_TYPE_TOKEN_CLASSIFICATION;
  if ((task.type() == v1::TASK_TYPE_TEXT_GENERATION ||
       task.type() == v1::TASK_TYPE_REGRESSION ||
       task.type() == v1::TASK_TYPE_EXTRACTIVE_QA ||
       task.type() == v1::TASK_TYPE_MULTIPLE_CHOICE) &&
      task.labels_size() > 0) {
    violations.Add(path, "is only for classifications");
  }
  if (task.type() != v1::TASK_TYPE_TEXT_CLASSIFICATION && !tags) return;
  if (task.labels_size() == 0 && !required) return;
  if (task.labels_size() < kMinLabels || task.labels_size() > kMaxLabels) {
    violations.Add(path,
                   Concat("has ", task.labels_size(), " labels; ", kMinLabels,
                          " to ", kMaxLabels, " are allowed"));
    return;
  }
  std::set<std::string> seen;
  std::map<std::string, std::string> owners;  // word -> label
  for (int i = 0; i < task.labels_size(); ++i) {
    const v1::LabelWords& label = task.labels(i);
    const std::string label_path = Concat(path, "[", i, "]");
    if (label.label().empty() || label.label().size() > kMaxLabelBytes) {
      violations.Add(label_path + ".label",
                     Concat("is ", label.label().size(), " bytes long; 1 to ",
                            kMaxLabelBytes, " are allowed"));
    } else if (!seen.insert(label.label()).second) {
      violations.Add(label_path + ".label",
                     Concat("the label '", label.label(), "' is there twice"));
    } else if (!tags && !task.multi_label()) {
      CheckWords(label, label_path, owners, violations);
    } else if (label.words_size() > 0) {
      violations.Add(label_path + ".words",
                     "a head weighs tags and single labels: they have no "
                     "words");
    }
  }
}

// "O", or a prefix and a type.
bool IsTag(std::string_view text) {
  return text == "O" ||
         (text.size() > 2 && text[1] == '-' &&
          std::string_view("BIES").find(text[0]) != text.npos &&
          std::none_of(text.begin(), text.end(), absl::ascii_isspace));
}

void CheckTagging(const v1::TaskSpec& task, const std::string& path,
                  FieldViolations& violations) {
  bool has_outside = task.labels().empty();
  for (int i = 0; i < task.labels_size(); ++i) {
    const std::string& tag = task.labels(i).label();
    has_outside = has_outside || tag == "O";
    if (!IsTag(tag)) {
      violations.Add(Concat(path, ".labels[", i, "].label"),
                     Concat("'", tag,
                            "' is neither 'O' nor B-, I-, E- or S- and a type "
                            "without white space"));
    }
  }
  if (!has_outside) {
    violations.Add(path + ".labels",
                   "lack 'O', the tag of words outside of entities");
  }
  if (task.truncation().side() == v1::TRUNCATION_SIDE_LEFT) {
    violations.Add(path + ".truncation.side",
                   "a token classification loses its last words: choose "
                   "TRUNCATION_SIDE_RIGHT or TRUNCATION_SIDE_REFUSE");
  }
  if (task.use_chat_template()) {
    violations.Add(path + ".use_chat_template",
                   "is not for TASK_TYPE_TOKEN_CLASSIFICATION");
  }
}

// What only a head can answer.
void CheckHeadTask(const v1::TaskSpec& task, const std::string& path,
                   FieldViolations& violations) {
  if (task.label_scoring() == v1::LABEL_SCORING_WORDS) {
    violations.AddUnsupported(path + ".label_scoring",
                              "this task needs LABEL_SCORING_HEAD");
  }
  if (!task.demonstrations().empty()) {
    violations.Add(path + ".demonstrations",
                   "are for models that answer behind a text; this task needs "
                   "a head");
  }
}

void CheckReading(const v1::TaskSpec& task, const std::string& path,
                  FieldViolations& violations) {
  const v1::SpanReading& reading = task.span_reading();
  const std::string context = OrDefault(reading.context_field(), "context");
  const std::string starts = OrDefault(reading.starts_field(), "answer_starts");
  const std::string answers = OrDefault(task.answer_field(), "answers");
  if (context == answers) {
    violations.Add(path + ".context_field",
                   Concat("is '", context, "', as answer_field is"));
  }
  if (starts == answers || starts == context) {
    violations.Add(
        path + ".starts_field",
        Concat("is '", starts, "', as ",
               starts == answers ? "answer_field" : "context_field", " is"));
  }
  if (reading.max_answer_tokens() < 0 ||
      reading.max_answer_tokens() > kMaxSpanTokens) {
    violations.Add(path + ".max_answer_tokens",
                   Concat("is ", reading.max_answer_tokens(), "; 1 to ",
                          kMaxSpanTokens, ", or 0 for the default"));
  }
  if (reading.overlap_tokens() < 0 ||
      reading.overlap_tokens() > kMaxOverlapTokens) {
    violations.Add(
        path + ".overlap_tokens",
        Concat("is ", reading.overlap_tokens(), "; 0 to ", kMaxOverlapTokens));
  }
  if (reading.context_field().size() > kMaxLabelBytes) {
    violations.Add(path + ".context_field",
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
  if (reading.starts_field().size() > kMaxLabelBytes) {
    violations.Add(path + ".starts_field",
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
}

void CheckCalibration(const v1::TaskSpec& task, bool labels_required,
                      const std::string& path, FieldViolations& violations) {
  const v1::LabelCalibration& calibration = task.calibration();
  if (task.type() != v1::TASK_TYPE_TEXT_CLASSIFICATION || task.multi_label()) {
    violations.Add(path,
                   "is only for TASK_TYPE_TEXT_CLASSIFICATION by one label");
    return;
  }
  if (calibration.content_free() &&
      task.label_scoring() == v1::LABEL_SCORING_HEAD) {
    violations.Add(path + ".content_free",
                   "is for label words: a head learns what labels are likely");
  }
  // Where no job comes before the answers.
  if (labels_required &&
      (calibration.content_free() || calibration.fit_temperature())) {
    violations.Add(path + (calibration.content_free() ? ".content_free"
                                                      : ".fit_temperature"),
                   "is for tuning jobs: give log_priors and temperature here");
  }
  if (calibration.abstain_below() < 0 || calibration.abstain_below() >= 1) {
    violations.Add(path + ".abstain_below",
                   Concat("is ", calibration.abstain_below(),
                          "; must be 0 or more and below 1"));
  }
  if (calibration.has_temperature()) {
    const double temperature = calibration.temperature().value();
    if (temperature < kMinLabelTemperature ||
        temperature > kMaxLabelTemperature) {
      violations.Add(path + ".temperature",
                     Concat("is ", temperature, "; ", kMinLabelTemperature,
                            " to ", kMaxLabelTemperature));
    }
  }
  if (calibration.log_priors_size() > 0 &&
      calibration.log_priors_size() != task.labels_size()) {
    violations.Add(path + ".log_priors",
                   Concat("has ", calibration.log_priors_size(), " for ",
                          task.labels_size(),
                          " labels: name all labels and give one for each"));
  }
}

void CheckChoices(const v1::TaskSpec& task, const std::string& path,
                  FieldViolations& violations) {
  if (task.type() != v1::TASK_TYPE_MULTIPLE_CHOICE) {
    if (!task.choices_field().empty()) {
      violations.Add(path + ".choices_field",
                     "is only for TASK_TYPE_MULTIPLE_CHOICE");
    }
    return;
  }
  if (task.choices_field().size() > kMaxLabelBytes) {
    violations.Add(path + ".choices_field",
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
  if (OrDefault(task.choices_field(), "choices") ==
      OrDefault(task.answer_field(), "label")) {
    violations.Add(path + ".choices_field", "must not be the answer_field");
  }
  if (task.label_scoring() != v1::LABEL_SCORING_UNSPECIFIED) {
    violations.Add(path + ".label_scoring", "is only for classifications");
  }
}

void CheckTruncation(const v1::TaskSpec& task, const std::string& path,
                     FieldViolations& violations) {
  const v1::Truncation& truncation = task.truncation();
  if (truncation.max_input_tokens() < 0) {
    violations.Add(path + ".max_input_tokens",
                   "must be at least 1, or 0 for the default");
  }
  const std::string& field = truncation.field();
  if (field.empty()) return;
  const std::string field_path = path + ".field";
  if (field.size() > kMaxLabelBytes) {
    violations.Add(field_path,
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
  if (truncation.side() == v1::TRUNCATION_SIDE_REFUSE) {
    violations.Add(field_path, "nothing is cut with TRUNCATION_SIDE_REFUSE");
  }
  if (task.type() == v1::TASK_TYPE_EXTRACTIVE_QA) {
    violations.Add(field_path,
                   "is not for TASK_TYPE_EXTRACTIVE_QA, which "
                   "reads a long context in windows");
  } else if (task.type() == v1::TASK_TYPE_TOKEN_CLASSIFICATION &&
             field != OrDefault(task.tokens_field(), "tokens")) {
    violations.Add(field_path,
                   "a token classification cuts its tokens_field only");
  } else if (task.type() == v1::TASK_TYPE_MULTIPLE_CHOICE &&
             field == OrDefault(task.choices_field(), "choices")) {
    violations.Add(field_path, "choices are never cut");
  }
}

// Fields of one type of task in another.
void CheckOwnFields(const v1::TaskSpec& task, const std::string& path,
                    FieldViolations& violations) {
  if (!task.tokens_field().empty()) {
    if (task.type() != v1::TASK_TYPE_TOKEN_CLASSIFICATION) {
      violations.Add(path + ".tokens_field",
                     "is only for TASK_TYPE_TOKEN_CLASSIFICATION");
    } else if (task.tokens_field().size() > kMaxLabelBytes) {
      violations.Add(path + ".tokens_field",
                     Concat("is longer than ", kMaxLabelBytes, " bytes"));
    }
  }
  if (task.multi_label() && task.type() != v1::TASK_TYPE_TEXT_CLASSIFICATION) {
    violations.Add(path + ".multi_label",
                   "is only for TASK_TYPE_TEXT_CLASSIFICATION");
  }
  if (task.type() == v1::TASK_TYPE_EXTRACTIVE_QA) {
    CheckReading(task, path + ".span_reading", violations);
    if (task.use_chat_template()) {
      violations.Add(path + ".use_chat_template",
                     "is not for TASK_TYPE_EXTRACTIVE_QA");
    }
  } else if (task.has_span_reading()) {
    violations.Add(path + ".span_reading",
                   "is only for TASK_TYPE_EXTRACTIVE_QA");
  }
  if (!task.has_number_scale()) return;
  const double deviation = task.number_scale().deviation();
  if (task.type() != v1::TASK_TYPE_REGRESSION) {
    violations.Add(path + ".number_scale", "is only for TASK_TYPE_REGRESSION");
  } else if (!(deviation > 0)) {
    violations.Add(path + ".number_scale.deviation",
                   Concat("is ", deviation, "; must be above 0"));
  }
}

void CheckNumNearest(const v1::TaskSpec& task, const std::string& path,
                     FieldViolations& violations) {
  const int nearest = task.num_nearest_demonstrations();
  if (nearest < 0 || nearest > kMaxDemonstrations) {
    violations.Add(path, Concat("is ", nearest, "; 0 to ", kMaxDemonstrations,
                                " are allowed"));
  } else if (nearest > task.demonstrations_size()) {
    violations.Add(path, Concat("is ", nearest, ", but the task names ",
                                task.demonstrations_size(),
                                " demonstrations; a hard prompt with "
                                "SELECTION_NEAREST chooses them and sets it"));
  }
}

void CheckDemonstrations(const v1::TaskSpec& task, const std::string& path,
                         FieldViolations& violations) {
  const int most = task.num_nearest_demonstrations() > 0
                       ? kMaxPoolDemonstrations
                       : kMaxDemonstrations;
  size_t bytes = 0;
  for (const v1::Demonstration& one : task.demonstrations()) {
    bytes += one.ByteSizeLong();
  }
  if (task.demonstrations_size() > most || bytes > kMaxDemonstrationsBytes) {
    violations.Add(path, Concat("has ", task.demonstrations_size(), " of ",
                                bytes, " bytes; at most ", most, " of ",
                                kMaxDemonstrationsBytes, " bytes"));
    return;
  }
  std::set<std::string> labels;
  for (const v1::LabelWords& label : task.labels()) {
    labels.insert(label.label());
  }
  for (int i = 0; i < task.demonstrations_size(); ++i) {
    const v1::Demonstration& one = task.demonstrations(i);
    const std::string own = Concat(path, "[", i, "]");
    if (one.fields().fields().empty()) {
      violations.Add(own + ".fields", "is required");
    }
    if (one.answer().empty()) {
      violations.Add(own + ".answer", "is required");
    } else if (!labels.empty() && !labels.contains(one.answer())) {
      violations.Add(own + ".answer", Concat("'", one.answer(),
                                             "' is not among the task's "
                                             "labels"));
    }
  }
}

void CheckBeams(const v1::Decoding& decoding, std::string_view path,
                FieldViolations& violations) {
  if (decoding.num_beams() < 0 || decoding.num_beams() > kMaxBeams) {
    violations.Add(Concat(path, ".num_beams"),
                   Concat("is ", decoding.num_beams(), "; 0 to ", kMaxBeams));
  } else if (decoding.num_beams() > 1 && decoding.temperature() > 0) {
    violations.Add(Concat(path, ".num_beams"),
                   "needs a temperature of 0: a beam search does not sample");
  }
  if (!decoding.has_length_penalty()) return;
  const double penalty = decoding.length_penalty().value();
  if (!(std::abs(penalty) <= kMaxLengthPenalty)) {
    violations.Add(Concat(path, ".length_penalty"),
                   Concat("is ", penalty, "; ", -kMaxLengthPenalty, " to ",
                          kMaxLengthPenalty));
  }
}

}  // namespace

bool NeedsHead(const v1::TaskSpec& task) {
  return task.type() == v1::TASK_TYPE_TOKEN_CLASSIFICATION ||
         task.type() == v1::TASK_TYPE_REGRESSION ||
         task.type() == v1::TASK_TYPE_EXTRACTIVE_QA || task.multi_label() ||
         task.label_scoring() == v1::LABEL_SCORING_HEAD;
}

void CheckTask(const v1::TaskSpec& task, bool labels_required,
               std::string_view path, FieldViolations& violations) {
  const auto at = [path](std::string_view field) {
    return Concat(path, ".", field);
  };
  if (task.type() == v1::TASK_TYPE_UNSPECIFIED) {
    violations.Add(at("type"), "is required");
  }
  CheckTemplate(task.template_(), at("template"), violations);
  CheckMoreTemplates(task, at("more_templates"), violations);
  if (task.answer_field().size() > kMaxLabelBytes) {
    violations.Add(at("answer_field"),
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
  CheckLabels(task, labels_required, at("labels"), violations);
  CheckDemonstrations(task, at("demonstrations"), violations);
  CheckNumNearest(task, at("num_nearest_demonstrations"), violations);
  CheckTruncation(task, at("truncation"), violations);
  if (task.has_decoding()) {
    if (task.type() != v1::TASK_TYPE_TEXT_GENERATION) {
      violations.Add(at("decoding"), "is only for TASK_TYPE_TEXT_GENERATION");
    }
    CheckDecoding(task.decoding(), at("decoding"), violations);
    const bool samples = task.decoding().temperature() > 0;
    if (!samples && task.decoding().top_k() > 0) {
      violations.Add(at("decoding.top_k"), "needs a temperature above 0");
    }
    if (!samples && task.decoding().has_top_p()) {
      violations.Add(at("decoding.top_p"), "needs a temperature above 0");
    }
    if (task.decoding().has_length_penalty() &&
        task.decoding().num_beams() <= 1) {
      violations.Add(at("decoding.length_penalty"), "needs num_beams above 1");
    }
  }
  if (!task.system_message().empty() && !task.use_chat_template()) {
    violations.Add(at("system_message"), "is only for use_chat_template");
  }
  CheckOwnFields(task, std::string(path), violations);
  if (task.has_calibration()) {
    CheckCalibration(task, labels_required, at("calibration"), violations);
  }
  CheckChoices(task, std::string(path), violations);
  if (task.type() == v1::TASK_TYPE_TOKEN_CLASSIFICATION) {
    CheckTagging(task, std::string(path), violations);
  }
  if (NeedsHead(task)) CheckHeadTask(task, std::string(path), violations);
  if (task.system_message().size() > kMaxSystemMessageBytes) {
    violations.Add(at("system_message"),
                   Concat("has ", task.system_message().size(),
                          " bytes; at most ", kMaxSystemMessageBytes));
  }
}

void CheckDecoding(const v1::Decoding& decoding, std::string_view path,
                   FieldViolations& violations) {
  const auto at = [path](std::string_view field) {
    return Concat(path, ".", field);
  };
  if (decoding.max_new_tokens() < 0) {
    violations.Add(at("max_new_tokens"),
                   "must be at least 1, or 0 for the default");
  }
  const double temperature = decoding.temperature();
  if (temperature < 0 || temperature > kMaxTemperature) {
    violations.Add(at("temperature"),
                   Concat("is ", temperature, "; 0 to ", kMaxTemperature));
  }
  if (decoding.top_k() < 0) {
    violations.Add(at("top_k"), "must be at least 0");
  }
  if (decoding.has_top_p()) {
    const double top_p = decoding.top_p().value();
    if (!(top_p > 0) || top_p > 1) {
      violations.Add(at("top_p"),
                     Concat("is ", top_p, "; above 0 and at most 1"));
    }
  }
  CheckBeams(decoding, path, violations);
  if (decoding.stop_size() > kMaxStops) {
    violations.Add(at("stop"), Concat("has ", decoding.stop_size(),
                                      " texts; at most ", kMaxStops));
  }
  for (int i = 0; i < std::min(decoding.stop_size(), kMaxStops); ++i) {
    if (decoding.stop(i).empty() || decoding.stop(i).size() > kMaxStopBytes) {
      violations.Add(Concat(at("stop"), "[", i, "]"),
                     Concat("has ", decoding.stop(i).size(), " bytes; 1 to ",
                            kMaxStopBytes));
    }
  }
}

}  // namespace attune::server
