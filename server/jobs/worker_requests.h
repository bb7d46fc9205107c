#ifndef ATTUNE_SERVER_JOBS_WORKER_REQUESTS_H_
#define ATTUNE_SERVER_JOBS_WORKER_REQUESTS_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/v1/prompt_service.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "attune/worker/v1/control.pb.h"
#include "google/protobuf/duration.pb.h"
#include "proto/cc/artifact.h"

// What JobManager reads out of workers' requests. Pure functions.
namespace attune::server {

inline constexpr int kMaxNotices = 100;
inline constexpr int kMaxWorkerJobs = 64;

google::protobuf::Duration ToProto(absl::Duration duration);

// The beginning of `text` with at most `max_bytes` bytes, cut between two
// characters: protobuf does not read back what is not UTF-8.
std::string_view CutText(std::string_view text, size_t max_bytes);

// INVALID_ARGUMENT naming every field that is missing or wrong.
absl::Status CheckSynchronize(const worker::v1::SynchronizeRequest& request);
absl::Status CheckFinish(const worker::v1::FinishAttemptRequest& request);

// Removes inline rows, which a job keeps in its snapshot only.
void RemoveRows(v1::TuningJobSpec& spec);

// The version that a success makes, but for its name, uid and time.
v1::PromptVersion MakeVersion(const v1::TuningJob& job,
                              const worker::v1::SucceededOutcome& outcome,
                              const std::vector<ArtifactEntry>& files);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_WORKER_REQUESTS_H_
