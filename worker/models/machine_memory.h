#ifndef ATTUNE_WORKER_MODELS_MACHINE_MEMORY_H_
#define ATTUNE_WORKER_MODELS_MACHINE_MEMORY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace attune::worker {

// The memory that this process can have, in bytes: the machine's, or what the
// tightest of the control groups around it allows (versions 1 and 2), as in a
// container. `root`: the directory that /proc and /sys are in; another one in
// tests. FailedPrecondition if the system does not say.
absl::StatusOr<int64_t> MachineMemory(const std::string& root = "");

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_MACHINE_MEMORY_H_
