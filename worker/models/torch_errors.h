#ifndef ATTUNE_WORKER_MODELS_TORCH_ERRORS_H_
#define ATTUNE_WORKER_MODELS_TORCH_ERRORS_H_

#include <exception>
#include <string_view>

#include "absl/status/status.h"

namespace attune::worker {

// An exception of LibTorch or the standard library as a status, with `context`
// before its message: kOutOfMemory where memory did not suffice, else
// kInternal.
absl::Status StatusOfException(const std::exception& error,
                               std::string_view context);

// `status`, turned into kOutOfMemory if it is an internal error that reports a
// failed allocation.
absl::Status NameMemoryErrors(const absl::Status& status);

// Runs `function`, which returns a Status or a StatusOr, and turns what it
// throws into one. Every call into LibTorch from this folder and those above it
// stands inside one such call.
template <typename Function>
auto CatchTorchErrors(std::string_view context, Function&& function)
    -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& error) {
    return StatusOfException(error, context);
  }
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_TORCH_ERRORS_H_
