#include "server/datasets/upload_format.h"

#include <utility>

#include "proto/cc/status.h"
#include "server/datasets/conll_reader.h"
#include "server/datasets/csv_reader.h"
#include "server/datasets/json_array_reader.h"
#include "server/datasets/json_lines_reader.h"

namespace attune::server {
namespace {

using Header = v1::UploadExamplesHeader;

}  // namespace

absl::StatusOr<std::unique_ptr<RowReader>> MakeRowReader(
    UploadFormat format, std::string default_split, RowSink sink) {
  std::unique_ptr<RowReader> reader;
  switch (format) {
    case Header::UPLOAD_FORMAT_UNSPECIFIED:
    case Header::UPLOAD_FORMAT_JSON_LINES:
      reader = std::make_unique<JsonLinesReader>(std::move(default_split),
                                                 std::move(sink));
      break;
    case Header::UPLOAD_FORMAT_CSV:
    case Header::UPLOAD_FORMAT_TSV:
      reader = std::make_unique<CsvReader>(
          format == Header::UPLOAD_FORMAT_CSV ? ',' : '\t',
          std::move(default_split), std::move(sink));
      break;
    case Header::UPLOAD_FORMAT_JSON_ARRAY:
      reader = std::make_unique<JsonArrayReader>(std::move(default_split),
                                                 std::move(sink));
      break;
    case Header::UPLOAD_FORMAT_CONLL:
      reader = std::make_unique<ConllReader>(std::move(default_split),
                                             std::move(sink));
      break;
    default:
      return InvalidField("header.format", "is not a known format");
  }
  return reader;
}

std::string_view RowsOfFormat(UploadFormat format) {
  switch (format) {
    case Header::UPLOAD_FORMAT_CSV:
    case Header::UPLOAD_FORMAT_TSV:
      return "a line that names the columns, then one line a row";
    case Header::UPLOAD_FORMAT_JSON_ARRAY:
      return "a JSON array of objects";
    case Header::UPLOAD_FORMAT_CONLL:
      return "a line for each token and its tag, and a blank line after each "
             "sentence";
    default:
      return "one JSON object a line";
  }
}

}  // namespace attune::server
