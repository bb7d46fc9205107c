#ifndef ATTUNE_TESTS_TESTING_SERVER_STATE_H_
#define ATTUNE_TESTS_TESTING_SERVER_STATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/tuning_service.pb.h"
#include "attune/worker/v1/control.pb.h"
#include "server/datasets/dataset_catalog.h"
#include "server/jobs/job_manager.h"
#include "server/registry/prompt_registry.h"
#include "server/store/artifact_store.h"
#include "server/store/database.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {

// Everything a server has below its API, on a real database in a directory of
// its own, with a clock that the test moves.
class ServerState {
 public:
  explicit ServerState(JobManager::Options options = DefaultOptions());

  // Options with a lease of 30 s and no spread in retries (1 s, 5 s, 10 s).
  static JobManager::Options DefaultOptions();

  // Drops everything that is in memory, as kill -9 would, and opens the same
  // directory again.
  void Restart();

  // While set, called before each commit; an error rolls back.
  std::function<absl::Status()> before_commit;
  // May be set before a Restart.
  JobObserver* observer = nullptr;

  FakeClock clock;
  TempDirectory directory;
  std::unique_ptr<Database> database;
  std::unique_ptr<ArtifactStore> artifacts;
  std::unique_ptr<PromptRegistry> registry;
  std::unique_ptr<DatasetCatalog> datasets;
  std::unique_ptr<JobManager> jobs;

  // Makes a job over two inline rows. Ends the test program on an error.
  v1::TuningJob CreateJob(std::string_view id,
                          std::string_view prompt = "prompts/intent");
  // Stores an artifact of one file and returns its digest.
  std::string StoreArtifact(std::string_view text);
  // Synchronises a worker without a job; what it got, or an empty assignment.
  worker::v1::Assignment TakeJob(std::string_view worker);
  // Synchronises a worker that works on an attempt and takes no other job.
  worker::v1::SynchronizeResponse Report(std::string_view worker,
                                         std::string_view job, int attempt);
  // Finishes an attempt with a result; the text makes the artifact.
  absl::StatusOr<v1::TuningJob> Succeed(std::string_view job, int attempt,
                                        std::string_view text = "tensors");
  v1::TuningJob::State StateOf(std::string_view job);

 private:
  const JobManager::Options options_;
};

// A request for a job over `rows` of "text" and "label".
v1::CreateTuningJobRequest MakeCreateRequest(
    std::string_view id, std::string_view prompt = "prompts/intent");
PinnedRows MakeRows(
    const std::vector<std::pair<std::string, std::string>>& text_and_label = {
        {"hello", "greeting"}, {"bye", "farewell"}});
// A worker with models/tiny, loaded, and one free slot; its instance is
// `instance`, or "{id}-1".
worker::v1::WorkerState MakeWorker(std::string_view id,
                                   std::string_view instance = "");
// A request that finishes an attempt with a result.
worker::v1::FinishAttemptRequest MakeSuccess(std::string_view job, int attempt,
                                             std::string_view digest);

}  // namespace attune::server

#endif  // ATTUNE_TESTS_TESTING_SERVER_STATE_H_
