#ifndef ATTUNE_SERVER_STORE_ARTIFACT_STORE_H_
#define ATTUNE_SERVER_STORE_ARTIFACT_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/cc/artifact.h"

namespace attune::server {

class ArtifactStore;

// Receives one artifact, file by file. What is not committed is removed when
// this is destroyed. Not thread-safe; may move between threads.
class ArtifactWriter {
 public:
  ~ArtifactWriter();

  // Begins a file. INVALID_ARGUMENT: the name or size is not allowed, the name
  // came already, or the artifact would be too big. DATA_LOSS: the file before
  // does not have its size and digest.
  absl::Status BeginFile(const ArtifactEntry& entry);

  // Adds bytes to the file begun last. INVALID_ARGUMENT: there is none, or they
  // are more than its entry says. kStorageFull, kStorageFailure.
  absl::Status Write(std::string_view bytes);

  // Checks the last file, makes everything durable and visible, and returns the
  // digest. Nothing else may be called afterwards. INVALID_ARGUMENT: no file.
  absl::StatusOr<std::string> Commit();

 private:
  friend class ArtifactStore;
  struct OpenFile;

  ArtifactWriter(ArtifactStore& store, std::string directory);
  absl::Status EndFile();

  ArtifactStore& store_;
  const std::string directory_;  // temporary
  std::vector<ArtifactEntry> entries_;
  int64_t total_bytes_ = 0;
  std::unique_ptr<OpenFile> open_;
};

// The files of prompt versions and checkpoints, by digest:
// {root}/{digest[0:2]}/{digest}/. Beside its files each directory holds
// ".entries", whose SHA-256 is the artifact's digest, so bytes are checked
// against the name they are asked by. Files are written to a temporary
// directory, synced, and renamed. Thread-safe; all calls block on the disk.
// What may be in use is removed only in a transaction that finds no reference
// to it: nobody can begin to refer to it meanwhile.
class ArtifactStore {
 public:
  // Opens or makes `root` and removes what writers of an earlier process left.
  static absl::StatusOr<std::unique_ptr<ArtifactStore>> Open(std::string root);

  // Begins an artifact. The writer must not outlive the store.
  absl::StatusOr<std::unique_ptr<ArtifactWriter>> NewWriter();

  // The files of an artifact, by name. NOT_FOUND: there is none of this digest.
  // DATA_LOSS (kCorruptArtifact): the list of files is damaged.
  absl::StatusOr<std::vector<ArtifactEntry>> Entries(
      std::string_view digest) const;

  // The bytes of one file. DATA_LOSS naming the file when they are not those of
  // its entry, or the file is gone.
  absl::StatusOr<std::string> ReadFile(std::string_view digest,
                                       const ArtifactEntry& entry) const;

  // The whole artifact; errors of both above.
  absl::StatusOr<Artifact> Read(std::string_view digest) const;

  // Checks every file; the entries, or errors of both above.
  absl::StatusOr<std::vector<ArtifactEntry>> Verify(
      std::string_view digest) const;

  bool Contains(std::string_view digest) const;

  // Removes an artifact; OK if there is none.
  absl::Status Remove(std::string_view digest);

  // The digests of artifacts that were committed before `older_than`. (An
  // upload is referred to only after it is complete.)
  absl::StatusOr<std::vector<std::string>> FindOlder(
      absl::Time older_than) const;

  // Removes an artifact unless it was committed, maybe again, at or after
  // `older_than`. Returns whether it did.
  absl::StatusOr<bool> RemoveOlder(std::string_view digest,
                                   absl::Time older_than);

 private:
  friend class ArtifactWriter;

  explicit ArtifactStore(std::string root);
  std::string DirectoryOf(std::string_view digest) const;
  // Whether it is there and was committed before `time`.
  bool IsOlder(std::string_view digest, absl::Time time) const;
  absl::StatusOr<std::string> Publish(
      const std::string& directory, const std::vector<ArtifactEntry>& entries);

  const std::string root_;
  // Held to move directories into place and to remove them.
  absl::Mutex mutex_;
  int64_t next_temporary_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_ARTIFACT_STORE_H_
