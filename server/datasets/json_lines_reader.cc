#include "server/datasets/json_lines_reader.h"

namespace attune::server {

absl::Status JsonLinesReader::ReadLine(std::string_view line,
                                       std::string_view /*line_end*/) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
    return absl::OkStatus();
  }
  return Emit(line_number(), ParseRow(line, default_split()));
}

}  // namespace attune::server
