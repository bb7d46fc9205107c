#include "server/api/row_source.h"

#include <memory>
#include <utility>

#include "proto/cc/status_macros.h"
#include "server/datasets/dataset_catalog.h"

namespace attune::server {
namespace {

// A source gives at most about 256 KiB at once, so a message stays below 1 MiB.
constexpr size_t kEnoughRowBytes = size_t{768} << 10;

}  // namespace

RowSource SourceOf(const DatasetCatalog& datasets, PinnedRows rows) {
  if (rows.dataset_number == 0) {
    // A request holds at most 3 MiB of them, in rows of at most 256 KiB.
    auto rest =
        std::make_shared<std::vector<std::string>>(std::move(rows.inline_rows));
    return
        [rest, next = size_t{
                   0}]() mutable -> absl::StatusOr<std::vector<std::string>> {
          std::vector<std::string> taken;
          if (next < rest->size()) taken.push_back(std::move((*rest)[next++]));
          return taken;
        };
  }
  auto reader = std::make_shared<SnapshotReader>(datasets.OpenRows(rows));
  return [reader] { return reader->Next(); };
}

int64_t CountRowsOf(const PinnedRows& rows, const std::string& split) {
  const auto count = [&rows](const std::string& name) -> int64_t {
    const auto found = rows.split_rows.find(name);
    return found == rows.split_rows.end() ? 0 : found->second;
  };
  return count(split) + (split == "train" ? count("") : 0);
}

absl::StatusOr<worker::v1::EngineRows> TakeChunk(const RowSource& source) {
  worker::v1::EngineRows chunk;
  for (size_t num_bytes = 0; num_bytes < kEnoughRowBytes;) {
    ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> rows, source());
    if (rows.empty()) break;
    for (std::string& row : rows) {
      num_bytes += row.size();
      chunk.add_rows(std::move(row));
    }
  }
  return chunk;
}

}  // namespace attune::server
