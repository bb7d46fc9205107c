#ifndef ATTUNE_WORKER_TASKS_FAULTS_H_
#define ATTUNE_WORKER_TASKS_FAULTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/status.h"

// What is wrong with a spec or with rows, and who hears of it: a job ends at
// the first fault, a preflight goes on to find all of them.
namespace attune::worker {

// Hears of a fault. OK: the work goes on without what is wrong; anything else
// ends it with that error. An empty handler ends it with the fault.
using FaultHandler = std::function<absl::Status(const absl::Status& fault)>;

// What becomes of `status`: OK if it is, else what `handler` says.
absl::Status Meet(const FaultHandler& handler, const absl::Status& status);

// INVALID_ARGUMENT (kInvalidData) for a row of a dataset, counted from 1.
// `field`: that of the row which is wrong, if it is one. `value`: what tells
// the fault from others that are alike, if anything does.
absl::Status RowError(int64_t row, std::string_view what,
                      std::string_view field = "", std::string_view value = "");

// `status` as the fault of a row: with "row N: " before it. `field` as above,
// unless `status` names one itself.
absl::Status InRow(int64_t row, std::string_view field,
                   const absl::Status& status);

// An error about a field of a row whose number the caller adds (InRow).
absl::Status FieldFault(Reason reason, std::string_view field,
                        std::string_view what);

// A fault taken apart.
struct Fault {
  Reason reason = Reason::kInternal;
  std::string spec_field;  // "spec.<path>"; empty: about the rows alone
  int64_t row = 0;         // 0: about no row alone
  std::string row_field;
  std::string value;  // as above
  std::string what;   // without the row
};

// The faults that an error names: of wrong fields one each, otherwise one.
std::vector<Fault> FaultsIn(const absl::Status& status);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_FAULTS_H_
