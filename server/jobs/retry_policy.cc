#include "server/jobs/retry_policy.h"

#include <algorithm>
#include <string>

#include "proto/cc/text.h"

namespace attune::server {
namespace {

std::string_view NameOf(Reason reason) {
  for (const ReasonRow& row : AllReasons()) {
    if (row.reason == reason) return row.name;
  }
  return "INTERNAL";
}

}  // namespace

bool IsRetryable(Reason reason) {
  switch (reason) {
    case Reason::kWorkerLost:
    case Reason::kNoWorker:
    case Reason::kDraining:
    case Reason::kLeaseLost:
    case Reason::kDeadlineExceeded:
    case Reason::kOutOfMemory:
    case Reason::kModelMemoryFull:
    case Reason::kStorageFull:
    case Reason::kStorageFailure:
    case Reason::kCorruptArtifact:  // a checkpoint: the one before may do
    case Reason::kInternal:
      return true;
    default:
      return false;
  }
}

absl::Duration RetryDelay(int losses, double uniform) {
  absl::Duration delay = absl::Seconds(1);
  if (losses >= 2) {
    // 2^7 * 5 s is past the limit already.
    delay = absl::Seconds(5) * (1 << std::min(losses - 2, 7));
    delay = std::min(delay, absl::Minutes(5));
  }
  return delay * (0.8 + 0.4 * uniform);
}

bool NeedsWorkerAlone(int losses, int max_attempts) {
  return losses > 0 && losses + 1 >= max_attempts;
}

absl::Status AttemptsExhausted(int losses, const absl::Status& last) {
  std::string reason(NameOf(ReasonOf(last)));
  return MakeError(
      Reason::kAttemptsExhausted,
      Concat(losses,
             " attempts were lost without a new checkpoint between "
             "them; the last one: ",
             ToStd(last.message()), " (", reason, ")"),
      {{"attempts", Concat(losses)}, {"last_reason", reason}});
}

}  // namespace attune::server
