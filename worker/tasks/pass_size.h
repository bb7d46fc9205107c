#ifndef ATTUNE_WORKER_TASKS_PASS_SIZE_H_
#define ATTUNE_WORKER_TASKS_PASS_SIZE_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace attune::worker {

// How many of the first of `rest` go through the model at once: as many as have
// at most `max_rows` rows together, as count_rows(T) -> int64_t counts them,
// and at least one, however many it has.
template <typename T, typename CountRows>
size_t PassSize(absl::Span<T> rest, int64_t max_rows, CountRows count_rows) {
  size_t count = 0;
  int64_t rows = 0;
  while (count < rest.size()) {
    rows += count_rows(rest[count]);
    if (count > 0 && rows > max_rows) break;
    ++count;
  }
  return count;
}

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_PASS_SIZE_H_
