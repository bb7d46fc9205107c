#include "server/registry/prompt_registry.h"

#include <soci/soci.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "google/protobuf/util/time_util.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/store/artifact_store.h"
#include "server/store/database.h"
#include "server/store/job_store.h"
#include "server/store/prompt_store.h"
#include "server/store/request_ids.h"

namespace attune::server {
namespace {

using google::protobuf::Timestamp;
using google::protobuf::util::TimeUtil;

Timestamp ToTimestamp(absl::Time time) {
  return TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(time));
}

std::string PromptName(std::string_view id) {
  return ResourceName(kPromptCollection, id);
}

absl::StatusOr<PromptRecord> FindPrompt(soci::session& sql,
                                        std::string_view id) {
  std::optional<PromptRecord> record = PromptStore(sql).Find(id);
  if (!record) return NotFound("prompt", PromptName(id));
  return *std::move(record);
}

v1::Prompt ToPrompt(soci::session& sql, const PromptRecord& record) {
  PromptStore store(sql);
  v1::Prompt prompt;
  prompt.set_name(PromptName(record.id));
  prompt.set_uid(record.uid);
  for (const auto& [alias, version] : store.Aliases(record.number)) {
    (*prompt.mutable_aliases())[alias] = version;
  }
  int64_t newest = store.NewestVersion(record.number);
  if (newest > 0) {
    (*prompt.mutable_aliases())[std::string(kLatestAlias)] = newest;
  }
  prompt.set_num_versions(store.CountVersions(record.number));
  *prompt.mutable_create_time() = ToTimestamp(record.create_time);
  *prompt.mutable_update_time() = ToTimestamp(record.update_time);
  return prompt;
}

absl::Status NoAlias(std::string_view id, std::string_view alias) {
  if (alias == kLatestAlias) {
    return NotFound("version of prompt", PromptName(id));
  }
  return NotFound("alias", Concat(PromptName(id), "@", alias));
}

// The number that a reference stands for; the prompt's number comes with it.
absl::StatusOr<int64_t> NumberOf(soci::session& sql, const PromptRecord& prompt,
                                 const PromptReference& reference) {
  if (const auto* number = std::get_if<int64_t>(&reference.version)) {
    return *number;
  }
  const std::string& alias = std::get<std::string>(reference.version);
  PromptStore store(sql);
  if (alias == kLatestAlias) {
    int64_t newest = store.NewestVersion(prompt.number);
    if (newest > 0) return newest;
  } else {
    std::map<std::string, int64_t> aliases = store.Aliases(prompt.number);
    auto found = aliases.find(alias);
    if (found != aliases.end()) return found->second;
  }
  return NoAlias(prompt.id, alias);
}

absl::StatusOr<VersionRecord> FindVersion(soci::session& sql,
                                          const PromptRecord& prompt,
                                          int64_t number) {
  std::optional<VersionRecord> version =
      PromptStore(sql).FindVersion(prompt.number, number);
  if (!version) {
    return NotFound("prompt version", VersionName(prompt.id, number));
  }
  return *std::move(version);
}

// `record` with the aliases that point to it now.
v1::PromptVersion ToVersion(VersionRecord record,
                            const std::map<std::string, int64_t>& aliases,
                            int64_t newest) {
  v1::PromptVersion version = std::move(record.version);
  for (const auto& [alias, number] : aliases) {
    if (number == record.number) version.add_aliases(alias);
  }
  if (record.number == newest) {
    version.add_aliases(std::string(kLatestAlias));
  }
  return version;
}

std::shared_ptr<const ResolvedVersion> ToResolved(
    const v1::PromptVersion& version) {
  auto resolved = std::make_shared<ResolvedVersion>();
  resolved->name = version.name();
  resolved->base_model = version.base_model();
  resolved->model_fingerprint = version.model_fingerprint();
  resolved->artifact_digest = version.artifact_digest();
  resolved->task = version.task();
  if (version.task().num_nearest_demonstrations() > 0) {
    resolved->task.clear_demonstrations();
  }
  resolved->metric = version.report().validation_metric_name();
  return resolved;
}

}  // namespace

PromptRegistry::PromptRegistry(Database& database, ArtifactStore& artifacts,
                               const Clock& clock)
    : database_(database), artifacts_(artifacts), clock_(clock) {}

absl::StatusOr<std::unique_ptr<PromptRegistry>> PromptRegistry::Create(
    Database& database, ArtifactStore& artifacts, const Clock& clock) {
  std::unique_ptr<PromptRegistry> registry(
      new PromptRegistry(database, artifacts, clock));
  ATTUNE_RETURN_IF_ERROR(registry->LoadAll());
  return registry;
}

