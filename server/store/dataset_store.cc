#include "server/store/dataset_store.h"

#include <soci/soci.h>

#include <stdexcept>

#include "proto/cc/text.h"

namespace attune::server {
namespace {

DatasetRecord DecodeDataset(int64_t number, const std::string& id,
                            const std::string& body) {
  DatasetRecord record;
  record.number = number;
  record.id = id;
  if (!record.dataset.ParseFromString(body)) {
    throw std::runtime_error(Concat("dataset '", id, "' does not parse"));
  }
  return record;
}

}  // namespace

void DatasetStore::Insert(DatasetRecord& record) {
  std::string uid = record.dataset.uid();
  std::string body = record.dataset.SerializeAsString();
  sql_ << "INSERT INTO datasets (id, uid, body) VALUES (:i, :u, :b)",
      soci::use(record.id), soci::use(uid), soci::use(body);
  sql_ << "SELECT last_insert_rowid()", soci::into(record.number);
}

void DatasetStore::Update(const DatasetRecord& record) {
  std::string body = record.dataset.SerializeAsString();
  sql_ << "UPDATE datasets SET body = :b WHERE number = :n", soci::use(body),
      soci::use(record.number);
}

void DatasetStore::Delete(int64_t number) {
  sql_ << "DELETE FROM datasets WHERE number = :n", soci::use(number);
}

std::optional<DatasetRecord> DatasetStore::Find(std::string_view id) {
  std::string key(id);
  std::string body;
  int64_t number = 0;
  sql_ << "SELECT number, body FROM datasets WHERE id = :i", soci::into(number),
      soci::into(body), soci::use(key);
  if (!sql_.got_data()) return std::nullopt;
  return DecodeDataset(number, key, body);
}

std::optional<DatasetRecord> DatasetStore::FindByUid(std::string_view uid) {
  std::string key(uid);
  std::string id;
  sql_ << "SELECT id FROM datasets WHERE uid = :u", soci::into(id),
      soci::use(key);
  if (!sql_.got_data()) return std::nullopt;
  return Find(id);
}

bool DatasetStore::Exists(int64_t number) {
  int count = 0;
  sql_ << "SELECT COUNT(*) FROM datasets WHERE number = :n", soci::into(count),
      soci::use(number);
  return count > 0;
}

std::vector<DatasetRecord> DatasetStore::List(std::string_view after,
                                              int limit) {
  std::string key(after);
  std::string id;
  std::string body;
  int64_t number = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT number, id, body FROM datasets WHERE id > :a "
                       "ORDER BY id LIMIT :l",
       soci::into(number), soci::into(id), soci::into(body), soci::use(key),
       soci::use(limit));
  statement.execute();
  std::vector<DatasetRecord> records;
  while (statement.fetch()) records.push_back(DecodeDataset(number, id, body));
  return records;
}

}  // namespace attune::server
