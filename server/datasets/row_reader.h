#ifndef ATTUNE_SERVER_DATASETS_ROW_READER_H_
#define ATTUNE_SERVER_DATASETS_ROW_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/datasets/row_format.h"

namespace attune::server {

// Takes a row and the line, counted from 1, where it begins in the file. An
// error ends the reading and is returned by it.
using RowSink = std::function<absl::Status(int64_t line, Row row)>;

// INVALID_ARGUMENT (kInvalidData): "line N `what`; nothing was stored".
absl::Status WrongLine(int64_t line, std::string_view what);

// Reads the rows of a file that comes in chunks cut anywhere; how it is cut
// changes neither rows nor errors. A byte order mark at the beginning is
// skipped. Holds one unfinished row: what a row is made of may have
// kMaxRowBytes. Not thread-safe. A format is one implementation.
class RowReader {
 public:
  // default_split: canonical; of rows that name none.
  RowReader(std::string default_split, RowSink sink)
      : default_split_(std::move(default_split)), sink_(std::move(sink)) {}
  virtual ~RowReader() = default;

  // Hands out the rows that end in `bytes`. INVALID_ARGUMENT (kInvalidData)
  // naming the line for the first that is wrong; the reader is then of no more
  // use.
  absl::Status Append(std::string_view bytes);

  // The file ends: hands out a last row. Errors as for Append. A file without
  // rows is none.
  absl::Status Finish();

 protected:
  const std::string& default_split() const { return default_split_; }

  // Hands out a row that begins in `line`, or says there what is wrong with it.
  absl::Status Emit(int64_t line, absl::StatusOr<Row> row,
                    std::string_view before_error = "");

 private:
  virtual absl::Status Read(std::string_view bytes) = 0;
  virtual absl::Status ReadEnd() = 0;

  const std::string default_split_;
  const RowSink sink_;
  bool begun_ = false;
  std::string beginning_;  // until it is long enough for a byte order mark
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_ROW_READER_H_
