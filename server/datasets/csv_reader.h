#ifndef ATTUNE_SERVER_DATASETS_CSV_READER_H_
#define ATTUNE_SERVER_DATASETS_CSV_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/datasets/line_reader.h"

namespace attune::server {

// No column needs a longer name; the text of a file without a header has one.
inline constexpr size_t kMaxColumnNameBytes = 256;

// Reads comma-separated values (RFC 4180), or the same with tabs. The first row
// names the columns; every other has as many cells. A cell may stand in double
// quotes and then hold separators, line ends and, twice each, double quotes.
// Between tabs a double quote that does not begin a cell is text. Values are
// texts as they stand, white space and all. Empty lines are skipped.
class CsvReader final : public LineReader {
 public:
  // separator: ',' or '\t'.
  CsvReader(char separator, std::string default_split, RowSink sink)
      : LineReader(std::move(default_split), std::move(sink)),
        separator_(separator) {}

 private:
  absl::Status ReadLine(std::string_view line,
                        std::string_view line_end) override;
  absl::Status ReadLast() override;
  // Adds the cells of a line to the row.
  absl::Status ReadCells(std::string_view line);
  absl::Status ReadBareCell(std::string_view cell);
  // Goes on in a cell in quotes, to its end or the line's; gives what is left.
  std::string_view ReadQuoted(std::string_view line);
  absl::Status TakeHeader();
  absl::Status TakeRow();
  // Of the last cell that was begun, for messages.
  std::string Column() const;

  const char separator_;
  std::vector<std::string> columns_;  // empty before the header
  // The row that is being read.
  std::vector<std::string> cells_;
  int64_t row_line_ = 0;  // where it begins
  int64_t row_bytes_ = 0;
  bool in_quotes_ = false;
  int64_t quote_line_ = 0;  // where the last quoted cell begins
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_CSV_READER_H_
