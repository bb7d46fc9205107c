#include "server/datasets/row_stage.h"

#include <soci/soci.h>

#include <string_view>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/store/database.h"

namespace attune::server {
namespace {

using google::protobuf::util::TimeUtil;

// Rows are written when about this much has come, so that no transaction keeps
// others waiting for long.
constexpr int64_t kStageBytes = int64_t{1} << 20;

}  // namespace

absl::Status TooManyRows(std::string_view dataset) {
  return MakeError(Reason::kLimitExceeded,
                   Concat(dataset, " would have more than ", kMaxDatasetRows,
                          " rows; use another dataset"));
}

absl::Status PublishRows(soci::session& sql, const StagedRows& rows,
                         absl::Time now, DatasetRecord& record) {
  v1::Dataset& dataset = record.dataset;
  if (dataset.num_rows() + rows.num_rows > kMaxDatasetRows) {
    return TooManyRows(dataset.name());
  }
  RowStore store(sql);
  // Others may have appended since: then the chain is taken up from theirs.
  dataset.set_digest(rows.after_rows == dataset.num_rows()
                         ? rows.digest
                         : store.DigestAfter(rows.segment, dataset.digest()));
  store.Publish(rows.segment, record.number, dataset.num_rows());
  dataset.set_num_rows(dataset.num_rows() + rows.num_rows);
  dataset.set_size_bytes(dataset.size_bytes() + rows.num_bytes);
  for (const auto& [split, count] : rows.split_rows) {
    (*dataset.mutable_split_rows())[split] += count;
  }
  *dataset.mutable_update_time() =
      TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(now));
  DatasetStore(sql).Update(record);
  return absl::OkStatus();
}

RowStage::RowStage(Database& database, const v1::Dataset& base)
    : database_(database), dataset_(base.name()), digest_(base.digest()) {
  staged_.after_rows = base.num_rows();
}

RowStage::~RowStage() {
  if (staged_.segment == 0) return;
  // What cannot be deleted now goes when the catalogue is created again.
  database_
      .Transact([&](soci::session& sql) {
        RowStore(sql).DeleteSegment(staged_.segment);
        return absl::OkStatus();
      })
      .IgnoreError();
}

absl::Status RowStage::Add(Row row) {
  digest_.Add(row.json);
  ++staged_.num_rows;
  ++staged_.split_rows[row.split];
  pending_bytes_ += static_cast<int64_t>(row.json.size());
  pending_.push_back(std::move(row.json));
  // Those of the dataset count when the rows are published only: a repeated
  // upload adds nothing.
  if (staged_.num_rows > kMaxDatasetRows) return TooManyRows(dataset_);
  return pending_bytes_ >= kStageBytes ? Flush() : absl::OkStatus();
}

absl::Status RowStage::Flush() {
  staged_.digest = digest_.hex();
  if (pending_.empty()) return absl::OkStatus();
  int64_t segment = staged_.segment;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    RowStore store(sql);
    segment = staged_.segment != 0 ? staged_.segment : store.NewSegment();
    store.AddRows(segment, pending_);
    return absl::OkStatus();
  }));
  staged_.segment = segment;
  staged_.num_bytes += pending_bytes_;
  pending_.clear();
  pending_bytes_ = 0;
  return absl::OkStatus();
}

}  // namespace attune::server
