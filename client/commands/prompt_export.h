#ifndef ATTUNE_CLIENT_COMMANDS_PROMPT_EXPORT_H_
#define ATTUNE_CLIENT_COMMANDS_PROMPT_EXPORT_H_

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "attune/v1/prompt_service.pb.h"
#include "client/connection/connection.h"

namespace attune::client {

// Writes the files of a version, prompts/{id}/versions/{n} or
// prompts/{id}@{alias}, as the new directory `directory`, and returns the
// version. Files are written beside it and appear all at once under its name,
// after every size and digest and the digest of the whole were right; on any
// error nothing is left. FAILED_PRECONDITION: the directory is there and not
// empty. DATA_LOSS: what came is not what the registry promised.
absl::StatusOr<v1::PromptVersion> ExportPromptVersion(
    Connection& connection, const std::string& name,
    const std::filesystem::path& directory);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_PROMPT_EXPORT_H_
