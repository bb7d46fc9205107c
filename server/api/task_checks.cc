#include "server/api/task_checks.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "proto/cc/text.h"

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
  if (task.type() == v1::TASK_TYPE_TEXT_GENERATION && task.labels_size() > 0) {
    violations.Add(path, "is only for TASK_TYPE_TEXT_CLASSIFICATION");
  }
  if (task.type() != v1::TASK_TYPE_TEXT_CLASSIFICATION) return;
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
    } else {
      CheckWords(label, label_path, owners, violations);
    }
  }
}

void CheckDemonstrations(const v1::TaskSpec& task, const std::string& path,
                         FieldViolations& violations) {
  size_t bytes = 0;
  for (const v1::Demonstration& one : task.demonstrations()) {
    bytes += one.ByteSizeLong();
  }
  if (task.demonstrations_size() > kMaxDemonstrations ||
      bytes > kMaxDemonstrationsBytes) {
    violations.Add(path, Concat("has ", task.demonstrations_size(), " of ",
                                bytes, " bytes; at most ", kMaxDemonstrations,
                                " of ", kMaxDemonstrationsBytes, " bytes"));
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

}  // namespace

void CheckTask(const v1::TaskSpec& task, bool labels_required,
               std::string_view path, FieldViolations& violations) {
  const auto at = [path](std::string_view field) {
    return Concat(path, ".", field);
  };
  if (task.type() == v1::TASK_TYPE_UNSPECIFIED) {
    violations.Add(at("type"), "is required");
  }
  if (IsBlank(task.template_())) {
    violations.Add(at("template"), "is required and must not be blank");
  } else if (task.template_().size() > kMaxTemplateBytes) {
    violations.Add(at("template"),
                   Concat("has ", task.template_().size(), " bytes; at most ",
                          kMaxTemplateBytes));
  }
  if (task.answer_field().size() > kMaxLabelBytes) {
    violations.Add(at("answer_field"),
                   Concat("is longer than ", kMaxLabelBytes, " bytes"));
  }
  CheckLabels(task, labels_required, at("labels"), violations);
  CheckDemonstrations(task, at("demonstrations"), violations);
  if (task.truncation().max_input_tokens() < 0) {
    violations.Add(at("truncation.max_input_tokens"),
                   "must be at least 1, or 0 for the default");
  }
  if (task.has_decoding()) {
    if (task.type() == v1::TASK_TYPE_TEXT_CLASSIFICATION) {
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
  }
  if (!task.system_message().empty() && !task.use_chat_template()) {
    violations.Add(at("system_message"), "is only for use_chat_template");
  }
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
