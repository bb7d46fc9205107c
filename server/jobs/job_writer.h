#ifndef ATTUNE_SERVER_JOBS_JOB_WRITER_H_
#define ATTUNE_SERVER_JOBS_JOB_WRITER_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/v1/tuning_service.pb.h"
#include "server/jobs/job_observer.h"
#include "server/jobs/job_state.h"
#include "server/store/job_store.h"

namespace attune::server {

// What a transaction changed: to be taken over in memory after its commit, and
// told to others after that. A value.
struct JobEffects {
  // A job that came to another state, or was deleted.
  struct Changed {
    int64_t number = 0;
    std::string id;  // what follows "tuningJobs/"
    JobState from = v1::TuningJob::STATE_UNSPECIFIED;  // or it is new
    JobState to = v1::TuningJob::STATE_UNSPECIFIED;    // or it is deleted
    std::string base_model;
    int32_t attempt = 0;
    std::string worker;
    std::string instance;
    int losses = 0;  // counted ones in a row
    // While QUEUED: on the monotonic clock.
    absl::Duration not_before = -absl::InfiniteDuration();
  };
  std::vector<Changed> changed;
  std::vector<std::function<void()>> after_commit;  // under the owner's mutex
  std::set<std::string> woken;                      // keys to fire
  std::set<std::string> prompts;  // whose copy in memory is outdated
  std::vector<std::function<void(JobObserver&)>> observations;
};

// Events of a job after some sequence number.
struct JobEvents {
  std::vector<v1::TuningEvent> events;
  int64_t last_sequence = 0;  // of the job's newest event
  bool ended = false;  // the job is final and `events` reaches last_sequence
};

// Wake-up keys.
inline constexpr std::string_view kWorkKey = "work";
std::string JobKey(std::string_view id);

// Writes changes of jobs in one transaction and notes their effects. Each
// change of state, progress or notice is an event with the next sequence
// number. Lives as long as the transaction.
class JobWriter {
 public:
  JobWriter(soci::session& sql, absl::Time now, JobEffects& effects)
      : sql_(sql), store_(sql), now_(now), effects_(effects) {}

  // Brings the job to a state, with its event, and stores it with everything
  // else that was changed in `record`. A new record (number 0) is inserted.
  // Times, worker and error are kept in step with the state. message: why, for
  // people. kIllegalState when the table of states has no such edge.
  absl::Status Move(JobState to, std::string_view message, JobRecord& record,
                    absl::Duration not_before = -absl::InfiniteDuration());

  // Stores an event without a change of state; Save must follow.
  void AddProgress(const v1::TuningProgress& progress, JobRecord& record);
  void AddNotice(std::string_view message, JobRecord& record);
  void Save(JobRecord& record);

  void Delete(const JobRecord& record);

  soci::session& sql() { return sql_; }
  JobStore& store() { return store_; }
  JobEffects& effects() { return effects_; }
  absl::Time now() const { return now_; }

 private:
  void Append(v1::TuningEvent event, std::string_view type, JobRecord& record);

  soci::session& sql_;
  JobStore store_;
  const absl::Time now_;
  JobEffects& effects_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_JOBS_JOB_WRITER_H_
