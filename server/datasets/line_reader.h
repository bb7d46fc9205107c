#ifndef ATTUNE_SERVER_DATASETS_LINE_READER_H_
#define ATTUNE_SERVER_DATASETS_LINE_READER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/datasets/row_reader.h"

namespace attune::server {

// A format that is read line by line. Lines end in LF or CRLF, the last one
// may have no end. A line of more than kMaxRowBytes or with a NUL byte is
// refused, the former without waiting for its end.
class LineReader : public RowReader {
 public:
  using RowReader::RowReader;

 protected:
  // Of the line that is being read, counted from 1; 0 before the first.
  int64_t line_number() const { return line_number_; }

 private:
  // line_end: "\n" or "\r\n", "" for a last line without an end.
  virtual absl::Status ReadLine(std::string_view line,
                                std::string_view line_end) = 0;
  // Called after the last line.
  virtual absl::Status ReadLast() { return absl::OkStatus(); }

  absl::Status Read(std::string_view bytes) final;
  absl::Status ReadEnd() final;
  absl::Status TakeLine(std::string_view line, bool has_end);

  std::string unfinished_;
  int64_t line_number_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_LINE_READER_H_
