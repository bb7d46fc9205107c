#include "worker/tasks/row_fields.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// Integers beyond this do not survive a double, which is what a request's
// fields are made of.
constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

// Gives equal numbers one spelling, so that a row of a file and the fields of
// a request render to the same text.
void NormaliseNumbers(nlohmann::json& value) {
  if (value.is_structured()) {
    for (nlohmann::json& item : value) NormaliseNumbers(item);
    return;
  }
  if (!value.is_number()) return;
  const double number = value.get<double>();
  const bool is_whole =
      std::floor(number) == number && std::abs(number) < kLargestExactInteger;
  if (is_whole) {
    value = static_cast<int64_t>(number);
  } else {
    value = number;
  }
}

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

absl::StatusOr<nlohmann::json> ParseFields(std::string_view json) {
  nlohmann::json fields =
      nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) {
    return MakeError(Reason::kInvalidData,
                     "the fields are not a JSON object in UTF-8");
  }
  NormaliseNumbers(fields);
  return fields;
}

std::string DumpFields(const nlohmann::json& fields) {
  return fields.dump(-1, ' ', /*ensure_ascii=*/false,
                     nlohmann::json::error_handler_t::replace);
}

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
