#ifndef ATTUNE_SERVER_API_UNSUPPORTED_H_
#define ATTUNE_SERVER_API_UNSUPPORTED_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "google/protobuf/message.h"
#include "proto/cc/status.h"

// What the API describes and this release does not do: the one list of it.
namespace attune::server {

// A method that answers UNIMPLEMENTED (METHOD_NOT_SERVED).
struct UnsupportedMethod {
  std::string_view method;  // attune.v1.{service}.{method}
  std::string_view why;
};
absl::Span<const UnsupportedMethod> UnsupportedMethods();

// The answer of a method of the list.
absl::Status MethodNotServed(std::string_view method);

// Walks everything that is set in `message`, whose own path is `path` (may be
// empty), and adds, with UNSUPPORTED_FIELD, fields and enum values that this
// release does not know; and numbers that are not finite. Rows and inputs
// (google.protobuf.Struct) hold what they like.
void CheckSupported(const google::protobuf::Message& message,
                    std::string_view path, FieldViolations& violations);

// CheckSupported as a status.
absl::Status CheckSupported(const google::protobuf::Message& message);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_UNSUPPORTED_H_
