#ifndef ATTUNE_WORKER_TASKS_ROW_FIELDS_H_
#define ATTUNE_WORKER_TASKS_ROW_FIELDS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"

namespace attune::worker {

// The fields of a row as templates read them: equal numbers have one spelling,
// so that a row of a file and the fields of a request, which are doubles,
// render to the same text. INVALID_ARGUMENT (kInvalidData) for what is no JSON
// object.
absl::StatusOr<nlohmann::json> ParseFields(std::string_view json);
// The other way.
std::string DumpFields(const nlohmann::json& fields);

// The fields of a row as a JSON object, which templates read.
// INVALID_ARGUMENT naming "fields" for numbers that JSON cannot say.
absl::StatusOr<std::string> FieldsToJson(
    const google::protobuf::Struct& fields);

// The other way. INVALID_ARGUMENT (kInvalidData) for what is no JSON object.
absl::StatusOr<google::protobuf::Struct> FieldsFromJson(std::string_view json);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ROW_FIELDS_H_
