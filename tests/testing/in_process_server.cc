#include "tests/testing/in_process_server.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune {
namespace {

// Ends the test program.
void MustBeOk(const absl::Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s: %s\n", what, status.ToString().c_str());
  std::abort();
}

void MustBeOk(const grpc::Status& status, const char* what) {
  MustBeOk(FromGrpcStatus(status), what);
}

}  // namespace

server::Server::Timing InProcessServer::ShortTiming() {
  return {.tick = absl::Milliseconds(10),
          .heartbeat = absl::Milliseconds(50),
          .stall_limit = absl::Milliseconds(300),
          .default_deadline = absl::Seconds(10)};
}

InProcessServer::InProcessServer(server::ServerOptions options,
                                 server::Server::Timing timing) {
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "127.0.0.1:0";
  options.state_dir = directory_ / "state";
  auto server = server::Server::Start(options, clock_, timing);
  MustBeOk(server.status(), "cannot start the server");
  server_ = *std::move(server);
  // Over a socket: a channel without one drops what is on its way when the
  // server shuts down.
  channel_ = grpc::CreateChannel(server_->grpc_address(),
                                 grpc::InsecureChannelCredentials());
}

class FakeWorker::Engine final : public worker::v1::Engine::Service {
 public:
  explicit Engine(FakeWorker& worker) : worker_(worker) {}

  grpc::Status Predict(grpc::ServerContext* context,
                       const worker::v1::EnginePredictRequest* request,
                       worker::v1::EnginePredictResponse* response) override {
    if (worker_.on_predict) {
      return worker_.on_predict(context, *request, response);
    }
    for (const auto& item : request->items()) {
      v1::PredictResult* result = response->add_results();
      result->mutable_answer()->mutable_label()->set_label(worker_.id_);
      result->set_prompt_version(
          request->targets(item.target()).prompt_version());
    }
    return grpc::Status::OK;
  }

  grpc::Status StreamGenerate(
      grpc::ServerContext* context,
      const worker::v1::EngineGenerateRequest* request,
      grpc::ServerWriter<v1::StreamGenerateResponse>* writer) override {
    return worker_.on_generate(context, *request, writer);
  }

  grpc::Status Evaluate(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::EvaluatePromptResponse,
                               worker::v1::EngineEvaluateRequest>* stream)
      override {
    return worker_.on_evaluate(context, stream);
  }

  grpc::Status Augment(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<worker::v1::EngineAugmentResponse,
                               worker::v1::EngineAugmentRequest>* stream)
      override {
    return worker_.on_augment(context, stream);
  }

  grpc::Status Preflight(
      grpc::ServerContext* context,
      grpc::ServerReader<worker::v1::EnginePreflightRequest>* reader,
      v1::PreflightTuningJobResponse* response) override {
    return worker_.on_preflight(context, reader, response);
  }

 private:
  FakeWorker& worker_;
};

FakeWorker::FakeWorker(const std::shared_ptr<grpc::Channel>& control,
                       const std::string& id, const std::string& model)
    : id_(id),
      model_(model),
      control_(worker::v1::WorkerControl::NewStub(control)),
      engine_(std::make_unique<Engine>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &engine_port_);
  builder.RegisterService(engine_.get());
  engine_server_ = builder.BuildAndStart();
}

FakeWorker::~FakeWorker() { StopEngine(); }

void FakeWorker::StopEngine() {
  if (engine_server_ == nullptr) return;
  engine_server_->Shutdown(std::chrono::system_clock::now());
  engine_server_.reset();
}

worker::v1::WorkerState FakeWorker::State() const {
  worker::v1::WorkerState state;
  state.set_id(id_);
  state.set_instance_id("7b0c3a52-95a5-4e8c-9d0c-2f4a1f6f0001");
  state.set_engine_address(Concat("127.0.0.1:", engine_port_));
  v1::Model* model = state.add_models();
  model->set_name(model_);
  model->set_family("llama");
  model->set_fingerprint("print");
  state.set_accepts_jobs(true);
  state.set_free_job_slots(1);
  return state;
}

