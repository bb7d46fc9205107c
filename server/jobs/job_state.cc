#include "server/jobs/job_state.h"

#include <array>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

using J = v1::TuningJob;

constexpr std::pair<JobState, JobState> kEdges[] = {
    {J::STATE_QUEUED, J::STATE_RUNNING},        // a lease is granted
    {J::STATE_QUEUED, J::STATE_CANCELLED},      // cancel
    {J::STATE_RUNNING, J::STATE_QUEUED},        // the attempt is lost
    {J::STATE_RUNNING, J::STATE_CANCELLING},    // cancel
    {J::STATE_RUNNING, J::STATE_SUCCEEDED},     // the version is stored
    {J::STATE_RUNNING, J::STATE_FAILED},        // for good
    {J::STATE_CANCELLING, J::STATE_CANCELLED},  // the worker stopped or is gone
    {J::STATE_FAILED, J::STATE_QUEUED},         // retry
    {J::STATE_CANCELLED, J::STATE_QUEUED},      // retry
};

constexpr std::pair<JobState, std::string_view> kNames[] = {
    {J::STATE_QUEUED, "QUEUED"},         {J::STATE_RUNNING, "RUNNING"},
    {J::STATE_CANCELLING, "CANCELLING"}, {J::STATE_SUCCEEDED, "SUCCEEDED"},
    {J::STATE_FAILED, "FAILED"},         {J::STATE_CANCELLED, "CANCELLED"},
};

}  // namespace

std::string_view JobStateName(JobState state) {
  for (const auto& [known, name] : kNames) {
    if (known == state) return name;
  }
  return "STATE_UNSPECIFIED";
}

std::optional<JobState> FindJobState(std::string_view name) {
  for (const auto& [state, known] : kNames) {
    if (known == name) return state;
  }
  return std::nullopt;
}

bool IsFinal(JobState state) {
  return state == J::STATE_SUCCEEDED || state == J::STATE_FAILED ||
         state == J::STATE_CANCELLED;
}

bool IsHeld(JobState state) {
  return state == J::STATE_RUNNING || state == J::STATE_CANCELLING;
}

bool MayAdvance(JobState from, JobState to) {
  for (const auto& [edge_from, edge_to] : kEdges) {
    if (edge_from == from && edge_to == to) return true;
  }
  return false;
}

absl::Status Advance(JobState to, v1::TuningJob& job) {
  // A job that was just made has no state yet and can only be queued.
  bool is_new = job.state() == J::STATE_UNSPECIFIED && to == J::STATE_QUEUED;
  if (!is_new && !MayAdvance(job.state(), to)) {
    return MakeError(Reason::kIllegalState,
                     Concat(job.name(), " is ", JobStateName(job.state()),
                            " and cannot become ", JobStateName(to)),
                     {{"state", std::string(JobStateName(job.state()))}});
  }
  job.set_state(to);
  return absl::OkStatus();
}

}  // namespace attune::server
