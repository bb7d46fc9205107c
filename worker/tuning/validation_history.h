#ifndef ATTUNE_WORKER_TUNING_VALIDATION_HISTORY_H_
#define ATTUNE_WORKER_TUNING_VALIDATION_HISTORY_H_

#include "attune/v1/report.pb.h"
#include "attune/worker/v1/manifest.pb.h"

// The validations of a job as reports, kept in the checkpoint, so that a job
// that was resumed has all of them. Pure functions of state and report.
namespace attune::worker {

// Of one job, at any time. Even.
inline constexpr int kMaxKeptValidations = 50;
// A report with more classes or tags keeps only what is counted over all.
inline constexpr int kMaxKeptClasses = 100;

// Adds the validation after the newest step of `progress`, `epoch` passes over
// the training rows. Of more than kMaxKeptValidations every second is
// forgotten, never the newest.
void KeepValidation(attune::v1::EvaluationReport report, double epoch,
                    v1::CheckpointManifest& progress);

// Whether what a checkpoint that was read says of validations can be.
bool ValidationsAreSound(const v1::CheckpointManifest& progress);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TUNING_VALIDATION_HISTORY_H_
