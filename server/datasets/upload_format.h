#ifndef ATTUNE_SERVER_DATASETS_UPLOAD_FORMAT_H_
#define ATTUNE_SERVER_DATASETS_UPLOAD_FORMAT_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "attune/v1/dataset_service.pb.h"
#include "server/datasets/row_reader.h"

namespace attune::server {

using UploadFormat = v1::UploadExamplesHeader::UploadFormat;

// Makes the reader of a format. default_split: canonical. INVALID_ARGUMENT
// naming header.format: it is none.
absl::StatusOr<std::unique_ptr<RowReader>> MakeRowReader(
    UploadFormat format, std::string default_split, RowSink sink);

// What a file of the format holds, for messages: "one JSON object a line".
std::string_view RowsOfFormat(UploadFormat format);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_UPLOAD_FORMAT_H_
