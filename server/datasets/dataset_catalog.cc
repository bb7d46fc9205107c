#include "server/datasets/dataset_catalog.h"

#include <soci/soci.h>

#include <optional>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/datasets/row_format.h"
#include "server/store/database.h"
#include "server/store/dataset_store.h"
#include "server/store/job_store.h"
#include "server/store/request_ids.h"

namespace attune::server {
namespace {

using StructRows = google::protobuf::RepeatedPtrField<google::protobuf::Struct>;

constexpr char kCreateMethod[] = "CreateDataset";
constexpr char kAppendMethod[] = "AppendExamples";

// Rows of a request, checked.
struct ParsedRows {
  std::vector<std::string> rows;
  SplitRows split_rows;
  int64_t num_bytes = 0;
};

absl::StatusOr<ParsedRows> ParseRows(const StructRows& rows,
                                     std::string_view path) {
  if (rows.empty()) return InvalidField(path, "needs at least one row");
  if (rows.size() > kMaxAppendRows) {
    return InvalidField(path, Concat("has ", rows.size(), " rows; at most ",
                                     kMaxAppendRows, " are allowed"));
  }
  ParsedRows parsed;
  for (int i = 0; i < rows.size(); ++i) {
    absl::StatusOr<Row> row = ParseRow(rows[i], /*default_split=*/"");
    if (!row.ok()) {
      return InvalidField(Concat(path, "[", i, "]"),
                          ToStd(row.status().message()));
    }
    ++parsed.split_rows[row->split];
    parsed.num_bytes += static_cast<int64_t>(row->json.size());
    parsed.rows.push_back(std::move(row->json));
  }
  if (parsed.num_bytes > kMaxAppendBytes) {
    return InvalidField(
        path, Concat("has ", parsed.num_bytes, " bytes of JSON; at most ",
                     kMaxAppendBytes, " are allowed: upload a file"));
  }
  return parsed;
}

absl::StatusOr<DatasetRecord> FindDataset(soci::session& sql,
                                          std::string_view id) {
  std::optional<DatasetRecord> record = DatasetStore(sql).Find(id);
  if (!record) return NotFound("dataset", ResourceName(kDatasetCollection, id));
  return *std::move(record);
}

// The dataset that an earlier request with this id made or changed, if any.
absl::StatusOr<std::optional<DatasetRecord>> FindRepeated(
    soci::session& sql, std::string_view method, std::string_view request_id,
    std::string_view hash, absl::Time now) {
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> uid,
                          RequestIds(sql).Find(method, request_id, hash, now));
  if (!uid) return std::optional<DatasetRecord>();
  std::optional<DatasetRecord> record = DatasetStore(sql).FindByUid(*uid);
  if (!record) {
    return MakeError(
        Reason::kResourceNotFound,
        Concat("the dataset of request_id '", request_id, "' was deleted"));
  }
  return record;
}

}  // namespace

absl::StatusOr<PinnedRows> PinInlineRows(const v1::InlineRows& rows,
                                         std::string_view path) {
  ATTUNE_ASSIGN_OR_RETURN(ParsedRows parsed, ParseRows(rows.rows(), path));
  RowDigest digest;
  for (const std::string& row : parsed.rows) digest.Add(row);
  PinnedRows pinned;
  pinned.snapshot.set_num_rows(static_cast<int64_t>(parsed.rows.size()));
  pinned.snapshot.set_digest(digest.hex());
  pinned.inline_rows = std::move(parsed.rows);
  pinned.split_rows = std::move(parsed.split_rows);
  return pinned;
}

absl::StatusOr<std::unique_ptr<DatasetCatalog>> DatasetCatalog::Create(
    Database& database, const Clock& clock) {
  ATTUNE_RETURN_IF_ERROR(database.Transact([](soci::session& sql) {
    RowStore(sql).DeleteOrphans();
    return absl::OkStatus();
  }));
  return std::unique_ptr<DatasetCatalog>(new DatasetCatalog(database, clock));
}

absl::StatusOr<v1::Dataset> DatasetCatalog::CreateDataset(
    const v1::CreateDatasetRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckRequestId(request.request_id(), "request_id"));
  const absl::Time now = clock_.Now();
  const std::string hash = RequestHash(request);
  DatasetRecord record;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(
        std::optional<DatasetRecord> repeated,
        FindRepeated(sql, kCreateMethod, request.request_id(), hash, now));
    if (repeated) {
      record = *std::move(repeated);
      return absl::OkStatus();
    }
    ATTUNE_RETURN_IF_ERROR(CheckDatasetIsNew(sql, request.dataset_id()));
    record = EmptyDataset(request.dataset_id(),
                          request.dataset().display_name(), now);
    DatasetStore(sql).Insert(record);
    RequestIds(sql).Remember(kCreateMethod, request.request_id(), hash,
                             record.dataset.uid(), now);
    return absl::OkStatus();
  }));
  return record.dataset;
}

absl::StatusOr<std::unique_ptr<NewDataset>> DatasetCatalog::BeginDataset(
    std::string_view id) {
  ATTUNE_RETURN_IF_ERROR(database_.Read(
      [&](soci::session& sql) { return CheckDatasetIsNew(sql, id); }));
  return std::make_unique<NewDataset>(database_, clock_, id);
}

