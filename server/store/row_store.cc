#include "server/store/row_store.h"

#include <soci/soci.h>

#include <algorithm>

#include "proto/cc/digest.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/store/database.h"

namespace attune::server {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;

std::vector<std::string> SplitLines(const std::string& lines) {
  std::vector<std::string> rows;
  size_t begin = 0;
  for (size_t end; (end = lines.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    rows.push_back(lines.substr(begin, end - begin));
  }
  return rows;
}

}  // namespace

RowDigest::RowDigest() : digest_(Sha256Hex("")) {}

void RowDigest::Add(std::string_view row) {
  Sha256 hash;
  hash.Update(digest_);
  hash.Update(row);
  hash.Update("\n");
  digest_ = hash.HexDigest();
}

int64_t RowStore::NewSegment() {
  int64_t segment = 0;
  sql_ << "INSERT INTO segments (num_rows) VALUES (0)";
  sql_ << "SELECT last_insert_rowid()", soci::into(segment);
  return segment;
}

void RowStore::AddRows(int64_t segment, const std::vector<std::string>& rows) {
  int64_t first_row = 0;
  sql_ << "SELECT num_rows FROM segments WHERE id = :s", soci::into(first_row),
      soci::use(segment);
  std::string lines;
  int64_t num_rows = 0;
  soci::statement insert =
      (sql_.prepare << "INSERT INTO blocks (segment, first_row, num_rows, "
                       "lines) VALUES (:s, :f, :n, :l)",
       soci::use(segment), soci::use(first_row), soci::use(num_rows),
       soci::use(lines));
  auto flush = [&] {
    if (num_rows == 0) return;
    insert.execute(true);
    first_row += num_rows;
    num_rows = 0;
    lines.clear();
  };
  for (const std::string& row : rows) {
    if (lines.size() + row.size() > kBlockBytes) flush();
    lines += row;
    lines += '\n';
    ++num_rows;
  }
  flush();
  sql_ << "UPDATE segments SET num_rows = :n WHERE id = :s",
      soci::use(first_row), soci::use(segment);
}

void RowStore::Publish(int64_t segment, int64_t dataset_number,
                       int64_t first_row) {
  sql_ << "UPDATE segments SET dataset = :d, first_row = :f WHERE id = :s",
      soci::use(dataset_number), soci::use(first_row), soci::use(segment);
}

void RowStore::DeleteSegment(int64_t segment) {
  sql_ << "DELETE FROM segments WHERE id = :s", soci::use(segment);
}

std::string RowStore::DigestAfter(int64_t segment, std::string digest) {
  RowDigest chain(std::move(digest));
  std::string lines;
  soci::statement statement =
      (sql_.prepare << "SELECT lines FROM blocks WHERE segment = :s ORDER BY "
                       "first_row",
       soci::into(lines), soci::use(segment));
  statement.execute();
  while (statement.fetch()) {
    for (const std::string& row : SplitLines(lines)) chain.Add(row);
  }
  return chain.hex();
}

int64_t RowStore::DeleteOrphans() {
  soci::statement statement =
      (sql_.prepare << "DELETE FROM segments WHERE dataset IS NULL AND NOT "
                       "EXISTS (SELECT 1 FROM jobs WHERE segment = "
                       "segments.id)");
  statement.execute(true);
  return statement.get_affected_rows();
}

SnapshotReader::SnapshotReader(Database& database, SnapshotKey key)
    : database_(&database), key_(std::move(key)) {
  if (key_.dataset_number == 0) segment_ = key_.segment;
}

absl::StatusOr<std::vector<std::string>> SnapshotReader::Next() {
  std::string lines;
  bool found = false;
  if (rows_read_ < key_.num_rows) {
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) {
      found = ReadBlock(sql, lines);
      return absl::OkStatus();
    }));
    if (!found) {
      return MakeError(Reason::kResourceNotFound,
                       "the rows were deleted meanwhile");
    }
  }
  std::vector<std::string> rows = SplitLines(lines);
  for (const std::string& row : rows) digest_.Add(row);
  rows_read_ += static_cast<int64_t>(rows.size());
  next_in_segment_ += static_cast<int64_t>(rows.size());
  if ((rows.empty() && rows_read_ < key_.num_rows) ||
      rows_read_ > key_.num_rows ||
      (rows_read_ == key_.num_rows && digest_.hex() != key_.digest)) {
    return MakeError(
        Reason::kCorruptArtifact,
        Concat("the stored rows do not have the digest ", key_.digest,
               " of their snapshot; upload them "
               "again as a new dataset"));
  }
  return rows;
}

bool SnapshotReader::ReadBlock(soci::session& sql, std::string& lines) {
  auto read = [&] {
    sql << "SELECT lines FROM blocks WHERE segment = :s AND first_row = :f",
        soci::into(lines), soci::use(segment_), soci::use(next_in_segment_);
    return sql.got_data();
  };
  if (segment_ != 0 && read()) return true;
  if (key_.dataset_number == 0) return false;
  // The segment is at its end; the next one begins where it stopped.
  int64_t next = 0;
  sql << "SELECT id FROM segments WHERE dataset = :d AND first_row = :f",
      soci::into(next), soci::use(key_.dataset_number), soci::use(rows_read_);
  if (!sql.got_data()) return false;
  segment_ = next;
  next_in_segment_ = 0;
  return read();
}

}  // namespace attune::server
