#ifndef ATTUNE_CLIENT_COMMANDS_MESSAGE_FILE_H_
#define ATTUNE_CLIENT_COMMANDS_MESSAGE_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "client/commands/document.h"
#include "google/protobuf/message.h"

namespace attune::client {

// Fills `message` from a document by the proto JSON mapping. Field names may be
// snake_case or lowerCamelCase. A YAML word without quotes is what the field
// wants; in a free row, where no field says, it is what YAML 1.2 says (yes and
// no are words). INVALID_ARGUMENT with file and line for an unknown field, a
// field that comes twice, or a value that does not fit; what the values mean is
// for the server to judge.
absl::Status FillMessage(const DocumentNode& document, std::string_view file,
                         google::protobuf::Message& message);

// The field of `map` that `name` means in either spelling, or null.
const DocumentField* FindField(const DocumentNode& map, std::string_view name);
bool SameFieldName(std::string_view a, std::string_view b);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_MESSAGE_FILE_H_
