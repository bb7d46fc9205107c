#ifndef ATTUNE_CLIENT_OUTPUT_ERROR_TEXT_H_
#define ATTUNE_CLIENT_OUTPUT_ERROR_TEXT_H_

#include <string_view>

#include "absl/status/status.h"
#include "client/output/console.h"
#include "proto/cc/status.h"

namespace attune::client {

// What the process returns. README.md and `attune --help` list them.
enum ExitCode : int {
  kExitOk = 0,
  // A job failed or was cancelled, an item has no answer, data is damaged.
  kExitFailed = 1,
  // Flags, files or the request are wrong.
  kExitUsage = 2,
  // A resource is missing, exists already, or is in the wrong state.
  kExitPrecondition = 3,
  // The server cannot be reached, is busy or took too long: try again.
  kExitUnavailable = 4,
  // Ctrl-C.
  kExitInterrupted = 130,
};

ExitCode ExitCodeOf(const absl::Status& status);

// What a person does about an error of `reason`; empty when its message says
// it all.
std::string_view RemedyFor(Reason reason);

// Prints "error: " and the message, then each wrong field, then the remedy.
void PrintError(const absl::Status& status, Stream& err);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_ERROR_TEXT_H_
