#ifndef ATTUNE_TESTS_CLIENT_FAKE_ATTUNE_H_
#define ATTUNE_TESTS_CLIENT_FAKE_ATTUNE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/evaluation_service.grpc.pb.h"
#include "attune/v1/inference_service.grpc.pb.h"
#include "attune/v1/model_service.grpc.pb.h"
#include "attune/v1/prompt_service.grpc.pb.h"
#include "attune/v1/tuning_service.grpc.pb.h"
#include "client/connection/interrupt.h"
#include "google/protobuf/empty.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/server.h"
#include "tests/testing/fake_clock.h"

namespace attune::client {

// What a method of the fake does: fills the response or gives an error. A
// method without a script is METHOD_NOT_SERVED. Scripts run on gRPC's threads.
template <typename Request, typename Response>
using Script = std::function<absl::Status(const Request&, Response&)>;
template <typename Request, typename Response>
using StreamScript = std::function<absl::Status(
    const Request&, const std::function<bool(const Response&)>& write)>;

struct Scripts {
  Script<v1::CreateTuningJobRequest, v1::TuningJob> create_job;
  Script<v1::GetTuningJobRequest, v1::TuningJob> get_job;
  Script<v1::ListTuningJobsRequest, v1::ListTuningJobsResponse> list_jobs;
  Script<v1::CancelTuningJobRequest, v1::TuningJob> cancel_job;
  Script<v1::RetryTuningJobRequest, v1::TuningJob> retry_job;
  Script<v1::DeleteTuningJobRequest, google::protobuf::Empty> delete_job;
  StreamScript<v1::WatchTuningJobRequest, v1::WatchTuningJobResponse> watch_job;
  Script<v1::PreflightTuningJobRequest, v1::PreflightTuningJobResponse>
      preflight_job;

  Script<v1::CreateDatasetRequest, v1::Dataset> create_dataset;
  Script<v1::GetDatasetRequest, v1::Dataset> get_dataset;
  Script<v1::ListDatasetsRequest, v1::ListDatasetsResponse> list_datasets;
  Script<v1::DeleteDatasetRequest, google::protobuf::Empty> delete_dataset;
  Script<v1::AppendExamplesRequest, v1::Dataset> append;
  // All messages of an upload, in order.
  Script<std::vector<v1::UploadExamplesRequest>, v1::Dataset> upload;
  StreamScript<v1::AugmentDatasetRequest, v1::AugmentDatasetResponse> augment;

  Script<v1::GetPromptRequest, v1::Prompt> get_prompt;
  Script<v1::ListPromptsRequest, v1::ListPromptsResponse> list_prompts;
  Script<v1::DeletePromptRequest, google::protobuf::Empty> delete_prompt;
  Script<v1::GetPromptVersionRequest, v1::PromptVersion> get_version;
  Script<v1::ListPromptVersionsRequest, v1::ListPromptVersionsResponse>
      list_versions;
  Script<v1::DeletePromptVersionRequest, google::protobuf::Empty>
      delete_version;
  Script<v1::SetAliasRequest, v1::Prompt> set_alias;
  Script<v1::DeleteAliasRequest, v1::Prompt> delete_alias;
  StreamScript<v1::DownloadPromptVersionRequest,
               v1::DownloadPromptVersionResponse>
      download;

  Script<v1::PredictRequest, v1::PredictResponse> predict;
  StreamScript<v1::StreamGenerateRequest, v1::StreamGenerateResponse> generate;

  StreamScript<v1::EvaluatePromptRequest, v1::EvaluatePromptResponse> evaluate;

  Script<v1::GetModelRequest, v1::Model> get_model;
  Script<v1::ListModelsRequest, v1::ListModelsResponse> list_models;

  std::function<bool()> serving = [] { return true; };
};

// A real gRPC server on a free port whose methods follow scripts. Set them
// before the first call.
class FakeAttune {
 public:
  FakeAttune();
  ~FakeAttune();
  FakeAttune(const FakeAttune&) = delete;
  FakeAttune& operator=(const FakeAttune&) = delete;

  const std::string& address() const { return address_; }

  Scripts scripts;

 private:
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

// How `attune` is run in a test, and what it did.
struct RunOptions {
  std::string input;
  bool terminal = false;  // stdout and stderr, 100 columns, no colours
  Interrupt* interrupt = nullptr;
  const FakeClock* clock = nullptr;
};
struct RunResult {
  int exit_code;
  std::string out;
  std::string err;
};
RunResult RunClient(const std::string& server,
                    std::vector<std::string> arguments,
                    const RunOptions& options = {});

}  // namespace attune::client

#endif  // ATTUNE_TESTS_CLIENT_FAKE_ATTUNE_H_
