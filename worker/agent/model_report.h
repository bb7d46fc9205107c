#ifndef ATTUNE_WORKER_AGENT_MODEL_REPORT_H_
#define ATTUNE_WORKER_AGENT_MODEL_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "attune/v1/model_service.pb.h"
#include "proto/cc/clock.h"
#include "worker/models/model_store.h"

namespace attune::worker {

// What the worker tells the server of its base models. Looks for new ones from
// time to time, not at every report. Not thread-safe.
class ModelReport {
 public:
  // `models` and `clock` are borrowed.
  ModelReport(ModelStore& models, std::string worker_id, const Clock& clock)
      : models_(models), worker_id_(std::move(worker_id)), clock_(clock) {}

  // The models as they are now. When the directory can't be read: those of the
  // last time.
  std::vector<attune::v1::Model> Make();

 private:
  ModelStore& models_;
  const std::string worker_id_;
  const Clock& clock_;
  std::vector<ModelInfo> infos_;
  absl::Duration next_listing_ = -absl::InfiniteDuration();  // monotonic
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_AGENT_MODEL_REPORT_H_
