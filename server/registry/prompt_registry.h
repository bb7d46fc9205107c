#ifndef ATTUNE_SERVER_REGISTRY_PROMPT_REGISTRY_H_
#define ATTUNE_SERVER_REGISTRY_PROMPT_REGISTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/prompt_service.pb.h"
#include "proto/cc/clock.h"
#include "proto/cc/resource_names.h"
#include "server/store/page.h"

namespace soci {
class session;
}

namespace attune::server {

class ArtifactStore;
class Database;

// What a request needs to know of a version. Never changes.
struct ResolvedVersion {
  std::string name;  // prompts/{id}/versions/{n}
  std::string base_model;
  std::string model_fingerprint;
  std::string artifact_digest;
  // Without demonstrations of which inputs get the nearest: they are many, and
  // workers find them in the artifact.
  v1::TaskSpec task;
  // That picked its checkpoint; empty if its report does not tell.
  std::string metric;
};

// Prompts, their immutable versions and their aliases. The database is the
// truth; a copy in memory answers Resolve. Thread-safe. All calls but Resolve
// block on the disk. Ids and alias names are checked by the caller.
class PromptRegistry {
 public:
  // database, artifacts, clock: must outlive this.
  static absl::StatusOr<std::unique_ptr<PromptRegistry>> Create(
      Database& database, ArtifactStore& artifacts, const Clock& clock);

  // The version that a name stands for now; from memory (from the database only
  // after it failed). NOT_FOUND: no such prompt, version or alias.
  absl::StatusOr<std::shared_ptr<const ResolvedVersion>> Resolve(
      const PromptReference& reference) const;

  // NOT_FOUND. kInvalidField, kInvalidPageToken for lists; by name.
  absl::StatusOr<v1::Prompt> GetPrompt(std::string_view id) const;
  absl::StatusOr<Page<v1::Prompt>> ListPrompts(
      const PageRequest& request) const;
  absl::StatusOr<v1::PromptVersion> GetVersion(
      const PromptReference& reference) const;
  // Newest first, without the series and changed examples of their reports. A
  // page ends early rather than pass kMaxPageBytes.
  absl::StatusOr<Page<v1::PromptVersion>> ListVersions(
      std::string_view prompt_id, const PageRequest& request) const;

  // NOT_FOUND. FAILED_PRECONDITION: it has versions and `force` is not set
  // (kIllegalState), or an unfinished job tunes it (kResourceInUse). A prompt
  // made again under the id goes on with the version numbers.
  absl::Status DeletePrompt(std::string_view id, bool force);
  // Removes a version and its files. NOT_FOUND. FAILED_PRECONDITION
  // (kResourceInUse): an alias points to it.
  absl::Status DeleteVersion(std::string_view prompt_id, int64_t version);

  // Creates or moves an alias to a version of the same prompt. NOT_FOUND.
  // INVALID_ARGUMENT: the alias is "latest", or the prompts differ.
  absl::StatusOr<v1::Prompt> SetAlias(std::string_view prompt_id,
                                      std::string_view alias,
                                      const PromptReference& version);
  absl::StatusOr<v1::Prompt> DeleteAlias(std::string_view prompt_id,
                                         std::string_view alias);

  // For the transaction that completes a job: stores `version` under the next
  // number of its prompt, which is made if need be, and moves `aliases` to it.
  // Fills in name, uid and create_time. The caller must call Refresh after the
  // commit. kInternal if the job (its uid) has a version already.
  absl::Status AddVersion(soci::session& sql, std::string_view prompt_id,
                          std::string_view job_uid,
                          const std::vector<std::string>& aliases,
                          v1::PromptVersion& version);
  // Brings the copy in memory of one prompt up to date with the database.
  void Refresh(std::string_view prompt_id);

  // How many prompts there are; from memory.
  int64_t Count() const;

  // Digests of artifacts that versions use.
  absl::StatusOr<std::set<std::string>> ReferencedArtifacts() const;

 private:
  // A prompt in memory.
  struct CachedPrompt {
    std::map<int64_t, std::shared_ptr<const ResolvedVersion>> versions;
    std::map<std::string, int64_t, std::less<>> aliases;
  };
  using CachedPromptPtr = std::shared_ptr<const CachedPrompt>;

  PromptRegistry(Database& database, ArtifactStore& artifacts,
                 const Clock& clock);
  absl::Status LoadAll();
  // Null if there is no such prompt.
  absl::StatusOr<CachedPromptPtr> Load(std::string_view prompt_id) const;
  // Removes those artifacts that nothing refers to any more.
  absl::Status RemoveUnused(const std::vector<std::string>& digests);

  Database& database_;
  ArtifactStore& artifacts_;
  const Clock& clock_;
  // Held over reading the database and replacing the copy, so that the newest
  // commit is what stays. Taken before cache_mutex_ and the database's lock.
  absl::Mutex refresh_mutex_;
  mutable absl::Mutex cache_mutex_;
  std::map<std::string, CachedPromptPtr, std::less<>> cache_
      ABSL_GUARDED_BY(cache_mutex_);
  // Prompts whose copy could not be brought up to date.
  std::set<std::string> stale_ ABSL_GUARDED_BY(cache_mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_REGISTRY_PROMPT_REGISTRY_H_
