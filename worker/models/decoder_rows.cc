#include "worker/models/decoder_rows.h"

#include <string_view>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

absl::Status BadMemory(size_t index, std::string_view what) {
  return absl::InvalidArgumentError(
      Concat("segment ", index, ": its memory ", what));
}

bool IsSame(const DecoderMemory& a, const DecoderMemory& b) {
  if (a.cached != nullptr || b.cached != nullptr) return a.cached == b.cached;
  return a.begin == b.begin && a.length == b.length;
}

absl::Status CheckMemory(const DecoderRows& rows, size_t index,
                         const ModelConfig& config) {
  const DecoderMemory& memory = rows.memories[index];
  const int parent = rows.rows.segments[index].parent;
  if (parent >= 0 && !IsSame(memory, rows.memories[parent])) {
    return BadMemory(index, "is not that of its parent");
  }
  if (memory.cached != nullptr) {
    if (!IsBlockOf(*memory.cached, config)) {
      return BadMemory(index, "was made by another model");
    }
    return memory.cached->length() > 0 ? absl::OkStatus()
                                       : BadMemory(index, "is empty");
  }
  if (memory.length < 1) return BadMemory(index, "is empty");
  const int64_t end = rows.memory.defined() ? rows.memory.size(0) : 0;
  if (memory.begin < 0 || memory.length > end ||
      memory.begin > end - memory.length) {
    return BadMemory(index, Concat("begins at row ", memory.begin, ", has ",
                                   memory.length, " and ends after row ", end));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDecoderRows(const DecoderRows& rows,
                              const ModelConfig& config) {
  ATTUNE_RETURN_IF_ERROR(CheckPackedRows(rows.rows, config));
  if (rows.memories.size() != rows.rows.segments.size()) {
    return absl::InvalidArgumentError(
        Concat(rows.memories.size(), " memories for ",
               rows.rows.segments.size(), " segments: each needs one"));
  }
  if (rows.memory.defined() &&
      (rows.memory.dim() != 2 || rows.memory.size(1) != config.dim)) {
    return absl::InvalidArgumentError(
        Concat("memory must be [rows, ", config.dim, "]"));
  }
  for (size_t i = 0; i < rows.memories.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(CheckMemory(rows, i, config));
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