absl::Status PromptRegistry::LoadAll() {
  std::vector<PromptRecord> prompts;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    prompts = PromptStore(sql).List("", std::numeric_limits<int>::max());
    return absl::OkStatus();
  }));
  for (const PromptRecord& prompt : prompts) {
    ATTUNE_ASSIGN_OR_RETURN(CachedPromptPtr cached, Load(prompt.id));
    absl::MutexLock lock(&cache_mutex_);
    cache_[prompt.id] = std::move(cached);
  }
  return absl::OkStatus();
}

absl::StatusOr<PromptRegistry::CachedPromptPtr> PromptRegistry::Load(
    std::string_view prompt_id) const {
  auto cached = std::make_shared<CachedPrompt>();
  bool exists = false;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    PromptStore store(sql);
    std::optional<PromptRecord> prompt = store.Find(prompt_id);
    exists = prompt.has_value();
    if (!exists) return absl::OkStatus();
    for (auto& [alias, version] : store.Aliases(prompt->number)) {
      cached->aliases[alias] = version;
    }
    for (const VersionRecord& record :
         store.ListVersions(prompt->number, std::numeric_limits<int64_t>::max(),
                            std::numeric_limits<int>::max())) {
      cached->versions[record.number] = ToResolved(record.version);
    }
    return absl::OkStatus();
  }));
  if (!exists) return CachedPromptPtr();
  if (!cached->versions.empty()) {
    cached->aliases[std::string(kLatestAlias)] =
        cached->versions.rbegin()->first;
  }
  return CachedPromptPtr(std::move(cached));
}

void PromptRegistry::Refresh(std::string_view prompt_id) {
  absl::MutexLock refresh(&refresh_mutex_);
  absl::StatusOr<CachedPromptPtr> loaded = Load(prompt_id);
  absl::MutexLock lock(&cache_mutex_);
  if (!loaded.ok()) {
    // What is in memory may be outdated: Resolve reads the database until a
    // later refresh succeeds.
    stale_.insert(std::string(prompt_id));
    return;
  }
  stale_.erase(std::string(prompt_id));
  if (*loaded == nullptr) {
    cache_.erase(std::string(prompt_id));
  } else {
    cache_[std::string(prompt_id)] = *std::move(loaded);
  }
}

absl::StatusOr<std::shared_ptr<const ResolvedVersion>> PromptRegistry::Resolve(
    const PromptReference& reference) const {
  CachedPromptPtr prompt;
  bool stale = false;
  {
    absl::MutexLock lock(&cache_mutex_);
    auto found = cache_.find(reference.prompt_id);
    if (found != cache_.end()) prompt = found->second;
    stale = stale_.count(reference.prompt_id) > 0;
  }
  if (stale) {
    ATTUNE_ASSIGN_OR_RETURN(prompt, Load(reference.prompt_id));
  }
  if (prompt == nullptr) {
    return NotFound("prompt", PromptName(reference.prompt_id));
  }
  int64_t number = 0;
  if (const auto* alias = std::get_if<std::string>(&reference.version)) {
    auto found = prompt->aliases.find(*alias);
    if (found == prompt->aliases.end()) {
      return NoAlias(reference.prompt_id, *alias);
    }
    number = found->second;
  } else {
    number = std::get<int64_t>(reference.version);
  }
  auto version = prompt->versions.find(number);
  if (version == prompt->versions.end()) {
    return NotFound("prompt version", VersionName(reference.prompt_id, number));
  }
  return version->second;
}

absl::StatusOr<v1::Prompt> PromptRegistry::GetPrompt(
    std::string_view id) const {
  v1::Prompt prompt;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord record, FindPrompt(sql, id));
    prompt = ToPrompt(sql, record);
    return absl::OkStatus();
  }));
  return prompt;
}

absl::StatusOr<Page<v1::Prompt>> PromptRegistry::ListPrompts(
    const PageRequest& request) const {
  constexpr std::string_view kList = "prompts";
  ATTUNE_ASSIGN_OR_RETURN(int size, CheckPageSize(request.page_size));
  ATTUNE_ASSIGN_OR_RETURN(
      std::string after,
      database_.page_tokens().Read(kList, "", request.page_token));
  Page<v1::Prompt> page;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    std::vector<PromptRecord> records = PromptStore(sql).List(after, size + 1);
    int count = std::min(size, static_cast<int>(records.size()));
    for (int i = 0; i < count; ++i) {
      page.items.push_back(ToPrompt(sql, records[i]));
    }
    if (static_cast<int>(records.size()) > size) {
      page.next_page_token =
          database_.page_tokens().Make(kList, "", records[size - 1].id);
    }
    return absl::OkStatus();
  }));
  return page;
}

