#ifndef ATTUNE_SERVER_DATASETS_CONLL_READER_H_
#define ATTUNE_SERVER_DATASETS_CONLL_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/datasets/line_reader.h"

namespace attune::server {

// Reads columns as the CoNLL tasks have them: a line is a token, a blank line
// ends a sentence, and a sentence is the row {"tokens": [...], "tags": [...]}
// of first and last columns. Columns stand between tabs if the line has one,
// else between spaces; all lines have as many, two or more. Lines that begin
// with "-DOCSTART-" are skipped, and before a sentence those that begin with
// "# ", unless they have the columns of a token.
class ConllReader final : public LineReader {
 public:
  using LineReader::LineReader;

 private:
  // What a line holds besides the columns that nobody reads.
  struct Columns {
    std::string_view token;  // the first column
    std::string_view tag;    // the last one
    int64_t count = 0;
    bool by_tabs = false;
  };

  static Columns Split(std::string_view line);

  absl::Status ReadLine(std::string_view line,
                        std::string_view line_end) override;
  absl::Status ReadLast() override { return EndSentence(); }
  bool IsComment(std::string_view line, const Columns& columns) const;
  absl::Status CheckColumns(const Columns& columns);
  absl::Status EndSentence();

  // Of the first token, which all others must have. 0 before it.
  int64_t num_columns_ = 0;
  bool by_tabs_ = false;
  // The sentence that is being read.
  std::vector<std::string> tokens_;
  std::vector<std::string> tags_;
  int64_t sentence_line_ = 0;  // where it begins; each token is a line
  int64_t sentence_bytes_ = 0;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_CONLL_READER_H_
