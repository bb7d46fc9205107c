#include "tests/integration/api_client.h"

#include <google/protobuf/util/json_util.h>
#include <google/rpc/error_details.pb.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "proto/cc/digest.h"

namespace attune::integration {
namespace {

void AddDetails(const google::rpc::Status& status, Failure& failure) {
  for (const auto& detail : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info)) {
      failure.reason = info.reason();
    } else if (detail.Is<google::rpc::BadRequest>() &&
               detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        failure.fields.push_back(violation.field());
      }
    }
  }
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Failure& failure) {
  return out << "code " << failure.code << " " << failure.reason << " ["
             << absl::StrJoin(failure.fields, ", ") << "]: " << failure.message;
}

Failure FailureOf(const grpc::Status& status) {
  Failure failure;
  failure.code = status.error_code();
  failure.message = status.error_message();
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    AddDetails(details, failure);
  }
  return failure;
}

Failure FailureOf(const google::rpc::Status& status) {
  Failure failure;
  failure.code = status.code();
  failure.message = status.message();
  AddDetails(status, failure);
  return failure;
}

Failure FailureOf(const v1::ItemError& error) {
  return {error.code(), error.reason(), error.message(), {}};
}

ApiClient::ApiClient(const std::shared_ptr<grpc::Channel>& channel,
                     absl::Duration timeout)
    : timeout_(timeout),
      tuning_(v1::TuningService::NewStub(channel)),
      datasets_(v1::DatasetService::NewStub(channel)),
      prompts_(v1::PromptService::NewStub(channel)),
      inference_(v1::InferenceService::NewStub(channel)),
      models_(v1::ModelService::NewStub(channel)) {}

std::unique_ptr<grpc::ClientContext> ApiClient::NewContext() const {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_wait_for_ready(true);
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout_));
  return context;
}

