#include "proto/cc/artifact.h"

#include <algorithm>

#include "absl/strings/ascii.h"

#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune {
namespace {

constexpr size_t kMaxFileNameBytes = 128;
constexpr size_t kDigestDigits = 64;

bool IsFileName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFileNameBytes &&
         name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

bool IsHexDigest(std::string_view digest) {
  return digest.size() == kDigestDigits &&
         std::all_of(digest.begin(), digest.end(), [](char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

std::vector<ArtifactEntry> EntriesOf(const Artifact& artifact) {
  std::vector<ArtifactEntry> entries;
  for (const auto& [name, bytes] : artifact.files) {
    entries.push_back(
        {name, static_cast<int64_t>(bytes.size()), Sha256Hex(bytes)});
  }
  return entries;
}

std::string ArtifactDigest(const std::vector<ArtifactEntry>& entries) {
  Sha256 hash;
  for (const ArtifactEntry& entry : entries) {
    hash.Update(
        Concat(entry.sha256, " ", entry.size_bytes, " ", entry.name, "\n"));
  }
  return hash.HexDigest();
}

std::string ArtifactDigest(const Artifact& artifact) {
  return ArtifactDigest(EntriesOf(artifact));
}

absl::Status CheckArtifactEntry(const ArtifactEntry& entry) {
  if (!IsFileName(entry.name)) {
    return InvalidField("file.name",
                        Concat("'", entry.name,
                               "' is not 1 to 128 of letters, digits, "
                               "'.', '_' and '-' (not '.' first)"));
  }
  if (entry.size_bytes < 0 || entry.size_bytes > kMaxArtifactBytes) {
    return InvalidField(
        "file.size_bytes",
        Concat("file '", entry.name, "' has ", entry.size_bytes,
               " bytes; 0 to ", kMaxArtifactBytes, " are allowed"));
  }
  if (!IsHexDigest(entry.sha256)) {
    return InvalidField("file.sha256",
                        Concat("'", entry.sha256, "' of file '", entry.name,
                               "' is not 64 hexadecimal digits"));
  }
  return absl::OkStatus();
}

absl::Status VerifyArtifactFile(const ArtifactEntry& entry,
                                std::string_view bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (size == entry.size_bytes && Sha256Hex(bytes) == entry.sha256) {
    return absl::OkStatus();
  }
  return MakeError(
      Reason::kCorruptArtifact,
      Concat("file '", entry.name, "' has ", size,
             " bytes that do not match its digest and its size of ",
             entry.size_bytes, " bytes"),
      {{"file", entry.name}});
}

}  // namespace attune
