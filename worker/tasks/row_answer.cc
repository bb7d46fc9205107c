#include "worker/tasks/row_answer.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
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
    return RowError(row, Concat("field '", field, "' is missing"));
  }
  json value = std::move(*found);
  fields.erase(found);
  return value;
}

absl::Status FieldError(int64_t row, const std::string& field,
                        std::string_view wanted, const json& value) {
  return RowError(row, Concat("field '", field, "' must be ", wanted, ", not ",
                              value.type_name()));
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
          row, Concat("field '", field, "': ", tag.dump(),
                      " is no tag: it must be \"O\", or B-, I-, E- or S- and "
                      "the type of an entity without white space"));
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
      return RowError(row, Concat("field '", field, "': ", label.dump(),
                                  " is empty or no text"));
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

}  // namespace

absl::Status RowError(int64_t row, std::string_view what) {
  return MakeError(Reason::kInvalidData, Concat("row ", row, ": ", what),
                   {{"row", std::to_string(row)}});
}

absl::StatusOr<std::string> TakeText(json& fields, const std::string& field,
                                     int64_t row) {
  ATTUNE_ASSIGN_OR_RETURN(const json value, TakeField(fields, field, row));
  if (!value.is_string()) return FieldError(row, field, "a text", value);
  return value.get<std::string>();
}

absl::StatusOr<std::string> TakeAnswer(json& fields, const TaskSpec& task,
                                       int64_t row) {
  const std::string& field = task.answer_field();
  switch (task.type()) {
    case attune::v1::TASK_TYPE_TOKEN_CLASSIFICATION:
      return TakeTags(fields, field, row);
    case attune::v1::TASK_TYPE_REGRESSION:
      return TakeNumber(fields, field, row);
    default:
      return task.multi_label() ? TakeLabels(fields, field, row)
                                : TakeText(fields, field, row);
  }
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

}  // namespace attune::worker
