#include "tests/testing/server_state.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "proto/cc/artifact.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

template <typename T>
T OrDie(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    abort();
  }
  return *std::move(result);
}

std::string JobName(std::string_view id) { return Concat("tuningJobs/", id); }

}  // namespace

ServerState::ServerState(JobManager::Options options)
    : options_(std::move(options)) {
  Restart();
}

JobManager::Options ServerState::DefaultOptions() {
  JobManager::Options options;
  options.uniform = [] { return 0.5; };
  return options;
}

void ServerState::Restart() {
  jobs.reset();
  datasets.reset();
  registry.reset();
  artifacts.reset();
  database.reset();
  Database::Options options;
  options.directory = directory.path();
  options.before_commit = [this] {
    return before_commit ? before_commit() : absl::OkStatus();
  };
  database = OrDie(Database::Open(options));
  artifacts = OrDie(ArtifactStore::Open(directory / "artifacts"));
  registry = OrDie(PromptRegistry::Create(*database, *artifacts, clock));
  datasets = OrDie(DatasetCatalog::Create(*database, clock));
  jobs = OrDie(JobManager::Create(options_, *database, *registry, *artifacts,
                                  clock, observer));
}

v1::TuningJob ServerState::CreateJob(std::string_view id,
                                     std::string_view prompt) {
  return OrDie(jobs->CreateJob(MakeCreateRequest(id, prompt), MakeRows()));
}

std::string ServerState::StoreArtifact(std::string_view text) {
  Artifact artifact;
  artifact.files["adapter_model.safetensors"] = std::string(text);
  auto writer = OrDie(artifacts->NewWriter());
  for (const ArtifactEntry& entry : EntriesOf(artifact)) {
    absl::Status status = writer->BeginFile(entry);
    status.Update(writer->Write(artifact.files[entry.name]));
    if (!status.ok()) abort();
  }
  return OrDie(writer->Commit());
}

worker::v1::Assignment ServerState::TakeJob(std::string_view worker) {
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker(worker);
  return OrDie(jobs->Synchronize(request)).assignment();
}

worker::v1::SynchronizeResponse ServerState::Report(std::string_view worker,
                                                    std::string_view job,
                                                    int attempt) {
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = MakeWorker(worker);
  request.mutable_worker()->set_free_job_slots(0);
  worker::v1::AttemptState& state = *request.add_attempts();
  state.set_tuning_job(JobName(job));
  state.set_attempt(attempt);
  return OrDie(jobs->Synchronize(request));
}

absl::StatusOr<v1::TuningJob> ServerState::Succeed(std::string_view job,
                                                   int attempt,
                                                   std::string_view text) {
  auto response =
      jobs->FinishAttempt(MakeSuccess(job, attempt, StoreArtifact(text)));
  if (!response.ok()) return response.status();
  return response->tuning_job();
}

v1::TuningJob::State ServerState::StateOf(std::string_view job) {
  return OrDie(jobs->GetJob(job)).state();
}

v1::CreateTuningJobRequest MakeCreateRequest(std::string_view id,
                                             std::string_view prompt) {
  v1::CreateTuningJobRequest request;
  request.set_tuning_job_id(std::string(id));
  v1::TuningJobSpec& spec = *request.mutable_tuning_job()->mutable_spec();
  spec.set_prompt(std::string(prompt));
  spec.set_base_model("models/tiny");
  spec.mutable_task()->set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  spec.mutable_task()->set_template_("{{ text }} is");
  spec.mutable_data()->mutable_inline_()->add_rows();
  return request;
}

PinnedRows MakeRows(
    const std::vector<std::pair<std::string, std::string>>& text_and_label) {
  v1::InlineRows rows;
  for (const auto& [text, label] : text_and_label) {
    auto& fields = *rows.add_rows()->mutable_fields();
    fields["text"].set_string_value(text);
    fields["label"].set_string_value(label);
  }
  return OrDie(PinInlineRows(rows, "rows"));
}

worker::v1::WorkerState MakeWorker(std::string_view id,
                                   std::string_view instance) {
  worker::v1::WorkerState worker;
  worker.set_id(std::string(id));
  worker.set_instance_id(instance.empty() ? Concat(id, "-1")
                                          : std::string(instance));
  worker.set_engine_address(Concat(id, ":50061"));
  worker.set_accepts_jobs(true);
  worker.set_free_job_slots(1);
  v1::Model& model = *worker.add_models();
  model.set_name("models/tiny");
  model.set_fingerprint("f1");
  v1::ModelHolder& holder = *model.add_holders();
  holder.set_device("cpu");
  holder.set_loaded(true);
  return worker;
}

worker::v1::FinishAttemptRequest MakeSuccess(std::string_view job, int attempt,
                                             std::string_view digest) {
  worker::v1::FinishAttemptRequest request;
  request.set_tuning_job(JobName(job));
  request.set_attempt(attempt);
  worker::v1::SucceededOutcome& outcome = *request.mutable_succeeded();
  outcome.set_artifact_digest(std::string(digest));
  outcome.set_model_fingerprint("f1");
  outcome.mutable_report()->set_num_steps(100);
  (*outcome.mutable_report()->mutable_after()->mutable_metrics())["accuracy"] =
      0.9;
  v1::TuningJobSpec& spec = *outcome.mutable_resolved_spec();
  spec.set_prompt("prompts/intent");
  spec.set_base_model("models/tiny");
  spec.mutable_task()->set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  spec.mutable_task()->set_template_("{{ text }} is");
  spec.mutable_method()->mutable_prompt_tuning()->set_num_virtual_tokens(20);
  spec.mutable_data()->mutable_inline_()->add_rows();
  return request;
}

}  // namespace attune::server