Result<v1::Dataset> ApiClient::CreateDataset(const std::string& id,
                                             const std::string& request_id) {
  v1::CreateDatasetRequest request;
  request.set_dataset_id(id);
  request.set_request_id(request_id);
  Result<v1::Dataset> result;
  result.status =
      datasets_->CreateDataset(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::Dataset> ApiClient::GetDataset(const std::string& id) {
  v1::GetDatasetRequest request;
  request.set_name(absl::StrCat("datasets/", id));
  Result<v1::Dataset> result;
  result.status =
      datasets_->GetDataset(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::Dataset> ApiClient::Append(const std::string& id,
                                      const std::vector<std::string>& json_rows,
                                      const std::string& request_id) {
  v1::AppendExamplesRequest request;
  request.set_dataset(absl::StrCat("datasets/", id));
  request.set_request_id(request_id);
  Result<v1::Dataset> result;
  for (const std::string& row : json_rows) {
    const auto parsed =
        google::protobuf::util::JsonStringToMessage(row, request.add_rows());
    if (!parsed.ok()) {
      result.status = grpc::Status(grpc::StatusCode::INTERNAL,
                                   absl::StrCat("the test's row: ", row));
      return result;
    }
  }
  result.status =
      datasets_->AppendExamples(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::Dataset> ApiClient::Upload(const std::string& id,
                                      const std::string& bytes,
                                      const std::string& split,
                                      size_t chunk_bytes) {
  Result<v1::Dataset> result;
  const std::unique_ptr<grpc::ClientContext> context = NewContext();
  std::unique_ptr<grpc::ClientWriter<v1::UploadExamplesRequest>> writer =
      datasets_->UploadExamples(context.get(), &result.value);
  v1::UploadExamplesRequest message;
  message.mutable_header()->set_dataset(absl::StrCat("datasets/", id));
  message.mutable_header()->set_split(split);
  bool open = writer->Write(message);
  for (size_t at = 0; open && at < bytes.size(); at += chunk_bytes) {
    message.set_chunk(bytes.substr(at, chunk_bytes));
    open = writer->Write(message);
  }
  writer->WritesDone();
  result.status = writer->Finish();
  return result;
}

Result<v1::TuningJob> ApiClient::CreateJob(const v1::TuningJobSpec& spec,
                                           const std::string& id,
                                           const std::string& request_id) {
  v1::CreateTuningJobRequest request;
  *request.mutable_tuning_job()->mutable_spec() = spec;
  request.set_tuning_job_id(id);
  request.set_request_id(request_id);
  Result<v1::TuningJob> result;
  result.status =
      tuning_->CreateTuningJob(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::TuningJob> ApiClient::GetJob(const std::string& name) {
  v1::GetTuningJobRequest request;
  request.set_name(name);
  Result<v1::TuningJob> result;
  result.status =
      tuning_->GetTuningJob(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::TuningJob> ApiClient::CancelJob(const std::string& name) {
  v1::CancelTuningJobRequest request;
  request.set_name(name);
  Result<v1::TuningJob> result;
  result.status =
      tuning_->CancelTuningJob(NewContext().get(), request, &result.value);
  return result;
}

Result<std::vector<v1::TuningJob>> ApiClient::ListJobs(
    const std::string& filter, int page_size) {
  Result<std::vector<v1::TuningJob>> result;
  v1::ListTuningJobsRequest request;
  request.set_filter(filter);
  request.set_page_size(page_size);
  do {
    v1::ListTuningJobsResponse response;
    result.status =
        tuning_->ListTuningJobs(NewContext().get(), request, &response);
    if (!result.ok()) return result;
    result.value.insert(result.value.end(), response.tuning_jobs().begin(),
                        response.tuning_jobs().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return result;
}

Result<v1::Prompt> ApiClient::GetPrompt(const std::string& name) {
  v1::GetPromptRequest request;
  request.set_name(name);
  Result<v1::Prompt> result;
  result.status =
      prompts_->GetPrompt(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::PromptVersion> ApiClient::GetVersion(const std::string& name) {
  v1::GetPromptVersionRequest request;
  request.set_name(name);
  Result<v1::PromptVersion> result;
  result.status =
      prompts_->GetPromptVersion(NewContext().get(), request, &result.value);
  return result;
}

Result<std::vector<v1::PromptVersion>> ApiClient::ListVersions(
    const std::string& prompt, int page_size) {
  Result<std::vector<v1::PromptVersion>> result;
  v1::ListPromptVersionsRequest request;
  request.set_parent(prompt);
  request.set_page_size(page_size);
  do {
    v1::ListPromptVersionsResponse response;
    result.status =
        prompts_->ListPromptVersions(NewContext().get(), request, &response);
    if (!result.ok()) return result;
    result.value.insert(result.value.end(), response.prompt_versions().begin(),
                        response.prompt_versions().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return result;
}

Result<v1::Prompt> ApiClient::SetAlias(const std::string& prompt,
                                       const std::string& alias,
                                       const std::string& version) {
  v1::SetAliasRequest request;
  request.set_prompt(prompt);
  request.set_alias(alias);
  request.set_version(version);
  Result<v1::Prompt> result;
  result.status =
      prompts_->SetAlias(NewContext().get(), request, &result.value);
  return result;
}

Result<Download> ApiClient::DownloadVersion(const std::string& name) {
  Result<Download> result;
  const std::unique_ptr<grpc::ClientContext> context = NewContext();
  v1::DownloadPromptVersionRequest request;
  request.set_name(name);
  std::unique_ptr<grpc::ClientReader<v1::DownloadPromptVersionResponse>>
      reader = prompts_->DownloadPromptVersion(context.get(), request);
  std::vector<v1::ArtifactFile> headers;
  v1::DownloadPromptVersionResponse message;
  while (reader->Read(&message)) {
    if (message.has_file()) {
      headers.push_back(message.file());
      result.value.files[message.file().name()];
    } else if (!headers.empty()) {
      result.value.files[headers.back().name()] += message.chunk();
    }
  }
  result.status = reader->Finish();
  for (const v1::ArtifactFile& header : headers) {
    const std::string& bytes = result.value.files[header.name()];
    if (static_cast<int64_t>(bytes.size()) != header.size_bytes() ||
        Sha256Hex(bytes) != header.sha256()) {
      result.value.wrong.push_back(header.name());
    }
  }
  return result;
}

Result<v1::PredictResponse> ApiClient::Predict(
    const v1::PredictRequest& request) {
  Result<v1::PredictResponse> result;
  result.status =
      inference_->Predict(NewContext().get(), request, &result.value);
  return result;
}

Result<v1::PredictResponse> ApiClient::PredictWhenAvailable(
    const v1::PredictRequest& request) {
  const absl::Time deadline = absl::Now() + timeout_;
  while (true) {
    Result<v1::PredictResponse> result = Predict(request);
    bool again = result.status.error_code() == grpc::StatusCode::UNAVAILABLE;
    for (const v1::PredictResult& item : result.value.results()) {
      again |= item.error().code() == grpc::StatusCode::UNAVAILABLE;
    }
    if (!again || absl::Now() > deadline) return result;
    absl::SleepFor(absl::Milliseconds(20));  // the retry's pause
  }
}

Result<Generation> ApiClient::Generate(
    const v1::StreamGenerateRequest& request) {
  Result<Generation> result;
  const std::unique_ptr<grpc::ClientContext> context = NewContext();
  std::unique_ptr<grpc::ClientReader<v1::StreamGenerateResponse>> reader =
      inference_->StreamGenerate(context.get(), request);
  v1::StreamGenerateResponse message;
  while (reader->Read(&message)) {
    result.value.text += message.text();
    ++result.value.num_messages;
    result.value.last = message;
  }
  result.status = reader->Finish();
  return result;
}

std::string NewRequestId() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  const uint64_t high = random();
  const uint64_t low = random();
  return absl::StrFormat("%08x-%04x-4%03x-%04x-%012x", high >> 32,
                         (high >> 16) & 0xffff, high & 0xfff,
                         0x8000 | ((low >> 48) & 0x3fff), low & 0xffffffffffff);
}

}  // namespace attune::integration
