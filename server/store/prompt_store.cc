#include "server/store/prompt_store.h"

#include <soci/soci.h>

#include <stdexcept>

#include "proto/cc/text.h"

namespace attune::server {
namespace {

VersionRecord DecodeVersion(int64_t number, const std::string& body) {
  VersionRecord record;
  record.number = number;
  if (!record.version.ParseFromString(body)) {
    throw std::runtime_error(Concat("version ", number, " does not parse"));
  }
  return record;
}

}  // namespace

void PromptStore::Insert(PromptRecord& prompt) {
  int64_t create_us = absl::ToUnixMicros(prompt.create_time);
  int64_t update_us = absl::ToUnixMicros(prompt.update_time);
  sql_ << "INSERT INTO prompts (id, uid, create_time, update_time) VALUES "
          "(:i, :u, :c, :t)",
      soci::use(prompt.id), soci::use(prompt.uid), soci::use(create_us),
      soci::use(update_us);
  sql_ << "SELECT last_insert_rowid()", soci::into(prompt.number);
}

void PromptStore::SetUpdateTime(int64_t prompt, absl::Time time) {
  int64_t update_us = absl::ToUnixMicros(time);
  sql_ << "UPDATE prompts SET update_time = :t WHERE number = :n",
      soci::use(update_us), soci::use(prompt);
}

void PromptStore::Delete(int64_t prompt) {
  // Aliases first: they hold on to their versions.
  sql_ << "DELETE FROM aliases WHERE prompt = :n", soci::use(prompt);
  sql_ << "DELETE FROM prompts WHERE number = :n", soci::use(prompt);
}

std::optional<PromptRecord> PromptStore::Find(std::string_view id) {
  PromptRecord prompt;
  prompt.id = std::string(id);
  int64_t create_us = 0;
  int64_t update_us = 0;
  sql_ << "SELECT number, uid, create_time, update_time FROM prompts WHERE "
          "id = :i",
      soci::into(prompt.number), soci::into(prompt.uid), soci::into(create_us),
      soci::into(update_us), soci::use(prompt.id);
  if (!sql_.got_data()) return std::nullopt;
  prompt.create_time = absl::FromUnixMicros(create_us);
  prompt.update_time = absl::FromUnixMicros(update_us);
  return prompt;
}

std::vector<PromptRecord> PromptStore::List(std::string_view after, int limit) {
  std::string key(after);
  PromptRecord prompt;
  int64_t create_us = 0;
  int64_t update_us = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT number, id, uid, create_time, update_time FROM "
                       "prompts WHERE id > :a ORDER BY id LIMIT :l",
       soci::into(prompt.number), soci::into(prompt.id), soci::into(prompt.uid),
       soci::into(create_us), soci::into(update_us), soci::use(key),
       soci::use(limit));
  statement.execute();
  std::vector<PromptRecord> prompts;
  while (statement.fetch()) {
    prompt.create_time = absl::FromUnixMicros(create_us);
    prompt.update_time = absl::FromUnixMicros(update_us);
    prompts.push_back(prompt);
  }
  return prompts;
}

int64_t PromptStore::TakeVersionNumber(std::string_view prompt_id) {
  std::string key(prompt_id);
  int64_t next = 1;
  sql_ << "INSERT INTO version_numbers (prompt, next) VALUES (:p, 1) "
          "ON CONFLICT (prompt) DO NOTHING",
      soci::use(key);
  sql_ << "SELECT next FROM version_numbers WHERE prompt = :p",
      soci::into(next), soci::use(key);
  sql_ << "UPDATE version_numbers SET next = next + 1 WHERE prompt = :p",
      soci::use(key);
  return next;
}

void PromptStore::InsertVersion(int64_t prompt, std::string_view job_uid,
                                const VersionRecord& version) {
  std::string job(job_uid);
  std::string artifact = version.version.artifact_digest();
  std::string body = version.version.SerializeAsString();
  sql_ << "INSERT INTO versions (prompt, version, job_uid, artifact, body) "
          "VALUES (:p, :v, :j, :a, :b)",
      soci::use(prompt), soci::use(version.number), soci::use(job),
      soci::use(artifact), soci::use(body);
}