absl::StatusOr<v1::PromptVersion> PromptRegistry::GetVersion(
    const PromptReference& reference) const {
  v1::PromptVersion version;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord prompt,
                            FindPrompt(sql, reference.prompt_id));
    ATTUNE_ASSIGN_OR_RETURN(int64_t number, NumberOf(sql, prompt, reference));
    ATTUNE_ASSIGN_OR_RETURN(VersionRecord record,
                            FindVersion(sql, prompt, number));
    PromptStore store(sql);
    version = ToVersion(std::move(record), store.Aliases(prompt.number),
                        store.NewestVersion(prompt.number));
    return absl::OkStatus();
  }));
  return version;
}

absl::StatusOr<Page<v1::PromptVersion>> PromptRegistry::ListVersions(
    std::string_view prompt_id, const PageRequest& request) const {
  const std::string list = Concat("versions/", prompt_id);
  ATTUNE_ASSIGN_OR_RETURN(int size, CheckPageSize(request.page_size));
  ATTUNE_ASSIGN_OR_RETURN(
      std::string position,
      database_.page_tokens().Read(list, "", request.page_token));
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!position.empty() && !absl::SimpleAtoi(position, &before)) {
    return MakeError(Reason::kInternal, "page token without a number");
  }
  Page<v1::PromptVersion> page;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord prompt, FindPrompt(sql, prompt_id));
    PromptStore store(sql);
    std::map<std::string, int64_t> aliases = store.Aliases(prompt.number);
    int64_t newest = store.NewestVersion(prompt.number);
    int64_t num_bytes = 0;
    for (VersionRecord& record :
         store.ListVersions(prompt.number, before, size + 1)) {
      if (record.version.has_report()) {
        record.version.mutable_report()->clear_series();
        record.version.mutable_report()->clear_changed_examples();
        record.version.mutable_report()->clear_validations();
        record.version.mutable_report()->clear_splits();
        record.version.mutable_report()->clear_samples();
        record.version.mutable_report()->clear_template_candidates();
      }
      num_bytes += static_cast<int64_t>(record.version.ByteSizeLong());
      bool full = static_cast<int>(page.items.size()) == size ||
                  (num_bytes > kMaxPageBytes && !page.items.empty());
      if (full) {
        page.next_page_token =
            database_.page_tokens().Make(list, "", Concat(before));
        break;
      }
      before = record.number;
      page.items.push_back(ToVersion(std::move(record), aliases, newest));
    }
    return absl::OkStatus();
  }));
  return page;
}

absl::Status PromptRegistry::RemoveUnused(
    const std::vector<std::string>& digests) {
  for (const std::string& digest : digests) {
    // In a transaction, so that none begins to refer to it meanwhile.
    ATTUNE_RETURN_IF_ERROR(
        database_.Read([&](soci::session& sql) -> absl::Status {
          if (PromptStore(sql).IsArtifactUsed(digest)) return absl::OkStatus();
          return artifacts_.Remove(digest);
        }));
  }
  return absl::OkStatus();
}

absl::Status PromptRegistry::DeletePrompt(std::string_view id, bool force) {
  std::vector<std::string> digests;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord prompt, FindPrompt(sql, id));
    PromptStore store(sql);
    std::vector<VersionRecord> versions =
        store.ListVersions(prompt.number, std::numeric_limits<int64_t>::max(),
                           std::numeric_limits<int>::max());
    if (!versions.empty() && !force) {
      return MakeError(Reason::kIllegalState,
                       Concat(PromptName(id), " has ", versions.size(),
                              " versions; set force to remove them too"));
    }
    if (JobStore(sql).IsPromptInUse(id)) {
      return MakeError(Reason::kResourceInUse,
                       Concat("a job that has not finished tunes ",
                              PromptName(id), "; wait for it or cancel it"));
    }
    for (const VersionRecord& record : versions) {
      digests.push_back(record.version.artifact_digest());
    }
    store.Delete(prompt.number);
    return absl::OkStatus();
  }));
  Refresh(id);
  // What cannot be removed now is removed by the sweep.
  RemoveUnused(digests).IgnoreError();
  return absl::OkStatus();
}

