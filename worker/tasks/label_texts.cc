#include "worker/tasks/label_texts.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/faults.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/row_answer.h"
#include "worker/tasks/split_examples.h"

namespace attune::worker {
namespace {

using nlohmann::json;

// Rows that are read between two pauses.
constexpr size_t kRowsBetweenPauses = 4096;
// Labels that an error names.
constexpr size_t kMaxNamedLabels = 8;

using Places = std::map<std::string, size_t>;  // of labels that are asked for

absl::Status AddText(const TaskProgram& program, const Example& example,
                     const std::string& text_field, const Places& places,
                     LabelTexts& read) {
  const std::string& answer_field = program.task().answer_field();
  if (!program.FindLabel(example.answer).has_value()) {
    return RowError(example.row,
                    Concat("label '", example.answer,
                           "' is not among the labels of the classifier's "
                           "task"),
                    answer_field, example.answer);
  }
  const auto place = places.find(example.answer);
  if (place == places.end()) return absl::OkStatus();
  json fields = json::parse(example.fields);
  ATTUNE_ASSIGN_OR_RETURN(std::string text,
                          TakeText(fields, text_field, example.row));
  text = OneSpaced(std::move(text));
  if (text.empty()) return absl::OkStatus();
  read.texts[place->second].emplace_back(BeginningOf(text, kMaxLabelTextBytes));
  return absl::OkStatus();
}

absl::Status CheckAllHaveTexts(absl::Span<const std::string> labels,
                               const LabelTexts& read) {
  std::string without;
  size_t count = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (!read.texts[i].empty() || ++count > kMaxNamedLabels) continue;
    without += Concat(without.empty() ? "'" : ", '", labels[i], "'");
  }
  if (count == 0) return absl::OkStatus();
  return MakeError(
      Reason::kIllegalState,
      Concat("no training row has a text of the label ", without,
             count > kMaxNamedLabels
                 ? Concat(" and ", count - kMaxNamedLabels, " others")
                 : "",
             ": name the labels that are to get rows, or add a row of each"),
      {{"field", "labels"}});
}

}  // namespace

absl::StatusOr<LabelTexts> ReadLabelTexts(
    const TaskProgram& program, absl::Span<const std::string> rows,
    absl::Span<const std::string> labels, const std::string& text_field,
    const std::function<absl::Status()>& pause) {
  LabelTexts read;
  read.texts.resize(labels.size());
  Places places;
  for (size_t i = 0; i < labels.size(); ++i) places[labels[i]] = i;
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<Example> examples,
      ReadSplitExamples(rows, {.split = "train"}, program.task()));
  for (size_t i = 0; i < examples.size(); ++i) {
    if (i % kRowsBetweenPauses == 0) ATTUNE_RETURN_IF_ERROR(pause());
    ATTUNE_RETURN_IF_ERROR(
        AddText(program, examples[i], text_field, places, read));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % kRowsBetweenPauses == 0) ATTUNE_RETURN_IF_ERROR(pause());
    const json fields = json::parse(rows[i]);  // an object, as was seen above
    const auto text = fields.find(text_field);
    if (text == fields.end() || !text->is_string()) continue;
    read.keys.insert(TextKey(text->get_ref<const std::string&>()));
  }
  ATTUNE_RETURN_IF_ERROR(CheckAllHaveTexts(labels, read));
  return read;
}

}  // namespace attune::worker
