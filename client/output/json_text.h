#ifndef ATTUNE_CLIENT_OUTPUT_JSON_TEXT_H_
#define ATTUNE_CLIENT_OUTPUT_JSON_TEXT_H_

#include <string>
#include <vector>

#include "google/protobuf/message.h"

// Messages as proto JSON: lowerCamelCase names, 64-bit numbers as strings,
// fields with their default left out, as grpcurl prints them.
namespace attune::client {

// On many lines, two spaces deep, with a line break at the end.
std::string ToJson(const google::protobuf::Message& message);

// On one line, with a line break at the end.
std::string ToJsonLine(const google::protobuf::Message& message);

// An array of messages, as ToJson.
std::string ToJsonArray(
    const std::vector<const google::protobuf::Message*>& messages);

// The same for a vector or repeated field of one type of message.
template <typename Messages>
std::string ToJsonArrayOf(const Messages& messages) {
  std::vector<const google::protobuf::Message*> pointers;
  pointers.reserve(messages.size());
  for (const auto& message : messages) {
    pointers.push_back(&message);
  }
  return ToJsonArray(pointers);
}

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_JSON_TEXT_H_
