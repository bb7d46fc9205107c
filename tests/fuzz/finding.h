#ifndef ATTUNE_TESTS_FUZZ_FINDING_H_
#define ATTUNE_TESTS_FUZZ_FINDING_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace attune::fuzz {

// Where the bytes of an input come from, in messages.
inline constexpr char kOrigin[] = "fuzzed-file";

// What must hold for every input. If it does not, the process ends, and
// libFuzzer keeps the input as a reproducer.
inline void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "finding: %.*s\n", static_cast<int>(what.size()),
               what.data());
  std::abort();
}

// Requires an error as a file may cause it, which names `place`.
inline void RequireFileError(const absl::Status& status,
                             std::string_view place) {
  const std::string message(status.message().data(), status.message().size());
  Require(absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
              absl::IsUnimplemented(status),
          status.ToString());
  Require(message.find(place) != std::string::npos, status.ToString());
}

}  // namespace attune::fuzz

#endif  // ATTUNE_TESTS_FUZZ_FINDING_H_
