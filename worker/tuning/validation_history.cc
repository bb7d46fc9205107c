#include "worker/tuning/validation_history.h"

#include <algorithm>
#include <utility>

namespace attune::worker {
namespace {

// Drops what grows with the square of the labels, or is for the last report.
void Shorten(attune::v1::EvaluationReport& report) {
  report.clear_confusion_matrix();
  report.clear_reliability();
  if (report.classes_size() > kMaxKeptClasses) report.clear_classes();
  if (report.tags_size() > kMaxKeptClasses) report.clear_tags();
}

// Keeps the second of each two.
void Halve(v1::CheckpointManifest& progress) {
  auto& all = *progress.mutable_validations();
  const int half = all.size() / 2;
  for (int i = 0; i < half; ++i) all.SwapElements(i, 2 * i + 1);
  all.DeleteSubrange(half, all.size() - half);
  progress.set_validations_per_kept(2 * progress.validations_per_kept());
}

}  // namespace

void KeepValidation(attune::v1::EvaluationReport report, double epoch,
                    v1::CheckpointManifest& progress) {
  Shorten(report);
  auto& all = *progress.mutable_validations();
  progress.set_validations_per_kept(
      std::max(1, progress.validations_per_kept()));
  // The newest one so far is between those that are kept.
  if (progress.num_validations_pending() > 0) all.RemoveLast();
  attune::v1::ValidationReport& added = *all.Add();
  added.set_step(progress.step());
  added.set_epoch(epoch);
  *added.mutable_report() = std::move(report);
  const int pending = progress.num_validations_pending() + 1;
  const bool is_kept = pending == progress.validations_per_kept();
  progress.set_num_validations_pending(is_kept ? 0 : pending);
  if (is_kept && all.size() == kMaxKeptValidations) Halve(progress);
}

bool ValidationsAreSound(const v1::CheckpointManifest& progress) {
  const int per_kept = std::max(1, progress.validations_per_kept());
  const int pending = progress.num_validations_pending();
  if (progress.validations_size() > kMaxKeptValidations ||
      (per_kept & (per_kept - 1)) != 0 || pending < 0 || pending >= per_kept ||
      (pending > 0 && progress.validations().empty())) {
    return false;
  }
  int step = 0;
  for (const attune::v1::ValidationReport& one : progress.validations()) {
    if (one.step() <= step || one.step() > progress.step()) return false;
    step = one.step();
  }
  return true;
}

}  // namespace attune::worker
