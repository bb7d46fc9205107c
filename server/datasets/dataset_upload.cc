#include "server/datasets/dataset_upload.h"

#include <soci/soci.h>

#include <utility>

#include "google/protobuf/util/time_util.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/datasets/upload_format.h"
#include "server/store/database.h"
#include "server/store/request_ids.h"

namespace attune::server {
namespace {

using google::protobuf::util::TimeUtil;

constexpr char kMethod[] = "UploadExamples";
// Rows are staged when about this much has come, so that no transaction keeps
// others waiting for long.
constexpr int64_t kStageBytes = int64_t{1} << 20;

absl::Status TooManyRows(std::string_view dataset) {
  return MakeError(Reason::kLimitExceeded,
                   Concat(dataset, " would have more than ", kMaxDatasetRows,
                          " rows; use another dataset"));
}

}  // namespace

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

DatasetUpload::DatasetUpload(Database& database, const Clock& clock,
                             v1::UploadExamplesHeader header,
                             DatasetRecord base, int64_t max_json_bytes)
    : database_(database),
      clock_(clock),
      header_(std::move(header)),
      base_(std::move(base)),
      max_json_bytes_(max_json_bytes),
      digest_(base_.dataset.digest()) {
  staged_.after_rows = base_.dataset.num_rows();
}

absl::StatusOr<std::unique_ptr<DatasetUpload>> DatasetUpload::Create(
    Database& database, const Clock& clock, v1::UploadExamplesHeader header,
    std::string split, DatasetRecord base, int64_t max_json_bytes) {
  const auto format = header.format();
  std::unique_ptr<DatasetUpload> upload(new DatasetUpload(
      database, clock, std::move(header), std::move(base), max_json_bytes));
  ATTUNE_ASSIGN_OR_RETURN(
      upload->reader_,
      MakeRowReader(format, std::move(split),
                    [taker = upload.get()](int64_t /*line*/, Row row) {
                      return taker->Take(std::move(row));
                    }));
  return upload;
}

DatasetUpload::~DatasetUpload() {
  if (staged_.segment == 0) return;
  // What cannot be deleted now goes when the catalogue is created again.
  database_
      .Transact([&](soci::session& sql) {
        RowStore(sql).DeleteSegment(staged_.segment);
        return absl::OkStatus();
      })
      .IgnoreError();
}

absl::Status DatasetUpload::Write(std::string_view chunk) {
  received_bytes_ += static_cast<int64_t>(chunk.size());
  if (received_bytes_ > kMaxUploadBytes) {
    return MakeError(Reason::kLimitExceeded,
                     Concat("the file has more than ", kMaxUploadBytes,
                            " bytes; upload it in several parts"));
  }
  bytes_digest_.Update(chunk);
  return reader_->Append(chunk);
}

absl::Status DatasetUpload::Take(Row row) {
  digest_.Add(row.json);
  ++staged_.num_rows;
  ++staged_.split_rows[row.split];
  pending_bytes_ += static_cast<int64_t>(row.json.size());
  pending_.push_back(std::move(row.json));
  // Those of the dataset count at the end only: a repeated upload adds nothing.
  if (staged_.num_rows > kMaxDatasetRows) {
    return TooManyRows(base_.dataset.name());
  }
  if (staged_.num_bytes + pending_bytes_ > max_json_bytes_) {
    return MakeError(Reason::kLimitExceeded,
                     Concat("the rows have more than ", max_json_bytes_,
                            " bytes as JSON; upload the file in several parts "
                            "or give its columns shorter names"));
  }
  return pending_bytes_ >= kStageBytes ? Stage() : absl::OkStatus();
}

absl::Status DatasetUpload::Stage() {
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

absl::StatusOr<v1::Dataset> DatasetUpload::Finish() {
  ATTUNE_RETURN_IF_ERROR(reader_->Finish());
  ATTUNE_RETURN_IF_ERROR(Stage());
  if (staged_.num_rows == 0) {
    return MakeError(
        Reason::kInvalidData,
        Concat("the file has no rows; send ", RowsOfFormat(header_.format())));
  }
  staged_.digest = digest_.hex();
  const absl::Time now = clock_.Now();
  const std::string hash =
      Concat(RequestHash(header_), bytes_digest_.HexDigest());
  DatasetRecord record;
  bool published = false;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    RequestIds requests(sql);
    ATTUNE_ASSIGN_OR_RETURN(
        std::optional<std::string> uid,
        requests.Find(kMethod, header_.request_id(), hash, now));
    auto found = DatasetStore(sql).Find(base_.id);
    if (!found || found->number != base_.number) {
      return NotFound("dataset", base_.dataset.name());
    }
    record = *std::move(found);
    published = !uid.has_value();
    if (!published) return absl::OkStatus();
    ATTUNE_RETURN_IF_ERROR(PublishRows(sql, staged_, now, record));
    requests.Remember(kMethod, header_.request_id(), hash, record.dataset.uid(),
                      now);
    return absl::OkStatus();
  }));
  if (published) staged_.segment = 0;  // no longer ours to delete
  return record.dataset;
}

}  // namespace attune::server
