#ifndef ATTUNE_SERVER_STORE_PAGE_H_
#define ATTUNE_SERVER_STORE_PAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::server {

inline constexpr int kDefaultPageSize = 50;
inline constexpr int kMaxPageSize = 1000;
// A page ends early rather than grow past this, so that a client's default
// limit of 4 MiB for one message holds.
inline constexpr int64_t kMaxPageBytes = int64_t{3} << 20;

// What a list call asks for, as it stands in the request.
struct PageRequest {
  int32_t page_size = 0;
  std::string page_token;
  std::string filter;
};

// What a list call answers. An empty token ends the list.
template <typename T>
struct Page {
  std::vector<T> items;
  std::string next_page_token;
};

// The number of items to return: 0 means kDefaultPageSize, more than
// kMaxPageSize means that. INVALID_ARGUMENT naming "page_size" when negative.
absl::StatusOr<int> CheckPageSize(int32_t page_size);

// Makes and reads page tokens: base64url over a version, the order key of the
// last item, a hash of list and filter, and a MAC with a key of the database's
// own, so that a caller can neither read along a token nor make one up. Const
// after construction; thread-safe.
class PageTokens {
 public:
  // key: secret bytes, kept with the database so that tokens outlive restarts.
  explicit PageTokens(std::string key) : key_(std::move(key)) {}

  // list: what is listed, e.g. "jobs" or "versions/x". position: the order key
  // of the last item of the page.
  std::string Make(std::string_view list, std::string_view filter,
                   std::string_view position) const;

  // The position in `token`; empty for an empty token. INVALID_ARGUMENT
  // (kInvalidPageToken) when the token was not made here, was changed, or
  // belongs to another list or filter.
  absl::StatusOr<std::string> Read(std::string_view list,
                                   std::string_view filter,
                                   std::string_view token) const;

 private:
  std::string Mac(std::string_view bytes) const;

  const std::string key_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_PAGE_H_
