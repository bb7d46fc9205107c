#ifndef ATTUNE_SERVER_JOBS_JOB_FILTER_H_
#define ATTUNE_SERVER_JOBS_JOB_FILTER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/store/job_store.h"

namespace attune::server {

// Parses the filter of ListTuningJobs: nothing, or conditions joined by AND.
//   condition = field operator string
//   field     = state | prompt | base_model | worker | create_time
//   operator  = "=" | "!=", for create_time also "<" | ">"
//   string    = '"' any but '"' and '\', or \" or \\ '"'
// At most 4,096 bytes and 16 conditions. INVALID_ARGUMENT (kInvalidFilter)
// saying what is wrong and where: another field or operator (OR, NOT and
// parentheses are not supported), a state or time that is none.
absl::StatusOr<std::vector<JobCondition>> ParseJobFilter(
    std::string_view filter);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_JOB_FILTER_H_
