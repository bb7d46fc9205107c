#ifndef ATTUNE_SERVER_STORE_JOB_STORE_H_
#define ATTUNE_SERVER_STORE_JOB_STORE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/tuning_service.pb.h"
#include "server/store/row_store.h"

namespace soci {
class session;
}

namespace attune::server {

// A job as it is stored.
struct JobRecord {
  // Counts jobs in the order of their creation; 0 until stored.
  int64_t number = 0;
  std::string id;
  // Everything but progress. The columns that lists filter by follow from it.
  v1::TuningJob job;
  SnapshotKey rows;
  // The process that holds the job, while RUNNING or CANCELLING.
  std::string instance;
  // Counted losses since the last new checkpoint.
  int losses = 0;
  // The attempt that was finished last, and a hash of the call that did it.
  int32_t finished_attempt = 0;
  std::string finish_hash;
};

// A condition of a list, already checked.
struct JobCondition {
  enum class Field { kState, kPrompt, kBaseModel, kWorker, kCreateTime };
  enum class Operator { kEqual, kNotEqual, kLess, kGreater };
  Field field;
  Operator op;
  std::string text;    // for prompt, base_model, worker
  int64_t number = 0;  // a state, or a time in microseconds since the epoch
};

// A checkpoint of a job.
struct CheckpointRecord {
  std::string digest;
  int32_t step = 0;
};

// Jobs, their events and their checkpoints. Stateless; `sql` is a transaction
// of the caller. Methods throw what SOCI throws; Database turns it into a
// status.
class JobStore {
 public:
  explicit JobStore(soci::session& sql) : sql_(sql) {}

  // Stores a new job and sets its number. The caller has checked the id.
  void Insert(JobRecord& record);
  void Update(const JobRecord& record);
  // Removes the job, its events, checkpoints and inline rows; the number of its
  // last attempt stays.
  void Delete(const JobRecord& record);
  // The last attempt of deleted jobs with this id; 0 if there was none.
  int32_t LastAttempt(std::string_view id);

  std::optional<JobRecord> Find(std::string_view id);
  std::optional<JobRecord> FindByNumber(int64_t number);
  std::optional<JobRecord> FindByUid(std::string_view uid);
  // Jobs in one of the states QUEUED, RUNNING or CANCELLING, oldest first.
  std::vector<JobRecord> ListUnfinished();
  // Jobs with a number below `before` that meet all conditions, newest first.
  std::vector<JobRecord> List(const std::vector<JobCondition>& conditions,
                              int64_t before, int limit);
  // How many jobs are in each state, by the state's number.
  std::vector<std::pair<int, int64_t>> CountByState();

  // Whether an unfinished job tunes the prompt, or uses the dataset.
  bool IsPromptInUse(std::string_view prompt_id);
  bool IsDatasetInUse(int64_t dataset_number);

  // Appends an event with its sequence and time set.
  void AppendEvent(int64_t job, const v1::TuningEvent& event);
  // Events after `sequence`, in order, at most `limit` or about 1 MiB.
  std::vector<v1::TuningEvent> EventsAfter(int64_t job, int64_t sequence,
                                           int limit);
  // The newest progress among the events, if there is one.
  std::optional<v1::TuningProgress> LastProgress(int64_t job);

  // Adds a checkpoint and drops all but the newest `keep`.
  void AddCheckpoint(int64_t job, const CheckpointRecord& checkpoint, int keep);
  // Newest first.
  std::vector<CheckpointRecord> Checkpoints(int64_t job);
  void DeleteCheckpoint(int64_t job, std::string_view digest);
  void DeleteCheckpoints(int64_t job);
  std::set<std::string> ReferencedArtifacts();

 private:
  std::optional<JobRecord> FindBy(std::string_view column, std::string value);

  soci::session& sql_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_STORE_JOB_STORE_H_
