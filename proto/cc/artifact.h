#ifndef ATTUNE_PROTO_CC_ARTIFACT_H_
#define ATTUNE_PROTO_CC_ARTIFACT_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace attune {

// A directory of files that travels and is stored as one: a prompt version or a
// checkpoint. Names are 1 to 128 of letters, digits, '.', '_' and '-', not
// starting with '.'; there are no sub-directories. At most 64 files and 256 MiB
// together. A value.
struct Artifact {
  std::map<std::string, std::string> files;  // name -> bytes
};

inline constexpr int64_t kMaxArtifactFiles = 64;
inline constexpr int64_t kMaxArtifactBytes = int64_t{256} << 20;

// A file of an artifact without its bytes.
struct ArtifactEntry {
  std::string name;
  int64_t size_bytes;
  std::string sha256;  // hexadecimal
};

// The entries of `artifact`, by name.
std::vector<ArtifactEntry> EntriesOf(const Artifact& artifact);

// The digest of the whole: SHA-256 over one line "<sha256> <size> <name>\n" per
// file, by name. `entries` must be sorted by name.
std::string ArtifactDigest(const std::vector<ArtifactEntry>& entries);
std::string ArtifactDigest(const Artifact& artifact);

// INVALID_ARGUMENT when a name or a size is not allowed.
absl::Status CheckArtifactEntry(const ArtifactEntry& entry);

// DATA_LOSS naming the file unless `bytes` has the entry's size and digest.
absl::Status VerifyArtifactFile(const ArtifactEntry& entry,
                                std::string_view bytes);

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_ARTIFACT_H_