absl::Status PromptRegistry::DeleteVersion(std::string_view prompt_id,
                                           int64_t version) {
  std::string digest;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord prompt, FindPrompt(sql, prompt_id));
    ATTUNE_ASSIGN_OR_RETURN(VersionRecord record,
                            FindVersion(sql, prompt, version));
    PromptStore store(sql);
    for (const auto& [alias, number] : store.Aliases(prompt.number)) {
      if (number != version) continue;
      return MakeError(Reason::kResourceInUse,
                       Concat("alias '", alias, "' points to ",
                              VersionName(prompt_id, version),
                              "; move or delete the alias first"),
                       {{"alias", alias}});
    }
    digest = record.version.artifact_digest();
    store.DeleteVersion(prompt.number, version);
    store.SetUpdateTime(prompt.number, clock_.Now());
    return absl::OkStatus();
  }));
  Refresh(prompt_id);
  RemoveUnused({digest}).IgnoreError();
  return absl::OkStatus();
}

absl::StatusOr<v1::Prompt> PromptRegistry::SetAlias(
    std::string_view prompt_id, std::string_view alias,
    const PromptReference& version) {
  if (alias == kLatestAlias) {
    return InvalidField("alias",
                        "must not be \"latest\", which always is the newest "
                        "version");
  }
  if (version.prompt_id != prompt_id) {
    return InvalidField(
        "version", Concat("must belong to ", PromptName(prompt_id), ", not ",
                          PromptName(version.prompt_id)));
  }
  v1::Prompt changed;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord prompt, FindPrompt(sql, prompt_id));
    ATTUNE_ASSIGN_OR_RETURN(int64_t number, NumberOf(sql, prompt, version));
    ATTUNE_RETURN_IF_ERROR(FindVersion(sql, prompt, number).status());
    PromptStore store(sql);
    store.SetAlias(prompt.number, alias, number);
    prompt.update_time = clock_.Now();
    store.SetUpdateTime(prompt.number, prompt.update_time);
    changed = ToPrompt(sql, prompt);
    return absl::OkStatus();
  }));
  Refresh(prompt_id);
  return changed;
}

absl::StatusOr<v1::Prompt> PromptRegistry::DeleteAlias(
    std::string_view prompt_id, std::string_view alias) {
  if (alias == kLatestAlias) {
    return InvalidField("alias", "must not be \"latest\", which always is");
  }
  v1::Prompt changed;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(PromptRecord prompt, FindPrompt(sql, prompt_id));
    PromptStore store(sql);
    if (!store.DeleteAlias(prompt.number, alias)) {
      return NoAlias(prompt_id, alias);
    }
    prompt.update_time = clock_.Now();
    store.SetUpdateTime(prompt.number, prompt.update_time);
    changed = ToPrompt(sql, prompt);
    return absl::OkStatus();
  }));
  Refresh(prompt_id);
  return changed;
}

absl::Status PromptRegistry::AddVersion(soci::session& sql,
                                        std::string_view prompt_id,
                                        std::string_view job_uid,
                                        const std::vector<std::string>& aliases,
                                        v1::PromptVersion& version) {
  PromptStore store(sql);
  if (store.HasVersionOfJob(job_uid)) {
    return MakeError(Reason::kInternal,
                     Concat("job ", job_uid, " has a version already"));
  }
  const absl::Time now = clock_.Now();
  std::optional<PromptRecord> prompt = store.Find(prompt_id);
  if (!prompt) {
    prompt = PromptRecord{0, std::string(prompt_id), NewUuid(), now, now};
    store.Insert(*prompt);
  }
  int64_t number = store.TakeVersionNumber(prompt_id);
  version.set_name(VersionName(prompt_id, number));
  version.set_uid(NewUuid());
  version.clear_aliases();
  *version.mutable_create_time() = ToTimestamp(now);
  store.InsertVersion(prompt->number, job_uid, {number, version});
  for (const std::string& alias : aliases) {
    if (alias != kLatestAlias) store.SetAlias(prompt->number, alias, number);
  }
  store.SetUpdateTime(prompt->number, now);
  return absl::OkStatus();
}

int64_t PromptRegistry::Count() const {
  absl::MutexLock lock(&cache_mutex_);
  return static_cast<int64_t>(cache_.size());
}

absl::StatusOr<std::set<std::string>> PromptRegistry::ReferencedArtifacts()
    const {
  std::set<std::string> digests;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    digests = PromptStore(sql).ReferencedArtifacts();
    return absl::OkStatus();
  }));
  return digests;
}

}  // namespace attune::server
