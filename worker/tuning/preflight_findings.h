#ifndef ATTUNE_WORKER_TUNING_PREFLIGHT_FINDINGS_H_
#define ATTUNE_WORKER_TUNING_PREFLIGHT_FINDINGS_H_

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "attune/v1/preflight.pb.h"
#include "attune/v1/tuning_service.pb.h"
#include "worker/tasks/faults.h"

namespace attune::worker {

// The most findings that an answer has.
inline constexpr size_t kMaxFindings = 1000;

// Collects what a preflight finds. Faults that are alike become one finding:
// those of the same reason and field whose words differ in numbers and quoted
// texts only, unless they are about different values, such as labels. Not
// thread-safe.
class PreflightFindings {
 public:
  // Everything that is wrong according to `status`; nothing if it is OK.
  void AddFaults(const absl::Status& status);

  // Something that should be known. Fills in its severity.
  void AddWarning(attune::v1::PreflightFinding finding);

  bool has_errors() const { return num_errors_ > 0; }

  // Puts them in: errors first, then in the order of spec and rows.
  void MoveTo(attune::v1::PreflightTuningJobResponse& response);

 private:
  void AddFault(const Fault& fault);

  // In the order of arrival; at most kMaxFindings errors.
  std::vector<attune::v1::PreflightFinding> findings_;
  // Their places, or kNoPlace, by a hash of what is alike: rows may all differ.
  std::unordered_map<size_t, size_t> place_of_;
  int64_t num_errors_ = 0;
  int64_t num_warnings_ = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_PREFLIGHT_FINDINGS_H_
