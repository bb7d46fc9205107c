#include "server/datasets/conll_reader.h"

#include <utility>

#include "nlohmann/json.hpp"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

constexpr std::string_view kDocumentStart = "-DOCSTART-";
constexpr std::string_view kCommentStart = "# ";

std::string_view WithoutSpaces(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

}  // namespace

ConllReader::Columns ConllReader::Split(std::string_view line) {
  Columns columns;
  columns.by_tabs = line.find('\t') != std::string_view::npos;
  if (!columns.by_tabs) line = WithoutSpaces(line);
  const char separator = columns.by_tabs ? '\t' : ' ';
  while (true) {
    const std::string_view column = line.substr(0, line.find(separator));
    columns.tag = WithoutSpaces(column);
    if (++columns.count == 1) columns.token = columns.tag;
    if (column.size() == line.size()) return columns;
    line.remove_prefix(column.size() + 1);
    if (!columns.by_tabs) line = WithoutSpaces(line);
  }
}

absl::Status ConllReader::ReadLine(std::string_view line,
                                   std::string_view /*line_end*/) {
  if (line.find_first_not_of(" \t") == std::string_view::npos) {
    return EndSentence();
  }
  const Columns columns = Split(line);
  if (columns.token == kDocumentStart) return EndSentence();
  if (IsComment(line, columns)) return absl::OkStatus();
  if (line.find('\r') != std::string_view::npos) {
    return WrongLine(line_number(),
                     "has a carriage return without a line feed; end lines "
                     "with LF or CRLF");
  }
  ATTUNE_RETURN_IF_ERROR(CheckColumns(columns));
  if (tokens_.empty()) {
    sentence_line_ = line_number();
    sentence_bytes_ = 0;
  }
  sentence_bytes_ += static_cast<int64_t>(line.size()) + 1;
  if (sentence_bytes_ > kMaxRowBytes) {
    return WrongLine(sentence_line_,
                     Concat("begins a sentence of more than ", kMaxRowBytes,
                            " bytes; a blank line ends a sentence"));
  }
  tokens_.emplace_back(columns.token);
  tags_.emplace_back(columns.tag);
  return absl::OkStatus();
}

// A token may be '#', so what has the columns of one is one.
bool ConllReader::IsComment(std::string_view line,
                            const Columns& columns) const {
  if (!tokens_.empty() || !line.starts_with(kCommentStart)) return false;
  if (num_columns_ == 0) return columns.by_tabs || columns.count != 2;
  return columns.count != num_columns_ || columns.by_tabs != by_tabs_;
}

absl::Status ConllReader::CheckColumns(const Columns& columns) {
  if (columns.count == 1) {
    return WrongLine(line_number(),
                     "has one column, so the tag is missing; write a token and "
                     "its tag such as \"Paris B-LOC\"");
  }
  if (num_columns_ == 0) {
    num_columns_ = columns.count;
    by_tabs_ = columns.by_tabs;
  }
  if (columns.count != num_columns_ || columns.by_tabs != by_tabs_) {
    return WrongLine(
        line_number(),
        Concat("has ", columns.count, " columns between ",
               columns.by_tabs ? "tabs" : "spaces", ", and tokens before it ",
               num_columns_, " between ", by_tabs_ ? "tabs" : "spaces"));
  }
  if (columns.token.empty()) {
    return WrongLine(line_number(), "has no token in its first column");
  }
  if (columns.tag.empty()) {
    return WrongLine(line_number(), "has no tag in its last column");
  }
  return absl::OkStatus();
}

absl::Status ConllReader::EndSentence() {
  if (tokens_.empty()) return absl::OkStatus();
  nlohmann::json object = {{"tokens", tokens_}, {"tags", tags_}};
  absl::StatusOr<Row> row = MakeRow(std::move(object), default_split());
  for (size_t i = 0; !row.ok() && i < tokens_.size(); ++i) {
    if (!IsUtf8(tokens_[i]) || !IsUtf8(tags_[i])) {
      return WrongLine(sentence_line_ + static_cast<int64_t>(i),
                       "is not UTF-8");
    }
  }
  tokens_.clear();
  tags_.clear();
  return Emit(sentence_line_, std::move(row), "begins a sentence that ");
}

}  // namespace attune::server