absl::StatusOr<v1::Dataset> DatasetCatalog::GetDataset(
    std::string_view id) const {
  DatasetRecord record;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(record, FindDataset(sql, id));
    return absl::OkStatus();
  }));
  return record.dataset;
}

absl::StatusOr<Page<v1::Dataset>> DatasetCatalog::ListDatasets(
    const PageRequest& request) const {
  constexpr std::string_view kList = "datasets";
  ATTUNE_ASSIGN_OR_RETURN(int size, CheckPageSize(request.page_size));
  ATTUNE_ASSIGN_OR_RETURN(
      std::string after,
      database_.page_tokens().Read(kList, "", request.page_token));
  std::vector<DatasetRecord> records;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    records = DatasetStore(sql).List(after, size + 1);
    return absl::OkStatus();
  }));
  Page<v1::Dataset> page;
  for (int i = 0; i < size && i < static_cast<int>(records.size()); ++i) {
    page.items.push_back(std::move(records[i].dataset));
  }
  if (static_cast<int>(records.size()) > size) {
    page.next_page_token =
        database_.page_tokens().Make(kList, "", records[size - 1].id);
  }
  return page;
}

absl::Status DatasetCatalog::DeleteDataset(std::string_view id) {
  return database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(DatasetRecord record, FindDataset(sql, id));
    if (JobStore(sql).IsDatasetInUse(record.number)) {
      return MakeError(
          Reason::kResourceInUse,
          Concat("a job that has not finished uses ", record.dataset.name(),
                 "; wait for it or cancel it"));
    }
    DatasetStore(sql).Delete(record.number);
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::Dataset> DatasetCatalog::AppendExamples(
    std::string_view id, const v1::AppendExamplesRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckRequestId(request.request_id(), "request_id"));
  ATTUNE_ASSIGN_OR_RETURN(ParsedRows parsed, ParseRows(request.rows(), "rows"));
  const absl::Time now = clock_.Now();
  const std::string hash = RequestHash(request);
  DatasetRecord record;
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(
        std::optional<DatasetRecord> repeated,
        FindRepeated(sql, kAppendMethod, request.request_id(), hash, now));
    if (repeated) {
      record = *std::move(repeated);
      return absl::OkStatus();
    }
    ATTUNE_ASSIGN_OR_RETURN(record, FindDataset(sql, id));
    RowDigest digest(record.dataset.digest());
    for (const std::string& row : parsed.rows) digest.Add(row);
    StagedRows staged;
    staged.segment = RowStore(sql).NewSegment();
    staged.num_rows = static_cast<int64_t>(parsed.rows.size());
    staged.num_bytes = parsed.num_bytes;
    staged.split_rows = parsed.split_rows;
    staged.digest = digest.hex();
    staged.after_rows = record.dataset.num_rows();
    RowStore(sql).AddRows(staged.segment, parsed.rows);
    ATTUNE_RETURN_IF_ERROR(PublishRows(sql, staged, now, record));
    RequestIds(sql).Remember(kAppendMethod, request.request_id(), hash,
                             record.dataset.uid(), now);
    return absl::OkStatus();
  }));
  return record.dataset;
}

absl::StatusOr<std::unique_ptr<DatasetUpload>> DatasetCatalog::BeginUpload(
    std::string_view id, const v1::UploadExamplesHeader& header) {
  ATTUNE_RETURN_IF_ERROR(
      CheckRequestId(header.request_id(), "header.request_id"));
  absl::StatusOr<std::string> split = CanonicalSplit(header.split());
  if (!split.ok()) {
    return InvalidField("header.split", ToStd(split.status().message()));
  }
  DatasetRecord record;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(record, FindDataset(sql, id));
    return absl::OkStatus();
  }));
  return DatasetUpload::Create(database_, clock_, header, *std::move(split),
                               std::move(record));
}

absl::StatusOr<PinnedRows> DatasetCatalog::Pin(std::string_view id) const {
  DatasetRecord record;
  ATTUNE_RETURN_IF_ERROR(database_.Read([&](soci::session& sql) {
    ATTUNE_ASSIGN_OR_RETURN(record, FindDataset(sql, id));
    return absl::OkStatus();
  }));
  const v1::Dataset& dataset = record.dataset;
  if (dataset.num_rows() == 0) {
    return MakeError(
        Reason::kIllegalState,
        Concat(dataset.name(), " has no rows; append or upload some first"));
  }
  PinnedRows pinned;
  pinned.snapshot.set_dataset(dataset.name());
  pinned.snapshot.set_num_rows(dataset.num_rows());
  pinned.snapshot.set_digest(dataset.digest());
  pinned.dataset_number = record.number;
  for (const auto& [split, count] : dataset.split_rows()) {
    pinned.split_rows[split] = count;
  }
  return pinned;
}

SnapshotReader DatasetCatalog::OpenRows(const PinnedRows& rows) const {
  return SnapshotReader(database_, {.dataset_number = rows.dataset_number,
                                    .num_rows = rows.snapshot.num_rows(),
                                    .digest = rows.snapshot.digest()});
}

}  // namespace attune::server
