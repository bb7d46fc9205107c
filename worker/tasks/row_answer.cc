#include "worker/tasks/row_answer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/tasks/faults.h"
#include "worker/tasks/input_choices.h"
#include "worker/tasks/tag_scheme.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using nlohmann::json;

// Takes the value of `field` out of `fields`.
absl::StatusOr<json> TakeField(json& fields, const std::string& field,
                               int64_t row) {
  const auto found = fields.find(field);
  if (found == fields.end()) {
    return RowError(row, Concat("field '", field, "' is missing"), field);
  }
  json value = std::move(*found);
  fields.erase(found);
  return value;
}

absl::Status FieldError(int64_t row, const std::string& field,
                        std::string_view wanted, const json& value) {
  return RowError(row,
                  Concat("field '", field, "' must be ", wanted, ", not ",
                         value.type_name()),
                  field);
}

// -> tags joined by spaces.
absl::StatusOr<std::string> TakeTags(json& fields, const std::string& field,
                                     int64_t row) {
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  if (!value.is_array()) return FieldError(row, field, "a list of tags", value);
  std::string tags;
  for (const json& tag : value) {
    if (!tag.is_string() ||
        !TagScheme::IsTag(tag.get_ref<const std::string&>())) {
      return RowError(
          row,
          Concat("field '", field, "': ", tag.dump(),
                 " is no tag: it must be \"O\", or B-, I-, E- or S- and "
                 "the type of an entity without white space"),
          field);
    }
    tags += Concat(tags.empty() ? "" : " ", tag.get_ref<const std::string&>());
  }
  return tags;
}

// -> labels, sorted, as a JSON list.
absl::StatusOr<std::string> TakeLabels(json& fields, const std::string& field,
                                       int64_t row) {
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  if (!value.is_array()) {
    return FieldError(row, field, "a list of labels", value);
  }
  std::set<std::string> labels;
  for (const json& label : value) {
    if (!label.is_string() || label.get_ref<const std::string&>().empty()) {
      return RowError(
          row,
          Concat("field '", field, "': ", label.dump(), " is empty or no text"),
          field);
    }
    labels.insert(label.get<std::string>());
  }
  return json(labels).dump();
}

// -> a JSON number, also of one that is written as a text.
absl::StatusOr<std::string> TakeNumber(json& fields, const std::string& field,
                                       int64_t row) {
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  double number = std::nan("");
  if (value.is_number()) {
    number = value.get<double>();
  } else if (value.is_string() &&
             !absl::SimpleAtod(value.get_ref<const std::string&>(), &number)) {
    number = std::nan("");
  }
  if (!std::isfinite(number)) {
    return FieldError(row, field, "a finite number", value);
  }
  return json(number).dump();
}

// -> the text of the right choice, of which the row has the place or the text.
absl::StatusOr<std::string> TakeChoice(json& fields, const TaskSpec& task,
                                       int64_t row) {
  const absl::StatusOr<std::vector<std::string>> choices =
      ReadChoices(fields, task.choices_field());
  if (!choices.ok()) return RowError(row, ToStd(choices.status().message()));
  const std::string& field = task.answer_field();
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (std::find(choices->begin(), choices->end(), text) != choices->end()) {
      return text;
    }
    return RowError(row, Concat("field '", field, "': '", text,
                                "' is none of the choices in field '",
                                task.choices_field(), "'"));
  }
  if (!value.is_number()) {
    return FieldError(row, field, "the right choice's place or its text",
                      value);
  }
  const double place = value.get<double>();
  if (!(place >= 0 && place < static_cast<double>(choices->size()) &&
        place == std::floor(place))) {
    return RowError(
        row,
        Concat("field '", field, "' is ", value.dump(), "; ", choices->size(),
               " choices have the places 0 to ", choices->size() - 1));
  }
  return (*choices)[static_cast<size_t>(place)];
}

// No context is as long.
constexpr double kFarthest = 1e9;

// Byte of the character `position` of `text`; npos beyond its end.
size_t ByteOfCharacter(std::string_view text, int64_t position) {
  if (position < 0) return text.npos;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (position-- == 0) return i;
  }
  return text.npos;
}

// Where `answer` stands, without white space at its ends: at character `start`,
// or first.
absl::StatusOr<ContextSpan> FindSpan(const std::string& context,
                                     const std::string& answer,
                                     std::optional<int64_t> start) {
  const std::string_view bare = ToStd(absl::StripAsciiWhitespace(answer));
  if (bare.empty()) {
    return absl::InvalidArgumentError(
        "an answer is empty: leave it out where there is none");
  }
  const size_t begin = start.has_value() ? ByteOfCharacter(context, *start)
                                         : context.find(answer);
  if (begin == context.npos ||
      context.compare(begin, answer.size(), answer) != 0) {
    return absl::InvalidArgumentError(
        Concat("answer '", answer, "' does not stand in the context",
               start.has_value() ? Concat(" at character ", *start) : ""));
  }
  const size_t bare_begin = begin + (bare.data() - answer.data());
  return ContextSpan{.begin = bare_begin, .end = bare_begin + bare.size()};
}

