#ifndef ATTUNE_TESTS_INTEGRATION_API_CLIENT_H_
#define ATTUNE_TESTS_INTEGRATION_API_CLIENT_H_

#include <google/rpc/status.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "attune/v1/dataset_service.grpc.pb.h"
#include "attune/v1/inference_service.grpc.pb.h"
#include "attune/v1/model_service.grpc.pb.h"
#include "attune/v1/prompt_service.grpc.pb.h"
#include "attune/v1/tuning_service.grpc.pb.h"

namespace attune::integration {

// An error as a program sees it: what tests compare.
struct Failure {
  int code = 0;                     // a google.rpc.Code
  std::string reason;               // of ErrorInfo; empty: there is none
  std::string message;              // for people
  std::vector<std::string> fields;  // paths of BadRequest
};
std::ostream& operator<<(std::ostream& out, const Failure& failure);

Failure FailureOf(const grpc::Status& status);
Failure FailureOf(const google::rpc::Status& status);
Failure FailureOf(const v1::ItemError& error);

// What a call answered.
template <typename T>
struct Result {
  grpc::Status status;
  T value;

  bool ok() const { return status.ok(); }
  Failure failure() const { return FailureOf(status); }
};

// The files of a downloaded version, each checked against its header.
struct Download {
  std::map<std::string, std::string> files;  // name -> bytes
  std::vector<std::string> wrong;            // names whose digest is wrong
};

// What a stream of generated text said, put together.
struct Generation {
  std::string text;
  int num_messages = 0;
  v1::StreamGenerateResponse last;
};

// The public API as one object with deadlines: every call waits for a server
// that is just starting, and answers DEADLINE_EXCEEDED after `timeout`.
// Thread-safe.
class ApiClient {
 public:
  explicit ApiClient(const std::shared_ptr<grpc::Channel>& channel,
                     absl::Duration timeout = absl::Seconds(30));

  Result<v1::Dataset> CreateDataset(const std::string& id,
                                    const std::string& request_id = "");
  Result<v1::Dataset> GetDataset(const std::string& id);
  Result<v1::Dataset> Append(const std::string& id,
                             const std::vector<std::string>& json_rows,
                             const std::string& request_id = "");
  // Uploads `bytes` in chunks of `chunk_bytes`.
  Result<v1::Dataset> Upload(const std::string& id, const std::string& bytes,
                             const std::string& split = "",
                             size_t chunk_bytes = 65536);

  Result<v1::TuningJob> CreateJob(const v1::TuningJobSpec& spec,
                                  const std::string& id = "",
                                  const std::string& request_id = "");
  // `name` is tuningJobs/{id}, here and below.
  Result<v1::TuningJob> GetJob(const std::string& name);
  Result<v1::TuningJob> CancelJob(const std::string& name);
  // All jobs, page by page.
  Result<std::vector<v1::TuningJob>> ListJobs(const std::string& filter = "",
                                              int page_size = 3);

  Result<v1::Prompt> GetPrompt(const std::string& name);
  Result<v1::PromptVersion> GetVersion(const std::string& name);
  // Newest first, page by page.
  Result<std::vector<v1::PromptVersion>> ListVersions(const std::string& prompt,
                                                      int page_size = 2);
  Result<v1::Prompt> SetAlias(const std::string& prompt,
                              const std::string& alias,
                              const std::string& version);
  Result<Download> DownloadVersion(const std::string& name);

  Result<v1::PredictResponse> Predict(const v1::PredictRequest& request);
  // Calls again while the answer is UNAVAILABLE, as the contract says a client
  // may, until the timeout has passed.
  Result<v1::PredictResponse> PredictWhenAvailable(
      const v1::PredictRequest& request);
  Result<Generation> Generate(const v1::StreamGenerateRequest& request);

  v1::TuningService::Stub& tuning() { return *tuning_; }
  v1::DatasetService::Stub& datasets() { return *datasets_; }
  v1::PromptService::Stub& prompts() { return *prompts_; }
  v1::InferenceService::Stub& inference() { return *inference_; }
  v1::ModelService::Stub& models() { return *models_; }

  // A context with the deadline of this client.
  std::unique_ptr<grpc::ClientContext> NewContext() const;

 private:
  const absl::Duration timeout_;
  const std::unique_ptr<v1::TuningService::Stub> tuning_;
  const std::unique_ptr<v1::DatasetService::Stub> datasets_;
  const std::unique_ptr<v1::PromptService::Stub> prompts_;
  const std::unique_ptr<v1::InferenceService::Stub> inference_;
  const std::unique_ptr<v1::ModelService::Stub> models_;
};

// A fresh UUID for a request_id.
std::string NewRequestId();

}  // namespace attune::integration

#endif  // ATTUNE_TESTS_INTEGRATION_API_CLIENT_H_
