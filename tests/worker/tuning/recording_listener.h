#ifndef ATTUNE_TESTS_WORKER_TUNING_RECORDING_LISTENER_H_
#define ATTUNE_TESTS_WORKER_TUNING_RECORDING_LISTENER_H_

#include <string>
#include <utility>
#include <vector>

#include "worker/tuning/attempt.h"

namespace attune::worker {

// Remembers what it hears, and asks to stop when told to.
class RecordingListener : public AttemptListener {
 public:
  void OnResolvedSpec(const attune::v1::TuningJobSpec& spec) override {
    specs.push_back(spec);
  }
  void OnProgress(const attune::v1::TuningProgress& progress) override {
    reports.push_back(progress);
  }
  void OnNotice(std::string message) override {
    notices.push_back(std::move(message));
  }
  void OnCheckpoint(Artifact checkpoint, int step) override {
    checkpoints.emplace_back(step, std::move(checkpoint));
  }
  bool StopRequested() override {
    return !reports.empty() && reports.back().phase() == stop_phase &&
           reports.back().step() >= stop_step;
  }
  void BeforeStep() override { ++forwards; }

  // Stops in this phase once so many steps are made; by default never.
  attune::v1::TuningProgress::Phase stop_phase =
      attune::v1::TuningProgress::PHASE_UNSPECIFIED;
  int stop_step = 0;

  std::vector<attune::v1::TuningJobSpec> specs;
  std::vector<attune::v1::TuningProgress> reports;
  std::vector<std::string> notices;
  std::vector<std::pair<int, Artifact>> checkpoints;
  int forwards = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_TUNING_RECORDING_LISTENER_H_
