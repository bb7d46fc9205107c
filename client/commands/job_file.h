#ifndef ATTUNE_CLIENT_COMMANDS_JOB_FILE_H_
#define ATTUNE_CLIENT_COMMANDS_JOB_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.pb.h"

namespace attune::client {

// The request that a job file asks for. The file is a TuningJob in YAML or
// JSON, or a whole CreateTuningJobRequest (then it has tuning_job). Each of
// `settings` is "path.to.field=value" and wins over the file; paths begin in
// the TuningJob, for example "spec.training.max_steps=100".
// INVALID_ARGUMENT as for FillMessage, or naming the setting.
absl::StatusOr<v1::CreateTuningJobRequest> ParseJobFile(
    std::string_view text, std::string_view file,
    const std::vector<std::string>& settings);

// The task of a file that is a TaskSpec, or a job file.
absl::StatusOr<v1::TaskSpec> ParseTaskFile(std::string_view text,
                                           std::string_view file);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_JOB_FILE_H_
