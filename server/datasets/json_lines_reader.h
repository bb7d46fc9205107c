#ifndef ATTUNE_SERVER_DATASETS_JSON_LINES_READER_H_
#define ATTUNE_SERVER_DATASETS_JSON_LINES_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/datasets/row_format.h"

namespace attune::server {

// Reads a JSON Lines file that comes in chunks cut anywhere. Lines end in LF or
// CRLF; blank ones are skipped (no line may be longer than a row); a byte order
// mark at the beginning is too.
// Holds at most one unfinished line. Not thread-safe.
class JsonLinesReader {
 public:
  explicit JsonLinesReader(std::string default_split)
      : default_split_(std::move(default_split)) {}

  // Adds the rows of the lines that end in `chunk` to `rows`. INVALID_ARGUMENT
  // (kInvalidData) "line N: ..." for the first wrong one; the reader is then
  // of no more use.
  absl::Status Read(std::string_view chunk, std::vector<Row>& rows);

  // The file ends: reads a last line without an end.
  absl::Status Finish(std::vector<Row>& rows);

 private:
  absl::Status ReadLine(std::string_view line, std::vector<Row>& rows);

  const std::string default_split_;
  std::string unfinished_;
  int64_t line_number_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_JSON_LINES_READER_H_
