#include "worker/tasks/row_fields.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// Whether every number in `value` is finite.
bool IsJson(const google::protobuf::Value& value) {
  if (value.has_number_value()) {
    return std::isfinite(value.number_value());
  }
  const auto& list = value.list_value().values();
  const auto& fields = value.struct_value().fields();
  return std::all_of(list.begin(), list.end(), IsJson) &&
         std::all_of(fields.begin(), fields.end(),
                     [](const auto& field) { return IsJson(field.second); });
}

}  // namespace

absl::StatusOr<std::string> FieldsToJson(
    const google::protobuf::Struct& fields) {
  // Protobuf would write such a number as a text.
  for (const auto& [name, value] : fields.fields()) {
    if (!IsJson(value)) {
      return InvalidField(Concat("fields.", name),
                          "holds a number that is not finite");
    }
  }
  std::string json;
  const auto status =
      google::protobuf::util::MessageToJsonString(fields, &json);
  if (!status.ok()) {
    return InvalidField("fields",
                        Concat("is no JSON object: ", status.ToString()));
  }
  return json;
}

absl::StatusOr<google::protobuf::Struct> FieldsFromJson(std::string_view json) {
  google::protobuf::Struct fields;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &fields);
  if (!status.ok()) {
    return MakeError(Reason::kInvalidData,
                     Concat("not a JSON object: ", status.ToString()));
  }
  return fields;
}

}  // namespace attune::worker
