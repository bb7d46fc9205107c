#ifndef ATTUNE_SERVER_API_WATCH_CALL_H_
#define ATTUNE_SERVER_API_WATCH_CALL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>

#include "attune/v1/tuning_service.pb.h"
#include "proto/cc/metrics.h"
#include "proto/cc/stream_call.h"
#include "server/api/api_host.h"
#include "server/jobs/wake_ups.h"

namespace attune::server {

class JobManager;

// One WatchTuningJob: reads the stored log from a cursor, so that a client that
// reads slowly costs one batch of events and delays nobody.
class WatchCall final : public StreamWriter<v1::WatchTuningJobResponse> {
 public:
  WatchCall(const ApiHost& host, JobManager& jobs, Metrics::Gauge watch_streams,
            const v1::WatchTuningJobRequest& request);
  ~WatchCall() override;

 private:
  Next Make(v1::WatchTuningJobResponse* message, absl::Status* status) override;
  bool WantsStep(absl::Duration now) override;
  absl::Status Open();
  absl::Status Load();

  JobManager& jobs_;
  const absl::Duration heartbeat_;
  Metrics::Gauge watch_streams_;
  const v1::WatchTuningJobRequest request_;

  // Used by steps only.
  bool begun_ = false;
  std::string job_id_;
  WakeUps::Registration registration_;
  std::deque<v1::TuningEvent> pending_;
  int64_t cursor_ = 0;         // sequence of the last event sent
  int64_t last_sequence_ = 0;  // of the job
  bool ended_ = false;         // nothing comes after pending_

  // Between steps and ticks.
  std::atomic<bool> sent_ = true;  // since the last tick
  std::atomic<bool> heartbeat_due_ = false;
  absl::Duration last_sent_;  // used by ticks only
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_WATCH_CALL_H_
