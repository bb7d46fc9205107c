#ifndef ATTUNE_WORKER_TASKS_ROW_FIELDS_H_
#define ATTUNE_WORKER_TASKS_ROW_FIELDS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"

namespace attune::worker {

// The fields of a row as a JSON object, which templates read.
// INVALID_ARGUMENT naming "fields" for numbers that JSON cannot say.
absl::StatusOr<std::string> FieldsToJson(
    const google::protobuf::Struct& fields);

// The other way. INVALID_ARGUMENT (kInvalidData) for what is no JSON object.
absl::StatusOr<google::protobuf::Struct> FieldsFromJson(std::string_view json);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_ROW_FIELDS_H_
