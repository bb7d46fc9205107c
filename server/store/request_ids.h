#ifndef ATTUNE_SERVER_STORE_REQUEST_IDS_H_
#define ATTUNE_SERVER_STORE_REQUEST_IDS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"

namespace soci {
class session;
}

namespace attune::server {

inline constexpr absl::Duration kRequestIdLifetime = absl::Hours(24);

// INVALID_ARGUMENT naming `path` unless `request_id` is empty or a UUID.
absl::Status CheckRequestId(std::string_view request_id, std::string_view path);

// A hash that two requests share only when they ask for the same.
std::string RequestHash(const google::protobuf::Message& request);

// Requests that were carried out, by their request_id, so that a repeated one
// has no second effect. Written in the transaction of the effect. Stateless;
// `sql` is a transaction of the caller.
class RequestIds {
 public:
  explicit RequestIds(soci::session& sql) : sql_(sql) {}

  // The uid of what an earlier request with this id made; nothing for a new or
  // empty id. kRequestIdReused when that request was another one.
  absl::StatusOr<std::optional<std::string>> Find(std::string_view method,
                                                  std::string_view request_id,
                                                  std::string_view request_hash,
                                                  absl::Time now);

  // Remembers a request for kRequestIdLifetime and forgets outdated ones. Does
  // nothing for an empty id.
  void Remember(std::string_view method, std::string_view request_id,
                std::string_view request_hash, std::string_view uid,
                absl::Time now);

 private:
  soci::session& sql_;
};

// A random UUID (version 4) in lower case.
std::string NewUuid();

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_REQUEST_IDS_H_
