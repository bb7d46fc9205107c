#include "server/datasets/line_reader.h"

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {

absl::Status LineReader::Read(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      unfinished_.append(bytes);
      // Longer than any row with its carriage return: the rest can't help.
      if (static_cast<int64_t>(unfinished_.size()) > kMaxRowBytes + 1) {
        return TakeLine(unfinished_, /*has_end=*/false);
      }
      return absl::OkStatus();
    }
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (unfinished_.empty()) {
      ATTUNE_RETURN_IF_ERROR(TakeLine(line, /*has_end=*/true));
    } else {
      unfinished_.append(line);
      ATTUNE_RETURN_IF_ERROR(TakeLine(unfinished_, /*has_end=*/true));
      unfinished_.clear();
    }
  }
  return absl::OkStatus();
}

absl::Status LineReader::ReadEnd() {
  if (!unfinished_.empty()) {
    ATTUNE_RETURN_IF_ERROR(TakeLine(unfinished_, /*has_end=*/false));
  }
  return ReadLast();
}

absl::Status LineReader::TakeLine(std::string_view line, bool has_end) {
  ++line_number_;
  const bool carriage_return = !line.empty() && line.back() == '\r';
  if (carriage_return) line.remove_suffix(1);
  if (static_cast<int64_t>(line.size()) > kMaxRowBytes) {
    return WrongLine(line_number_,
                     Concat("has more than ", kMaxRowBytes, " bytes"));
  }
  if (line.find('\0') != std::string_view::npos) {
    return WrongLine(line_number_, "has a NUL byte; save the file as UTF-8");
  }
  return ReadLine(line, !has_end ? "" : carriage_return ? "\r\n" : "\n");
}

}  // namespace attune::server
