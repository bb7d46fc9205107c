#include "worker/tuning/memory_guard.h"

#include <algorithm>
#include <string_view>

#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// Rows of the longest sample and of what it cannot go without.
int64_t SmallestPart(const BatchRows& batch) {
  if (batch.samples.empty()) return batch.shared;
  return batch.shared +
         *std::max_element(batch.samples.begin(), batch.samples.end());
}

absl::Status NothingLeftToSplit(int step, int64_t rows,
                                const absl::Status& status) {
  // Without the advice at its end, which is about whole batches.
  const std::string_view message = ToStd(status.message());
  return MakeError(
      Reason::kOutOfMemory,
      Concat("step ", step, ": memory does not suffice for a single sample of ",
             rows, " rows (", message.substr(0, message.find(';')),
             "): a smaller training.batch_size does not help; shorten the "
             "inputs (task.truncation), use fewer virtual tokens or give the "
             "worker more memory"));
}

}  // namespace

MemoryGuard::MemoryGuard(int64_t max_rows, AttemptListener& listener)
    : max_rows_(max_rows), listener_(listener) {}

absl::Status MemoryGuard::Run(
    const BatchRows& batch, v1::CheckpointManifest& progress,
    const std::function<absl::Status(int64_t max_rows)>& run) {
  while (true) {
    const int64_t max_rows = progress.max_micro_batch_rows() > 0
                                 ? progress.max_micro_batch_rows()
                                 : max_rows_;
    const absl::Status status = run(max_rows);
    if (ReasonOf(status) != Reason::kOutOfMemory) return status;
    const int step = progress.step() + 1;
    const int64_t largest = LargestPart(batch, max_rows);
    const int64_t smallest = SmallestPart(batch);
    if (largest <= smallest) {
      return NothingLeftToSplit(step, smallest, status);
    }
    // Less than the largest part, so that every round splits one.
    const int64_t reduced = std::max(largest / 2, smallest);
    progress.set_max_micro_batch_rows(reduced);
    listener_.OnNotice(Concat(
        "step ", step, ": memory did not suffice for ", largest,
        " rows at once; from here on a batch is run in parts of at most ",
        reduced, " rows, which gives the same result more slowly"));
  }
}

}  // namespace attune::worker
