#ifndef ATTUNE_TESTS_WORKER_TUNING_TOY_JOB_H_
#define ATTUNE_TESTS_WORKER_TUNING_TOY_JOB_H_

#include <string>

#include "worker/tuning/attempt.h"

namespace attune::worker {

// A classification that can be learnt, on the tiny model: texts that end in 1
// are "left", texts that end in 7 are "right". A prompt of eight rows, batches
// of eight.
AttemptInput ToyJob(int max_steps);
// The same on another model of TinyModels.
AttemptInput ToyJobOn(const std::string& model, int max_steps);

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_TUNING_TOY_JOB_H_
