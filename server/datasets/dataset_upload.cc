#include "server/datasets/dataset_upload.h"

#include <soci/soci.h>

#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/datasets/upload_format.h"
#include "server/store/database.h"
#include "server/store/request_ids.h"

namespace attune::server {
namespace {

constexpr char kMethod[] = "UploadExamples";

}  // namespace

DatasetUpload::DatasetUpload(Database& database, const Clock& clock,
                             v1::UploadExamplesHeader header,
                             DatasetRecord base, int64_t max_json_bytes)
    : database_(database),
      clock_(clock),
      header_(std::move(header)),
      base_(std::move(base)),
      max_json_bytes_(max_json_bytes),
      stage_(database, base_.dataset) {}

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
  const auto size = static_cast<int64_t>(row.json.size());
  if (stage_.num_bytes() + size > max_json_bytes_) {
    return MakeError(Reason::kLimitExceeded,
                     Concat("the rows have more than ", max_json_bytes_,
                            " bytes as JSON; upload the file in several parts "
                            "or give its columns shorter names"));
  }
  return stage_.Add(std::move(row));
}

absl::StatusOr<v1::Dataset> DatasetUpload::Finish() {
  ATTUNE_RETURN_IF_ERROR(reader_->Finish());
  ATTUNE_RETURN_IF_ERROR(stage_.Flush());
  if (stage_.num_rows() == 0) {
    return MakeError(
        Reason::kInvalidData,
        Concat("the file has no rows; send ", RowsOfFormat(header_.format())));
  }
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
    ATTUNE_RETURN_IF_ERROR(PublishRows(sql, stage_.staged(), now, record));
    requests.Remember(kMethod, header_.request_id(), hash, record.dataset.uid(),
                      now);
    return absl::OkStatus();
  }));
  if (published) stage_.Release();
  return record.dataset;
}

}  // namespace attune::server
