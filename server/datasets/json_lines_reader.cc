#include "server/datasets/json_lines_reader.h"

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

absl::Status JsonLinesReader::Read(std::string_view chunk,
                                   std::vector<Row>& rows) {
  while (!chunk.empty()) {
    size_t end = chunk.find('\n');
    if (end == std::string_view::npos) {
      unfinished_.append(chunk);
      // Longer than any row with its line end: no need to wait for the rest.
      if (static_cast<int64_t>(unfinished_.size()) > kMaxRowBytes + 4) {
        return ReadLine(unfinished_, rows);
      }
      return absl::OkStatus();
    }
    std::string_view line = chunk.substr(0, end);
    chunk.remove_prefix(end + 1);
    if (unfinished_.empty()) {
      ATTUNE_RETURN_IF_ERROR(ReadLine(line, rows));
    } else {
      unfinished_.append(line);
      ATTUNE_RETURN_IF_ERROR(ReadLine(unfinished_, rows));
      unfinished_.clear();
    }
  }
  return absl::OkStatus();
}

absl::Status JsonLinesReader::Finish(std::vector<Row>& rows) {
  if (unfinished_.empty()) return absl::OkStatus();
  return ReadLine(unfinished_, rows);
}

absl::Status JsonLinesReader::ReadLine(std::string_view line,
                                       std::vector<Row>& rows) {
  ++line_number_;
  if (line_number_ == 1 && line.substr(0, 3) == kByteOrderMark) {
    line.remove_prefix(3);
  }
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  const bool too_long = static_cast<int64_t>(line.size()) > kMaxRowBytes;
  if (!too_long && IsBlank(line)) return absl::OkStatus();
  absl::StatusOr<Row> row = ParseRow(line, default_split_);
  if (!row.ok()) {
    return MakeError(
        Reason::kInvalidData,
        Concat("line ", line_number_, " ", ToStd(row.status().message()),
               "; nothing was stored"),
        {{"line", Concat(line_number_)}});
  }
  rows.push_back(*std::move(row));
  return absl::OkStatus();
}

}  // namespace attune::server
