#include "worker/models/torch_errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// The CPU allocator of LibTorch has no exception type of its own.
bool ReportsFailedAllocation(std::string_view message) {
  for (std::string_view phrase : {"not enough memory", "can't allocate memory",
                                  "out of memory", "bad_alloc"}) {
    if (message.find(phrase) != message.npos) return true;
  }
  return false;
}

absl::Status OutOfMemory(std::string_view context, std::string_view message) {
  return MakeError(
      Reason::kOutOfMemory,
      Concat(context, ": memory did not suffice (", message,
             "); use a smaller batch_size, fewer virtual tokens or shorter "
             "inputs, or give the worker more memory"));
}

}  // namespace

absl::Status StatusOfException(const std::exception& error,
                               std::string_view context) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string message = torch_error != nullptr
                                  ? torch_error->what_without_backtrace()
                                  : error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
      ReportsFailedAllocation(message)) {
    return OutOfMemory(context, message);
  }
  return MakeError(Reason::kInternal, Concat(context, ": ", message));
}

absl::Status NameMemoryErrors(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInternal ||
      !ReportsFailedAllocation(ToStd(status.message()))) {
    return status;
  }
  return OutOfMemory("running the model", ToStd(status.message()));
}

}  // namespace attune::worker
