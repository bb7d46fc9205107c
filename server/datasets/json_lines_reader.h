#ifndef ATTUNE_SERVER_DATASETS_JSON_LINES_READER_H_
#define ATTUNE_SERVER_DATASETS_JSON_LINES_READER_H_

#include <string_view>

#include "absl/status/status.h"
#include "server/datasets/line_reader.h"

namespace attune::server {

// Reads JSON Lines: one object a line. Blank lines are skipped.
class JsonLinesReader final : public LineReader {
 public:
  using LineReader::LineReader;

 private:
  absl::Status ReadLine(std::string_view line,
                        std::string_view line_end) override;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_JSON_LINES_READER_H_
