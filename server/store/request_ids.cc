#include "server/store/request_ids.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/rand.h>
#include <soci/soci.h>

#include <cctype>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-'
               : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::Status CheckRequestId(std::string_view request_id,
                            std::string_view path) {
  if (request_id.empty() || IsUuid(request_id)) return absl::OkStatus();
  return InvalidField(
      path,
      "must be a UUID such as 5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d10, or "
      "empty");
}

std::string RequestHash(const google::protobuf::Message& request) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream output(&stream);
    // Map entries by key: else equal requests could differ in their bytes.
    output.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&output);
  }
  return Sha256Hex(Concat(request.GetTypeName(), "\n", bytes));
}

absl::StatusOr<std::optional<std::string>> RequestIds::Find(
    std::string_view method, std::string_view request_id,
    std::string_view request_hash, absl::Time now) {
  if (request_id.empty()) return std::optional<std::string>();
  std::string name(method);
  std::string id = absl::AsciiStrToLower(ToAbsl(request_id));
  std::string hash;
  std::string uid;
  int64_t now_us = absl::ToUnixMicros(now);
  sql_ << "SELECT hash, uid FROM requests WHERE method = :m AND "
          "request_id = :r AND expire_time > :t",
      soci::into(hash), soci::into(uid), soci::use(name), soci::use(id),
      soci::use(now_us);
  if (!sql_.got_data()) return std::optional<std::string>();
  if (hash != request_hash) {
    return MakeError(Reason::kRequestIdReused,
                     Concat("request_id '", request_id,
                            "' was used with another request in the last 24 "
                            "hours; use a new one"),
                     {{"request_id", std::string(request_id)}});
  }
  return std::optional<std::string>(uid);
}

void RequestIds::Remember(std::string_view method, std::string_view request_id,
                          std::string_view request_hash, std::string_view uid,
                          absl::Time now) {
  int64_t now_us = absl::ToUnixMicros(now);
  sql_ << "DELETE FROM requests WHERE expire_time <= :t", soci::use(now_us);
  if (request_id.empty()) return;
  std::string name(method);
  std::string id = absl::AsciiStrToLower(ToAbsl(request_id));
  std::string hash(request_hash);
  std::string made(uid);
  int64_t expire_us = absl::ToUnixMicros(now + kRequestIdLifetime);
  sql_ << "INSERT INTO requests (method, request_id, hash, uid, expire_time) "
          "VALUES (:m, :r, :h, :u, :t)",
      soci::use(name), soci::use(id), soci::use(hash), soci::use(made),
      soci::use(expire_us);
}

std::string NewUuid() {
  unsigned char bytes[16];
  RAND_bytes(bytes, sizeof(bytes));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  std::string hex = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes), sizeof(bytes)));
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) +
         "-" + hex.substr(16, 4) + "-" + hex.substr(20);
}

}  // namespace attune::server
