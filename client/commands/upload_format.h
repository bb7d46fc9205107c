#ifndef ATTUNE_CLIENT_COMMANDS_UPLOAD_FORMAT_H_
#define ATTUNE_CLIENT_COMMANDS_UPLOAD_FORMAT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "attune/v1/dataset_service.pb.h"

namespace attune::client {

inline constexpr std::string_view kUploadFormatChoices =
    "jsonl, json, csv, tsv or conll";

// The format that --format names, or if it is empty the one of `file`'s suffix;
// of standard input ("-") JSON Lines. INVALID_ARGUMENT with the choices for
// anything else.
absl::StatusOr<v1::UploadExamplesHeader::UploadFormat> FindUploadFormat(
    std::string_view name, std::string_view file);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_UPLOAD_FORMAT_H_