// The answers of a row as texts: a list of them, or one.
std::optional<std::vector<std::string>> ReadTexts(const json& value) {
  if (value.is_string()) {
    return std::vector<std::string>{value.get<std::string>()};
  }
  if (!value.is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const json& text : value) {
    if (!text.is_string()) return std::nullopt;
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

// -> the right answers of a generation, at least one.
absl::StatusOr<std::vector<std::string>> TakeRightTexts(
    json& fields, const std::string& field, int64_t row) {
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  std::optional<std::vector<std::string>> texts = ReadTexts(value);
  if (!texts.has_value()) {
    return FieldError(row, field, "a text or a list of texts", value);
  }
  if (texts->empty() || texts->size() > kMaxRightTexts) {
    return RowError(
        row,
        Concat("field '", field, "' has ", texts->size(),
               " right answers; 1 to ", kMaxRightTexts, " are allowed"),
        field);
  }
  if (value.is_array() &&
      std::find(texts->begin(), texts->end(), "") != texts->end()) {
    return RowError(
        row, Concat("field '", field, "': one of its right answers is empty"),
        field);
  }
  return *std::move(texts);
}

// Takes answers and where they begin out of `fields`.
absl::StatusOr<std::string> TakeSpans(json& fields, const TaskSpec& task,
                                      int64_t row) {
  const attune::v1::SpanReading& reading = task.span_reading();
  const auto context = fields.find(reading.context_field());
  if (context == fields.end() || !context->is_string()) {
    return RowError(row,
                    Concat("field '", reading.context_field(),
                           "' with the context is missing or no text"),
                    reading.context_field());
  }
  const std::string text = context->get<std::string>();
  const auto found = fields.find(task.answer_field());
  if (found == fields.end()) {
    return RowError(row,
                    Concat("field '", task.answer_field(),
                           "' is missing: give a list of texts, an empty one "
                           "where the context has no answer"),
                    task.answer_field());
  }
  const std::optional<std::vector<std::string>> answers = ReadTexts(*found);
  if (!answers.has_value()) {
    return RowError(
        row,
        Concat("field '", task.answer_field(), "' must be a list of texts"),
        task.answer_field());
  }
  const auto starts = fields.find(reading.starts_field());
  const bool has_starts = starts != fields.end();
  if (has_starts &&
      (!starts->is_array() || starts->size() != answers->size())) {
    return RowError(row,
                    Concat("field '", reading.starts_field(),
                           "' must be a list of as many numbers as there are "
                           "answers, ",
                           answers->size()),
                    reading.starts_field());
  }
  json places = json::array();
  for (size_t i = 0; i < answers->size(); ++i) {
    std::optional<int64_t> start;
    if (has_starts) {
      const json& place = (*starts)[i];
      const double at = place.is_number() ? place.get<double>() : -1;
      if (!(at >= 0 && at < kFarthest && at == std::floor(at))) {
        return RowError(row,
                        Concat("field '", reading.starts_field(),
                               "' must be a list of whole numbers from 0 on, "
                               "not ",
                               place.dump()),
                        reading.starts_field());
      }
      start = static_cast<int64_t>(at);
    }
    const absl::StatusOr<ContextSpan> span =
        FindSpan(text, (*answers)[i], start);
    if (!span.ok()) {
      return RowError(row,
                      Concat("field '", task.answer_field(),
                             "': ", ToStd(span.status().message())),
                      task.answer_field());
    }
    places.push_back({span->begin, span->end});
  }
  fields.erase(task.answer_field());
  fields.erase(reading.starts_field());
  return places.dump();
}

// -> the answer of a task whose rows have one.
absl::StatusOr<std::string> TakeOneAnswer(json& fields, const TaskSpec& task,
                                          int64_t row) {
  const std::string& field = task.answer_field();
  switch (task.type()) {
    case attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION:
      return TakeTags(fields, field, row);
    case attune::v1::TASK_TYPE_EXTRACTIVE_QA:
      return TakeSpans(fields, task, row);
    case attune::v1::TASK_TYPE_REGRESSION:
      return TakeNumber(fields, field, row);
    case attune::v1::TASK_TYPE_MULTIPLE_CHOICE:
      return TakeChoice(fields, task, row);
    default:
      return task.multi_label() ? TakeLabels(fields, field, row)
                                : TakeText(fields, field, row);
  }
}

}  // namespace

absl::StatusOr<std::string> TakeText(json& fields, const std::string& field,
                                     int64_t row) {
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  if (!value.is_string()) return FieldError(row, field, "a text", value);
  return value.get<std::string>();
}

absl::StatusOr<RowAnswer> TakeAnswer(json& fields, const TaskSpec& task,
                                     int64_t row) {
  const std::string& field = task.answer_field();
  RowAnswer answer;
  if (task.type() == attune::v1::TASK_TYPE_TEXT_GENERATION) {
    ATTUNE_ASSIGN_OR_RETURN(answer.others, TakeRightTexts(fields, field, row));
    answer.text = std::move(answer.others.front());
    answer.others.erase(answer.others.begin());
  } else {
    ATTUNE_ASSIGN_OR_RETURN(answer.text, TakeOneAnswer(fields, task, row));
  }
  if (answer.text.empty()) {
    return RowError(row, Concat("field '", field, "' is empty"), field);
  }
  return answer;
}

std::vector<std::string> SplitTags(std::string_view answer) {
  return absl::StrSplit(ToAbsl(answer), ' ');
}

std::vector<std::string> SplitLabels(std::string_view answer) {
  return json::parse(answer).get<std::vector<std::string>>();
}

double NumberOf(std::string_view answer) {
  return json::parse(answer).get<double>();
}

std::vector<ContextSpan> SpansOf(std::string_view answer) {
  std::vector<ContextSpan> spans;
  for (const json& place : json::parse(answer)) {
    spans.push_back(
        {.begin = place[0].get<size_t>(), .end = place[1].get<size_t>()});
  }
  return spans;
}

}  // namespace attune::worker
