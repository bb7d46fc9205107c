#ifndef ATTUNE_CLIENT_COMMANDS_ROWS_H_
#define ATTUNE_CLIENT_COMMANDS_ROWS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"

namespace attune::client {

// The rows of a JSON Lines text: one object a line, empty lines skipped.
// INVALID_ARGUMENT "<file>:<line>: ..." for a line that is not a JSON object.
absl::StatusOr<std::vector<google::protobuf::Struct>> ParseRows(
    std::string_view text, std::string_view file);

// One row of "name=text" pairs; the values stay text. INVALID_ARGUMENT for a
// pair without '=' or a name that comes twice.
absl::StatusOr<google::protobuf::Struct> RowOfFields(
    const std::vector<std::string>& fields);

// A row with one field.
google::protobuf::Struct RowOf(const std::string& name,
                               const std::string& text);

// What a person recognises a row by: its only field, or all as "a=1 b=2".
std::string Summary(const google::protobuf::Struct& row);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_ROWS_H_
