#include "server/api/preflight_call.h"

#include <string>
#include <utility>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/preflight_findings.h"
#include "server/api/row_upload.h"
#include "server/api/tuning_checks.h"
#include "server/api/unsupported.h"
#include "server/datasets/dataset_catalog.h"
#include "server/fleet/fleet.h"
#include "server/jobs/init_version.h"

namespace attune::server {
namespace {

using v1::PreflightTuningJobRequest;
using v1::PreflightTuningJobResponse;
using worker::v1::EnginePreflightRequest;

constexpr char kDataField[] = "spec.data";

absl::Status CheckRequest(const PreflightTuningJobRequest& request) {
  FieldViolations violations;
  PreflightTuningJobRequest rest = request;
  rest.clear_spec();  // what is wrong with it becomes findings
  CheckSupported(rest, "", violations);
  if (!request.has_spec()) violations.Add("spec", "is required");
  if (request.num_samples() < 0 ||
      request.num_samples() > kMaxPreflightSamples) {
    violations.Add("num_samples",
                   Concat("is ", request.num_samples(), "; 0 to ",
                          kMaxPreflightSamples, " are allowed"));
  }
  return violations.ToStatus();
}

}  // namespace

// The worker's side.
class PreflightCall::EngineStream final
    : public RowUpload<grpc::ClientWriteReactor<EnginePreflightRequest>,
                       EnginePreflightRequest> {
 public:
  EngineStream(const Parts& parts, WorkerLoan loan,
               std::shared_ptr<EngineStub> stub, EnginePreflightRequest header,
               RowSource rows, absl::Time deadline,
               std::shared_ptr<PreflightCall> call)
      : RowUpload(parts.executor, std::move(loan), std::move(stub),
                  std::move(header), std::move(rows), deadline),
        call_(std::move(call)) {}

 private:
  void Bind(EngineStub& stub, grpc::ClientContext& context) override {
    stub.async()->Preflight(&context, &found_, this);
  }
  void Ended(const absl::Status& status) override {
    std::exchange(call_, nullptr)->OnAnswer(status, std::move(found_));
  }

  std::shared_ptr<PreflightCall> call_;
  PreflightTuningJobResponse found_;
};

PreflightCall::PreflightCall(const Parts& parts,
                             std::shared_ptr<UnaryCall> call,
                             const PreflightTuningJobRequest& request,
                             PreflightTuningJobResponse* response,
                             absl::Time deadline)
    : parts_(parts),
      call_(std::move(call)),
      request_(request),
      response_(*response),
      deadline_(deadline) {}

void PreflightCall::Run() {
  if (call_->cancelled()) {
    return call_->Finish(absl::CancelledError("the client is gone"));
  }
  const absl::StatusOr<bool> asked = Begin();
  if (!asked.ok()) return call_->Finish(asked.status());
  if (!*asked) {
    JoinFindings({}, response_);
    call_->Finish(absl::OkStatus());
  }
}

absl::StatusOr<bool> PreflightCall::Begin() {
  ATTUNE_RETURN_IF_ERROR(CheckRequest(request_));
  const v1::TuningJobSpec& spec = request_.spec();
  FindWrongFields(request_, response_);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<PinnedRows> rows, PinRows());
  const bool has_model =
      ParseResourceName(kModelCollection, spec.base_model(), "base_model").ok();
  if (has_model) {
    const absl::Status model = parts_.fleet.CheckModelForJob(spec.base_model());
    if (!model.ok()) {
      AddError(model, "spec.base_model", response_);
      return false;
    }
    const absl::Status init = PinInitVersion(parts_.prompts, spec).status();
    if (!init.ok()) AddError(init, "spec.method", response_);
  }
  if (!has_model || !rows) return false;
  ATTUNE_RETURN_IF_ERROR(AskWorker(*std::move(rows)));
  return true;
}

absl::StatusOr<std::optional<PinnedRows>> PreflightCall::PinRows() {
  const v1::TuningData& data = request_.spec().data();
  absl::StatusOr<PinnedRows> rows;
  if (data.has_inline_()) {
    if (data.inline_().rows().empty()) return std::nullopt;  // found already
    rows = PinInlineRows(data.inline_(), "tuning_job.spec.data.inline.rows");
  } else {
    const absl::StatusOr<std::string> dataset =
        ParseResourceName(kDatasetCollection, data.dataset(), "dataset");
    if (!dataset.ok()) return std::nullopt;  // found already
    rows = parts_.datasets.Pin(*dataset);
    if (absl::IsNotFound(rows.status())) return rows.status();
  }
  if (!rows.ok()) {
    AddError(rows.status(), kDataField, response_);
    return std::nullopt;
  }
  const absl::Status splits = CheckSplits(data, *rows);
  if (!splits.ok()) AddError(splits, kDataField, response_);
  return std::optional<PinnedRows>(*std::move(rows));
}

absl::Status PreflightCall::AskWorker(PinnedRows rows) {
  const std::string& model = request_.spec().base_model();
  ATTUNE_ASSIGN_OR_RETURN(WorkerLoan loan,
                          parts_.fleet.Choose(model, /*fingerprint=*/"",
                                              /*artifact_digest=*/""));
  std::shared_ptr<EngineStub> stub = parts_.engines.Get(loan.engine_address());
  EnginePreflightRequest first;
  *first.mutable_header() = request_;
  // They come as rows.
  v1::TuningData& data =
      *first.mutable_header()->mutable_spec()->mutable_data();
  if (data.has_inline_()) data.mutable_inline_()->clear_rows();
  auto stream = std::make_shared<EngineStream>(
      parts_, std::move(loan), std::move(stub), std::move(first),
      SourceOf(parts_.datasets, std::move(rows)), deadline_,
      shared_from_this());
  stream->Start();
  call_->SetOnCancel([weak = std::weak_ptr<EngineStream>(stream)] {
    if (const auto upload = weak.lock()) upload->Cancel();
  });
  return absl::OkStatus();
}

void PreflightCall::OnAnswer(const absl::Status& status,
                             PreflightTuningJobResponse found) {
  if (status.ok()) JoinFindings(std::move(found), response_);
  call_->Finish(status);
}

}  // namespace attune::server
