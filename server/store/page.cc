#include "server/store/page.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

// A token's bytes: version, hash of list and filter, MAC over all the rest,
// position.
constexpr char kVersion = 1;
constexpr size_t kHashBytes = 16;  // as hexadecimal digits
constexpr size_t kMacBytes = 16;
constexpr size_t kFixedBytes = 1 + kHashBytes + kMacBytes;
constexpr size_t kMaxTokenBytes = 1024;

std::string HashOf(std::string_view list, std::string_view filter) {
  return Sha256Hex(Concat(list.size(), ":", list, filter))
      .substr(0, kHashBytes);
}

absl::Status WrongToken(std::string_view why) {
  return MakeError(Reason::kInvalidPageToken,
                   Concat("page_token ", why,
                          "; pass next_page_token of the page before, with the "
                          "same arguments, or leave it empty"));
}

}  // namespace

absl::StatusOr<int> CheckPageSize(int32_t page_size) {
  if (page_size < 0) {
    return InvalidField("page_size",
                        Concat("must not be negative; it is ", page_size));
  }
  if (page_size == 0) return kDefaultPageSize;
  return std::min(page_size, kMaxPageSize);
}

std::string PageTokens::Mac(std::string_view bytes) const {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), mac,
       &size);
  return std::string(reinterpret_cast<const char*>(mac), kMacBytes);
}

std::string PageTokens::Make(std::string_view list, std::string_view filter,
                             std::string_view position) const {
  std::string head = kVersion + HashOf(list, filter);
  std::string mac = Mac(Concat(head, position));
  return absl::WebSafeBase64Escape(Concat(head, mac, position));
}

absl::StatusOr<std::string> PageTokens::Read(std::string_view list,
                                             std::string_view filter,
                                             std::string_view token) const {
  if (token.empty()) return std::string();
  std::string bytes;
  if (token.size() > kMaxTokenBytes ||
      !absl::WebSafeBase64Unescape(ToAbsl(token), &bytes) ||
      bytes.size() < kFixedBytes || bytes[0] != kVersion) {
    return WrongToken("is not one of this server's");
  }
  std::string_view view = bytes;
  std::string_view head = view.substr(0, 1 + kHashBytes);
  std::string_view mac = view.substr(1 + kHashBytes, kMacBytes);
  std::string_view position = view.substr(kFixedBytes);
  std::string expected = Mac(Concat(head, position));
  if (CRYPTO_memcmp(expected.data(), mac.data(), kMacBytes) != 0) {
    return WrongToken("is not one of this server's");
  }
  if (head.substr(1) != HashOf(list, filter)) {
    return WrongToken("belongs to another list or filter");
  }
  return std::string(position);
}

}  // namespace attune::server
