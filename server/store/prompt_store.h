#ifndef ATTUNE_SERVER_STORE_PROMPT_STORE_H_
#define ATTUNE_SERVER_STORE_PROMPT_STORE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "attune/v1/prompt_service.pb.h"

namespace soci {
class session;
}

namespace attune::server {

// A prompt as it is stored. Aliases are those that were set; "latest" is not
// among them.
struct PromptRecord {
  int64_t number = 0;  // 0 until stored; never used again
  std::string id;
  std::string uid;
  absl::Time create_time;
  absl::Time update_time;
};

// A version as it is stored: `version` without aliases.
struct VersionRecord {
  int64_t number = 0;
  v1::PromptVersion version;
};

// Prompts, versions and aliases. Stateless; `sql` is a transaction of the
// caller. Methods throw what SOCI throws; Database turns it into a status.
class PromptStore {
 public:
  explicit PromptStore(soci::session& sql) : sql_(sql) {}

  void Insert(PromptRecord& prompt);  // sets its number
  void SetUpdateTime(int64_t prompt, absl::Time time);
  // Removes the prompt with its versions and aliases.
  void Delete(int64_t prompt);
  std::optional<PromptRecord> Find(std::string_view id);
  // Prompts with an id after `after`, by id.
  std::vector<PromptRecord> List(std::string_view after, int limit);

  // The next version number of a prompt of this id, which is then used up.
  int64_t TakeVersionNumber(std::string_view prompt_id);
  void InsertVersion(int64_t prompt, std::string_view job_uid,
                     const VersionRecord& version);
  void DeleteVersion(int64_t prompt, int64_t version);
  std::optional<VersionRecord> FindVersion(int64_t prompt, int64_t version);
  // Versions with a number below `before`, newest first.
  std::vector<VersionRecord> ListVersions(int64_t prompt, int64_t before,
                                          int limit);
  bool HasVersionOfJob(std::string_view job_uid);
  int64_t CountVersions(int64_t prompt);
  // The newest version's number; 0 if there is none.
  int64_t NewestVersion(int64_t prompt);

  void SetAlias(int64_t prompt, std::string_view alias, int64_t version);
  // Whether there was one.
  bool DeleteAlias(int64_t prompt, std::string_view alias);
  std::map<std::string, int64_t> Aliases(int64_t prompt);

  bool IsArtifactUsed(std::string_view digest);
  std::set<std::string> ReferencedArtifacts();

 private:
  soci::session& sql_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_PROMPT_STORE_H_