void PromptStore::DeleteVersion(int64_t prompt, int64_t version) {
  sql_ << "DELETE FROM versions WHERE prompt = :p AND version = :v",
      soci::use(prompt), soci::use(version);
}

std::optional<VersionRecord> PromptStore::FindVersion(int64_t prompt,
                                                      int64_t version) {
  std::string body;
  sql_ << "SELECT body FROM versions WHERE prompt = :p AND version = :v",
      soci::into(body), soci::use(prompt), soci::use(version);
  if (!sql_.got_data()) return std::nullopt;
  return DecodeVersion(version, body);
}

std::vector<VersionRecord> PromptStore::ListVersions(int64_t prompt,
                                                     int64_t before,
                                                     int limit) {
  int64_t number = 0;
  std::string body;
  soci::statement statement =
      (sql_.prepare << "SELECT version, body FROM versions WHERE prompt = :p "
                       "AND version < :b ORDER BY version DESC LIMIT :l",
       soci::into(number), soci::into(body), soci::use(prompt),
       soci::use(before), soci::use(limit));
  statement.execute();
  std::vector<VersionRecord> versions;
  while (statement.fetch()) versions.push_back(DecodeVersion(number, body));
  return versions;
}

bool PromptStore::HasVersionOfJob(std::string_view job_uid) {
  std::string key(job_uid);
  int count = 0;
  sql_ << "SELECT COUNT(*) FROM versions WHERE job_uid = :j", soci::into(count),
      soci::use(key);
  return count > 0;
}

int64_t PromptStore::CountVersions(int64_t prompt) {
  int64_t count = 0;
  sql_ << "SELECT COUNT(*) FROM versions WHERE prompt = :p", soci::into(count),
      soci::use(prompt);
  return count;
}

int64_t PromptStore::NewestVersion(int64_t prompt) {
  int64_t version = 0;
  sql_ << "SELECT COALESCE(MAX(version), 0) FROM versions WHERE prompt = :p",
      soci::into(version), soci::use(prompt);
  return version;
}

void PromptStore::SetAlias(int64_t prompt, std::string_view alias,
                           int64_t version) {
  std::string name(alias);
  sql_ << "INSERT INTO aliases (prompt, alias, version) VALUES (:p, :a, :v) "
          "ON CONFLICT (prompt, alias) DO UPDATE SET version = "
          "excluded.version",
      soci::use(prompt), soci::use(name), soci::use(version);
}

bool PromptStore::DeleteAlias(int64_t prompt, std::string_view alias) {
  std::string name(alias);
  soci::statement statement =
      (sql_.prepare << "DELETE FROM aliases WHERE prompt = :p AND alias = :a",
       soci::use(prompt), soci::use(name));
  statement.execute(true);
  return statement.get_affected_rows() > 0;
}

std::map<std::string, int64_t> PromptStore::Aliases(int64_t prompt) {
  std::string alias;
  int64_t version = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT alias, version FROM aliases WHERE prompt = :p",
       soci::into(alias), soci::into(version), soci::use(prompt));
  statement.execute();
  std::map<std::string, int64_t> aliases;
  while (statement.fetch()) aliases[alias] = version;
  return aliases;
}

bool PromptStore::IsArtifactUsed(std::string_view digest) {
  std::string key(digest);
  int count = 0;
  sql_ << "SELECT (SELECT COUNT(*) FROM versions WHERE artifact = :a) + "
          "(SELECT COUNT(*) FROM checkpoints WHERE digest = :b)",
      soci::into(count), soci::use(key, "a"), soci::use(key, "b");
  return count > 0;
}

std::set<std::string> PromptStore::ReferencedArtifacts() {
  std::string digest;
  soci::statement statement =
      (sql_.prepare << "SELECT artifact FROM versions", soci::into(digest));
  statement.execute();
  std::set<std::string> digests;
  while (statement.fetch()) digests.insert(digest);
  return digests;
}

}  // namespace attune::server
