#include "worker/agent/backoff.h"

#include <algorithm>

namespace attune::worker {

absl::Duration Backoff::Next(double uniform) {
  // 2^16 times anything is beyond every maximum.
  const absl::Duration full =
      std::min(options_.maximum,
               options_.initial * (int64_t{1} << std::min(failures_, 16)));
  ++failures_;
  return full * (0.5 + 0.5 * uniform);
}

}  // namespace attune::worker
