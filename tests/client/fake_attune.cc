#include "tests/client/fake_attune.h"

#include <sstream>
#include <utility>

#include "client/commands/attune_cli.h"
#include "client/commands/session.h"
#include "client/output/console.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "proto/cc/status.h"

namespace attune::client {
namespace {

using google::protobuf::Empty;
using grpc::ServerContext;

template <typename Request, typename Response>
grpc::Status Answer(const Script<Request, Response>& script,
                    const Request* request, Response* response) {
  if (!script) {
    return ToGrpcStatus(
        MakeError(Reason::kMethodNotServed, "the test has no script for it"));
  }
  return ToGrpcStatus(script(*request, *response));
}

template <typename Request, typename Response>
grpc::Status Stream(const StreamScript<Request, Response>& script,
                    const Request* request,
                    grpc::ServerWriter<Response>* writer) {
  if (!script) {
    return ToGrpcStatus(
        MakeError(Reason::kMethodNotServed, "the test has no script for it"));
  }
  return ToGrpcStatus(script(*request, [writer](const Response& response) {
    return writer->Write(response);
  }));
}

class FakeTuning final : public v1::TuningService::Service {
 public:
  explicit FakeTuning(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status CreateTuningJob(ServerContext*,
                               const v1::CreateTuningJobRequest* request,
                               v1::TuningJob* response) override {
    return Answer(scripts_.create_job, request, response);
  }
  grpc::Status GetTuningJob(ServerContext*,
                            const v1::GetTuningJobRequest* request,
                            v1::TuningJob* response) override {
    return Answer(scripts_.get_job, request, response);
  }
  grpc::Status ListTuningJobs(ServerContext*,
                              const v1::ListTuningJobsRequest* request,
                              v1::ListTuningJobsResponse* response) override {
    return Answer(scripts_.list_jobs, request, response);
  }
  grpc::Status CancelTuningJob(ServerContext*,
                               const v1::CancelTuningJobRequest* request,
                               v1::TuningJob* response) override {
    return Answer(scripts_.cancel_job, request, response);
  }
  grpc::Status RetryTuningJob(ServerContext*,
                              const v1::RetryTuningJobRequest* request,
                              v1::TuningJob* response) override {
    return Answer(scripts_.retry_job, request, response);
  }
  grpc::Status DeleteTuningJob(ServerContext*,
                               const v1::DeleteTuningJobRequest* request,
                               Empty* response) override {
    return Answer(scripts_.delete_job, request, response);
  }
  grpc::Status WatchTuningJob(
      ServerContext*, const v1::WatchTuningJobRequest* request,
      grpc::ServerWriter<v1::WatchTuningJobResponse>* writer) override {
    return Stream(scripts_.watch_job, request, writer);
  }
  grpc::Status PreflightTuningJob(
      ServerContext*, const v1::PreflightTuningJobRequest* request,
      v1::PreflightTuningJobResponse* response) override {
    return Answer(scripts_.preflight_job, request, response);
  }

 private:
  const Scripts& scripts_;
};

class FakeDatasets final : public v1::DatasetService::Service {
 public:
  explicit FakeDatasets(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status CreateDataset(ServerContext*,
                             const v1::CreateDatasetRequest* request,
                             v1::Dataset* response) override {
    return Answer(scripts_.create_dataset, request, response);
  }
  grpc::Status GetDataset(ServerContext*, const v1::GetDatasetRequest* request,
                          v1::Dataset* response) override {
    return Answer(scripts_.get_dataset, request, response);
  }
  grpc::Status ListDatasets(ServerContext*,
                            const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override {
    return Answer(scripts_.list_datasets, request, response);
  }
  grpc::Status DeleteDataset(ServerContext*,
                             const v1::DeleteDatasetRequest* request,
                             Empty* response) override {
    return Answer(scripts_.delete_dataset, request, response);
  }
  grpc::Status AppendExamples(ServerContext*,
                              const v1::AppendExamplesRequest* request,
                              v1::Dataset* response) override {
    return Answer(scripts_.append, request, response);
  }
  grpc::Status UploadExamples(
      ServerContext*, grpc::ServerReader<v1::UploadExamplesRequest>* reader,
      v1::Dataset* response) override {
    std::vector<v1::UploadExamplesRequest> messages;
    v1::UploadExamplesRequest message;
    while (reader->Read(&message)) messages.push_back(message);
    return Answer(scripts_.upload, &messages, response);
  }
  grpc::Status AugmentDataset(
      ServerContext*, const v1::AugmentDatasetRequest* request,
      grpc::ServerWriter<v1::AugmentDatasetResponse>* writer) override {
    return Stream(scripts_.augment, request, writer);
  }

 private:
  const Scripts& scripts_;
};

class FakePrompts final : public v1::PromptService::Service {
 public:
  explicit FakePrompts(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status GetPrompt(ServerContext*, const v1::GetPromptRequest* request,
                         v1::Prompt* response) override {
    return Answer(scripts_.get_prompt, request, response);
  }
  grpc::Status ListPrompts(ServerContext*,
                           const v1::ListPromptsRequest* request,
                           v1::ListPromptsResponse* response) override {
    return Answer(scripts_.list_prompts, request, response);
  }
  grpc::Status DeletePrompt(ServerContext*,
                            const v1::DeletePromptRequest* request,
                            Empty* response) override {
    return Answer(scripts_.delete_prompt, request, response);
  }
  grpc::Status GetPromptVersion(ServerContext*,
                                const v1::GetPromptVersionRequest* request,
                                v1::PromptVersion* response) override {
    return Answer(scripts_.get_version, request, response);
  }
  grpc::Status ListPromptVersions(
      ServerContext*, const v1::ListPromptVersionsRequest* request,
      v1::ListPromptVersionsResponse* response) override {
    return Answer(scripts_.list_versions, request, response);
  }
  grpc::Status DeletePromptVersion(
      ServerContext*, const v1::DeletePromptVersionRequest* request,
      Empty* response) override {
    return Answer(scripts_.delete_version, request, response);
  }
  grpc::Status SetAlias(ServerContext*, const v1::SetAliasRequest* request,
                        v1::Prompt* response) override {
    return Answer(scripts_.set_alias, request, response);
  }
  grpc::Status DeleteAlias(ServerContext*,
                           const v1::DeleteAliasRequest* request,
                           v1::Prompt* response) override {
    return Answer(scripts_.delete_alias, request, response);
  }
  grpc::Status DownloadPromptVersion(
      ServerContext*, const v1::DownloadPromptVersionRequest* request,
      grpc::ServerWriter<v1::DownloadPromptVersionResponse>* writer) override {
    return Stream(scripts_.download, request, writer);
  }

 private:
  const Scripts& scripts_;
};

class FakeInference final : public v1::InferenceService::Service {
 public:
  explicit FakeInference(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status Predict(ServerContext*, const v1::PredictRequest* request,
                       v1::PredictResponse* response) override {
    return Answer(scripts_.predict, request, response);
  }
  grpc::Status StreamGenerate(
      ServerContext*, const v1::StreamGenerateRequest* request,
      grpc::ServerWriter<v1::StreamGenerateResponse>* writer) override {
    return Stream(scripts_.generate, request, writer);
  }

 private:
  const Scripts& scripts_;
};

class FakeEvaluation final : public v1::EvaluationService::Service {
 public:
  explicit FakeEvaluation(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status EvaluatePrompt(
      ServerContext*, const v1::EvaluatePromptRequest* request,
      grpc::ServerWriter<v1::EvaluatePromptResponse>* writer) override {
    return Stream(scripts_.evaluate, request, writer);
  }

 private:
  const Scripts& scripts_;
};

class FakeModels final : public v1::ModelService::Service {
 public:
  explicit FakeModels(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status GetModel(ServerContext*, const v1::GetModelRequest* request,
                        v1::Model* response) override {
    return Answer(scripts_.get_model, request, response);
  }
  grpc::Status ListModels(ServerContext*, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    return Answer(scripts_.list_models, request, response);
  }

 private:
  const Scripts& scripts_;
};

class FakeHealth final : public grpc::health::v1::Health::Service {
 public:
  explicit FakeHealth(const Scripts& scripts) : scripts_(scripts) {}
  grpc::Status Check(ServerContext*,
                     const grpc::health::v1::HealthCheckRequest*,
                     grpc::health::v1::HealthCheckResponse* response) override {
    using grpc::health::v1::HealthCheckResponse;
    response->set_status(scripts_.serving() ? HealthCheckResponse::SERVING
                                            : HealthCheckResponse::NOT_SERVING);
    return grpc::Status::OK;
  }

 private:
  const Scripts& scripts_;
};

}  // namespace

FakeAttune::FakeAttune() {
  services_.push_back(std::make_unique<FakeTuning>(scripts));
  services_.push_back(std::make_unique<FakeDatasets>(scripts));
  services_.push_back(std::make_unique<FakePrompts>(scripts));
  services_.push_back(std::make_unique<FakeInference>(scripts));
  services_.push_back(std::make_unique<FakeEvaluation>(scripts));
  services_.push_back(std::make_unique<FakeModels>(scripts));
  services_.push_back(std::make_unique<FakeHealth>(scripts));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeAttune::~FakeAttune() { server_->Shutdown(); }

RunResult RunClient(const std::string& server,
                    std::vector<std::string> arguments,
                    const RunOptions& options) {
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in(options.input);
  const auto columns = [] { return 100; };
  Console console{{&out, options.terminal, false, columns},
                  {&err, options.terminal, false, columns},
                  false};
  Interrupt own_interrupt;
  const FakeClock own_clock;
  Session session(console, in, options.clock ? *options.clock : own_clock,
                  options.interrupt ? *options.interrupt : own_interrupt);
  session.connection_options.first_backoff = absl::Milliseconds(1);
  session.connection_options.max_backoff = absl::Milliseconds(2);
  arguments.insert(arguments.begin(), {"--server", server});
  const int exit_code = RunAttune(std::move(arguments), session);
  return RunResult{exit_code, out.str(), err.str()};
}

}  // namespace attune::client
