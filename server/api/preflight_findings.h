#ifndef ATTUNE_SERVER_API_PREFLIGHT_FINDINGS_H_
#define ATTUNE_SERVER_API_PREFLIGHT_FINDINGS_H_

#include <string_view>

#include "absl/status/status.h"
#include "attune/v1/tuning_service.pb.h"

// What the server finds wrong with a job that is not created. Pure.
namespace attune::server {

inline constexpr int kMaxPreflightFindings = 1'000;
inline constexpr int kMaxPreflightSamples = 20;

// Everything that CheckCreateTuningJob would refuse in a job with the spec of
// `request`, as errors with paths such as "spec.task.template".
void FindWrongFields(const v1::PreflightTuningJobRequest& request,
                     v1::PreflightTuningJobResponse& response);

// Adds `status`, not OK, which CreateTuningJob would answer: an error for each
// field it names below "tuning_job", or one about `field`.
void AddError(const absl::Status& status, std::string_view field,
              v1::PreflightTuningJobResponse& response);

// Adds what the worker found to what the server found: one finding per field
// and message, errors first, at most kMaxPreflightFindings. With errors there
// is no resolved spec and no cost.
void JoinFindings(v1::PreflightTuningJobResponse found_by_worker,
                  v1::PreflightTuningJobResponse& response);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_PREFLIGHT_FINDINGS_H_
