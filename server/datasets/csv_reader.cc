#include "server/datasets/csv_reader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "nlohmann/json.hpp"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

std::string_view SeparatorName(char separator) {
  return separator == ',' ? "commas" : "tabs";
}

}  // namespace

absl::Status CsvReader::ReadLine(std::string_view line,
                                 std::string_view line_end) {
  if (!in_quotes_) {
    if (line.empty()) return absl::OkStatus();
    row_line_ = line_number();
    row_bytes_ = 0;
    cells_.clear();
  }
  row_bytes_ += static_cast<int64_t>(line.size());
  if (row_bytes_ > kMaxRowBytes) {
    return WrongLine(row_line_,
                     Concat("begins a row of more than ", kMaxRowBytes,
                            " bytes; does the quote of ", Column(), " in line ",
                            quote_line_, " end where it should?"));
  }
  ATTUNE_RETURN_IF_ERROR(ReadCells(line));
  if (in_quotes_) {
    row_bytes_ += static_cast<int64_t>(line_end.size());
    cells_.back() += line_end;
    return absl::OkStatus();
  }
  return columns_.empty() ? TakeHeader() : TakeRow();
}

absl::Status CsvReader::ReadLast() {
  if (!in_quotes_) return absl::OkStatus();
  return WrongLine(quote_line_, Concat("begins a quote in ", Column(),
                                       " that does not end; "
                                       "write a quote that is text twice"));
}

absl::Status CsvReader::ReadCells(std::string_view line) {
  while (true) {
    if (!in_quotes_) {
      cells_.emplace_back();
      if (!line.empty() && line.front() == '"') {
        in_quotes_ = true;
        quote_line_ = line_number();
        line.remove_prefix(1);
      } else {
        const std::string_view cell = line.substr(0, line.find(separator_));
        ATTUNE_RETURN_IF_ERROR(ReadBareCell(cell));
        line.remove_prefix(cell.size());
      }
    }
    if (in_quotes_) {
      line = ReadQuoted(line);
      if (in_quotes_) return absl::OkStatus();
      if (!line.empty() && line.front() != separator_) {
        return WrongLine(
            line_number(),
            Concat("has text after the closing quote of ", Column(),
                   "; write a quote that is text twice"));
      }
    }
    if (line.empty()) return absl::OkStatus();
    line.remove_prefix(1);
  }
}

absl::Status CsvReader::ReadBareCell(std::string_view cell) {
  if (separator_ == ',' && cell.find('"') != cell.npos) {
    return WrongLine(line_number(),
                     Concat("has a quote within ", Column(),
                            "; put the cell into quotes and write a quote that "
                            "is text twice"));
  }
  if (cell.find('\r') != cell.npos) {
    return WrongLine(line_number(),
                     Concat("has a carriage return without a line feed in ",
                            Column(), "; end lines with LF or CRLF"));
  }
  cells_.back() = cell;
  return absl::OkStatus();
}

std::string_view CsvReader::ReadQuoted(std::string_view line) {
  while (true) {
    const size_t quote = line.find('"');
    cells_.back() += line.substr(0, quote);
    if (quote == line.npos) return "";
    line.remove_prefix(quote + 1);
    if (line.empty() || line.front() != '"') break;
    cells_.back() += '"';
    line.remove_prefix(1);
  }
  in_quotes_ = false;
  return line;
}

absl::Status CsvReader::TakeHeader() {
  std::set<std::string_view> names;
  for (size_t i = 0; i < cells_.size(); ++i) {
    const std::string& name = cells_[i];
    const auto wrong = [&](std::string_view what) {
      return WrongLine(row_line_, Concat("names the columns, and column ",
                                         i + 1, " ", what));
    };
    if (name.empty()) return wrong("has no name");
    if (name.size() > kMaxColumnNameBytes) {
      return wrong(Concat("has a name of ", name.size(), " bytes; at most ",
                          kMaxColumnNameBytes, " are allowed"));
    }
    if (!IsUtf8(name)) return wrong("is not UTF-8");
    if (name.find_first_of(" \t\r\n") == 0 ||
        name.find_last_of(" \t\r\n") == name.size() - 1) {
      return wrong(Concat("'", name, "' begins or ends with white space"));
    }
    if (!names.insert(name).second) {
      return wrong(Concat("'", name, "' is there twice"));
    }
  }
  // Another separator would make one column, and one useless field, of it all.
  if (cells_.size() == 1 &&
      cells_[0].find_first_of(",;\t") != std::string::npos) {
    return WrongLine(
        row_line_, Concat("names the one column '", cells_[0],
                          "'; separate names by ", SeparatorName(separator_)));
  }
  columns_ = std::move(cells_);
  return absl::OkStatus();
}

absl::Status CsvReader::TakeRow() {
  if (cells_.size() != columns_.size()) {
    const std::string hint =
        cells_.size() < columns_.size()
            ? Concat("'", columns_[cells_.size()], "' has none")
            : Concat("put a cell that holds ", SeparatorName(separator_),
                     " into quotes");
    return WrongLine(row_line_, Concat("has ", cells_.size(), " cells for ",
                                       columns_.size(), " columns; ", hint));
  }
  nlohmann::json object = nlohmann::json::object();
  for (size_t i = 0; i < columns_.size(); ++i) object[columns_[i]] = cells_[i];
  absl::StatusOr<Row> row = MakeRow(std::move(object), default_split());
  if (!row.ok()) {
    const auto wrong = std::find_if_not(cells_.begin(), cells_.end(), IsUtf8);
    if (wrong != cells_.end()) {
      cells_.resize(wrong - cells_.begin() + 1);
      return WrongLine(row_line_, Concat("is not UTF-8 in ", Column()));
    }
  }
  return Emit(row_line_, std::move(row));
}

std::string CsvReader::Column() const {
  return cells_.size() <= columns_.size()
             ? Concat("column '", columns_[cells_.size() - 1], "'")
             : Concat("column ", cells_.size());
}

}  // namespace attune::server
