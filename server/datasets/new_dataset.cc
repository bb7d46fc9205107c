#include "server/datasets/new_dataset.h"

#include <soci/soci.h>

#include <cstdint>
#include <utility>

#include "google/protobuf/util/time_util.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/datasets/row_format.h"
#include "server/store/database.h"
#include "server/store/request_ids.h"
#include "server/store/row_store.h"

namespace attune::server {
namespace {

using google::protobuf::util::TimeUtil;

}  // namespace

DatasetRecord EmptyDataset(std::string_view id, std::string_view display_name,
                           absl::Time now) {
  DatasetRecord record;
  record.id = std::string(id);
  v1::Dataset& dataset = record.dataset;
  dataset.set_name(ResourceName(kDatasetCollection, id));
  dataset.set_uid(NewUuid());
  dataset.set_display_name(std::string(display_name));
  dataset.set_digest(RowDigest().hex());
  *dataset.mutable_create_time() =
      TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(now));
  *dataset.mutable_update_time() = dataset.create_time();
  return record;
}

absl::Status CheckDatasetIsNew(soci::session& sql, std::string_view id) {
  if (!DatasetStore(sql).Find(id)) return absl::OkStatus();
  return MakeError(Reason::kResourceExists,
                   Concat(ResourceName(kDatasetCollection, id),
                          " exists already; append to it or choose another "
                          "id"));
}

NewDataset::NewDataset(Database& database, const Clock& clock,
                       std::string_view id)
    : database_(database),
      clock_(clock),
      id_(id),
      stage_(database, EmptyDataset(id, "", clock.Now()).dataset) {}

absl::Status NewDataset::Add(std::string_view row) {
  ATTUNE_ASSIGN_OR_RETURN(Row parsed, ParseRow(row, /*default_split=*/""));
  return stage_.Add(std::move(parsed));
}

absl::StatusOr<v1::Dataset> NewDataset::Finish() {
  ATTUNE_RETURN_IF_ERROR(stage_.Flush());
  const absl::Time now = clock_.Now();
  DatasetRecord record = EmptyDataset(id_, "", now);
  ATTUNE_RETURN_IF_ERROR(database_.Transact([&](soci::session& sql) {
    ATTUNE_RETURN_IF_ERROR(CheckDatasetIsNew(sql, id_));
    DatasetStore(sql).Insert(record);
    return PublishRows(sql, stage_.staged(), now, record);
  }));
  stage_.Release();
  return record.dataset;
}

}  // namespace attune::server
