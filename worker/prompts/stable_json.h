#ifndef ATTUNE_WORKER_PROMPTS_STABLE_JSON_H_
#define ATTUNE_WORKER_PROMPTS_STABLE_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace attune::worker {

// `message` as indented proto JSON. Equal messages of one program give equal
// bytes, which the library's own function does not promise for maps.
absl::StatusOr<std::string> ToStableJson(
    const google::protobuf::Message& message);

// Reads proto JSON into `message`. INVALID_ARGUMENT for what does not parse,
// unknown fields included.
absl::Status FromStrictJson(std::string_view json,
                            google::protobuf::Message& message);

// The message's bytes in the wire format; equal messages of one program give
// equal bytes.
std::string StableBytes(const google::protobuf::Message& message);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_STABLE_JSON_H_
