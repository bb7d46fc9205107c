#ifndef ATTUNE_WORKER_FORWARD_COMMAND_H_
#define ATTUNE_WORKER_FORWARD_COMMAND_H_

#include <cstdint>
#include <ostream>

#include "absl/status/statusor.h"
#include "worker/options.h"

namespace attune::worker {

// attune-worker forward: runs the rows of a file (forward_rows.h) through a
// model, behind a prompt that PEFT saved if there is one, and writes what comes
// out (forward_pass.h) as safetensors; inputs are numbered from 0. Everything
// is read and checked before the weights are loaded; the output appears when it
// is complete. `progress`, if not null, is a terminal that is told how far a
// long input is. -> the number of rows. InvalidArgument, NotFound or DataLoss
// naming the file and line that is wrong; FailedPrecondition for a device that
// is not there.
absl::StatusOr<int64_t> RunForward(const ForwardOptions& options,
                                   std::ostream* progress);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_FORWARD_COMMAND_H_
