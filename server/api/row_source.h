#ifndef ATTUNE_SERVER_API_ROW_SOURCE_H_
#define ATTUNE_SERVER_API_ROW_SOURCE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/worker/v1/engine.pb.h"
#include "server/store/row_store.h"

namespace attune::server {

class DatasetCatalog;

// The next rows, in their order; empty at the end. May block on the disk.
using RowSource = std::function<absl::StatusOr<std::vector<std::string>>()>;

// The rows that were pinned, of a dataset or inline. `datasets` is borrowed.
RowSource SourceOf(const DatasetCatalog& datasets, PinnedRows rows);

// How many rows are of a split ("train", "validation" or "test"); those without
// one of their own count as "train".
int64_t CountRowsOf(const PinnedRows& rows, const std::string& split);

// Some of the next rows, about 1 MiB; empty at the end. DATA_LOSS, NOT_FOUND:
// what `source` says.
absl::StatusOr<worker::v1::EngineRows> TakeChunk(const RowSource& source);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_ROW_SOURCE_H_