worker::v1::SynchronizeResponse FakeWorker::Synchronize() {
  grpc::ClientContext context;
  worker::v1::SynchronizeRequest request;
  *request.mutable_worker() = State();
  worker::v1::SynchronizeResponse response;
  MustBeOk(control_->Synchronize(&context, request, &response), "synchronize");
  return response;
}

absl::StatusOr<std::string> FakeWorker::Upload(const std::string& job,
                                               int attempt,
                                               const Artifact& artifact) {
  grpc::ClientContext context;
  worker::v1::UploadArtifactResponse response;
  const auto writer = control_->UploadArtifact(&context, &response);
  worker::v1::UploadArtifactRequest message;
  message.mutable_header()->set_tuning_job(job);
  message.mutable_header()->set_attempt(attempt);
  writer->Write(message);
  for (const ArtifactEntry& entry : EntriesOf(artifact)) {
    v1::ArtifactFile* file = message.mutable_file();
    file->set_name(entry.name);
    file->set_size_bytes(entry.size_bytes);
    file->set_sha256(entry.sha256);
    writer->Write(message);
    message.set_chunk(artifact.files.at(entry.name));
    writer->Write(message);
  }
  writer->WritesDone();
  const absl::Status status = FromGrpcStatus(writer->Finish());
  if (!status.ok()) return status;
  return response.digest();
}

v1::TuningJob FakeWorker::CompleteNextJob(const Artifact& artifact) {
  const worker::v1::Assignment work = Synchronize().assignment();
  const absl::StatusOr<std::string> digest =
      Upload(work.tuning_job().name(), work.attempt(), artifact);
  MustBeOk(digest.status(), "upload");
  worker::v1::FinishAttemptRequest request;
  request.set_tuning_job(work.tuning_job().name());
  request.set_attempt(work.attempt());
  worker::v1::SucceededOutcome* outcome = request.mutable_succeeded();
  outcome->set_artifact_digest(*digest);
  outcome->mutable_report()->set_num_steps(5);
  outcome->mutable_report()->set_validation_metric_name(metric);
  *outcome->mutable_resolved_spec() = work.tuning_job().spec();
  outcome->set_model_fingerprint("print");
  grpc::ClientContext context;
  worker::v1::FinishAttemptResponse response;
  MustBeOk(control_->FinishAttempt(&context, request, &response), "finish");
  return response.tuning_job();
}

v1::CreateTuningJobRequest SoundCreateRequest(const std::string& id) {
  v1::CreateTuningJobRequest request;
  request.set_tuning_job_id(id);
  v1::TuningJobSpec* spec = request.mutable_tuning_job()->mutable_spec();
  spec->set_prompt("prompts/intent");
  spec->set_base_model("models/tiny");
  for (const char* label : {"yes", "no", "yes", "no"}) {
    auto& row =
        *spec->mutable_data()->mutable_inline_()->add_rows()->mutable_fields();
    row["text"].set_string_value(Concat("say ", label));
    row["label"].set_string_value(label);
  }
  spec->mutable_task()->set_type(v1::TASK_TYPE_TEXT_CLASSIFICATION);
  spec->mutable_task()->set_template_("{{ text }}");
  return request;
}

v1::TuningJob MakeVersion(const std::shared_ptr<grpc::Channel>& channel,
                          FakeWorker& worker, const std::string& id,
                          const std::string& prompt, v1::TaskType task) {
  v1::CreateTuningJobRequest request = SoundCreateRequest(id);
  request.mutable_tuning_job()->mutable_spec()->set_prompt(prompt);
  request.mutable_tuning_job()->mutable_spec()->mutable_task()->set_type(task);
  const auto stub = v1::TuningService::NewStub(channel);
  grpc::ClientContext context;
  v1::TuningJob job;
  MustBeOk(stub->CreateTuningJob(&context, request, &job), "create");
  return worker.CompleteNextJob(
      {{{"weights.safetensors", "tensors of " + id}}});
}

}  // namespace attune
