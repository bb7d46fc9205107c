#include "server/api/evaluate_call.h"

#include <string>
#include <utility>
#include <vector>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/row_upload.h"
#include "server/api/target_resolver.h"
#include "server/api/unsupported.h"
#include "server/datasets/dataset_catalog.h"
#include "server/fleet/fleet.h"
#include "server/registry/prompt_registry.h"

namespace attune::server {
namespace {

using worker::v1::EngineEvaluateHeader;
using worker::v1::EngineEvaluateRequest;
using worker::v1::EngineTarget;

constexpr char kAllRows[] = "all";

// As rows name it.
std::string SplitOf(const v1::EvaluatePromptRequest& request) {
  if (request.split().empty()) return "test";
  return request.split() == "dev" ? "validation" : request.split();
}

// FAILED_PRECONDITION when no row is of `split`.
absl::Status CheckHasRows(const PinnedRows& rows, const std::string& split) {
  if (split == kAllRows) return absl::OkStatus();
  const auto count = [&rows](const std::string& name) -> int64_t {
    const auto found = rows.split_rows.find(name);
    return found == rows.split_rows.end() ? 0 : found->second;
  };
  if (count(split) + (split == "train" ? count("") : 0) > 0) {
    return absl::OkStatus();
  }
  return MakeError(Reason::kIllegalState,
                   Concat("none of the ", rows.snapshot.num_rows(), " rows of ",
                          rows.snapshot.dataset(), " is of the split '", split,
                          "': choose another split, or 'all'"),
                   {{"field", "split"}});
}

Fleet::Need NeedOf(const EngineTarget& target) {
  return {target.model(), target.model_fingerprint(), target.artifact_digest()};
}

}  // namespace

absl::Status CheckEvaluatePrompt(const v1::EvaluatePromptRequest& request) {
  FieldViolations violations;
  CheckSupported(request, "", violations);
  if (!request.has_target()) violations.Add("target", "is required");
  violations.AddAll(
      "", ParseResourceName(kDatasetCollection, request.dataset(), "dataset")
              .status());
  const std::string split = SplitOf(request);
  if (split != "train" && split != "validation" && split != "test" &&
      split != kAllRows) {
    violations.Add("split",
                   Concat("'", split,
                          "' is not 'train', 'validation' (or 'dev'), 'test' "
                          "or 'all'"));
  }
  if (request.max_rows() < 0 || request.max_rows() > kMaxEvaluationRows) {
    violations.Add("max_rows", Concat("is ", request.max_rows(), "; 0 to ",
                                      kMaxEvaluationRows, " are allowed"));
  }
  return violations.ToStatus();
}

// The worker's side. It may outlive the client's.
class EvaluateCall::EngineStream final
    : public RowUpload<grpc::ClientBidiReactor<EngineEvaluateRequest,
                                               v1::EvaluatePromptResponse>,
                       EngineEvaluateRequest> {
 public:
  EngineStream(Executor& executor, WorkerLoan loan,
               std::shared_ptr<EngineStub> stub, EngineEvaluateRequest header,
               RowSource rows, absl::Time deadline,
               std::weak_ptr<StreamCall> client)
      : RowUpload(executor, std::move(loan), std::move(stub), std::move(header),
                  std::move(rows), deadline),
        client_(std::move(client)) {}

  // Nobody takes messages any more. Thread-safe.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    Cancel();
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (std::exchange(has_message_, false)) StartRead(&incoming_);
  }

  // What is there: a message (then the next one is asked for), the end, or
  // nothing yet.
  Next Take(v1::EvaluatePromptResponse* message, absl::Status* status)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (!has_message_) {
      if (!ended_) return Next::kWait;
      *status = status_;
      return Next::kEnd;
    }
    has_message_ = false;
    message->Swap(&incoming_);
    StartRead(&incoming_);
    return Next::kTransfer;
  }

 private:
  void Bind(EngineStub& stub, grpc::ClientContext& context) override {
    stub.async()->Evaluate(&context, this);
  }

  void BeginReading() override {
    AddHold();  // until the reads are over, so that Take may always read
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ok) return RemoveHold();  // OnDone follows
    {
      absl::MutexLock lock(&mutex_);
      if (stopped_) return StartRead(&incoming_);
      has_message_ = true;
    }
    Tell();
  }

  void Ended(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
      status_ = status;
    }
    Tell();
  }

  void Tell() {
    if (const auto client = client_.lock()) client->Wake();
  }

  const std::weak_ptr<StreamCall> client_;
  absl::Mutex mutex_;
  // gRPC's between StartRead and OnReadDone, ours while has_message_.
  v1::EvaluatePromptResponse incoming_;
  bool has_message_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

EvaluateCall::EvaluateCall(const ApiHost& host, const Parts& parts,
                           const v1::EvaluatePromptRequest& request,
                           absl::Time deadline)
    : StreamWriter(host.ControlStream()),
      host_(host),
      parts_(parts),
      request_(request),
      deadline_(deadline) {}

EvaluateCall::~EvaluateCall() = default;

absl::StatusOr<EngineEvaluateHeader> EvaluateCall::MakeHeader() const {
  EngineEvaluateHeader header;
  ATTUNE_ASSIGN_OR_RETURN(
      *header.mutable_target(),
      ResolveTarget(parts_.prompts, request_.target(), "target"));
  if (request_.has_baseline()) {
    ATTUNE_ASSIGN_OR_RETURN(
        *header.mutable_baseline(),
        ResolveTarget(parts_.prompts, request_.baseline(), "baseline"));
  }
  header.set_split(SplitOf(request_));
  header.set_max_rows(request_.max_rows());
  header.set_seed(request_.seed());
  return header;
}

absl::Status EvaluateCall::Open() {
  ATTUNE_RETURN_IF_ERROR(CheckEvaluatePrompt(request_));
  EngineEvaluateRequest first;
  ATTUNE_ASSIGN_OR_RETURN(*first.mutable_header(), MakeHeader());
  const EngineEvaluateHeader& header = first.header();
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string dataset,
      ParseResourceName(kDatasetCollection, request_.dataset(), "dataset"));
  ATTUNE_ASSIGN_OR_RETURN(PinnedRows rows, parts_.datasets.Pin(dataset));
  ATTUNE_RETURN_IF_ERROR(CheckHasRows(rows, header.split()));
  std::vector<Fleet::Need> needs = {NeedOf(header.target())};
  if (header.has_baseline()) needs.push_back(NeedOf(header.baseline()));
  ATTUNE_ASSIGN_OR_RETURN(WorkerLoan loan, parts_.fleet.ChooseForAll(needs));
  std::shared_ptr<EngineStub> stub = parts_.engines.Get(loan.engine_address());
  auto stream = std::make_shared<EngineStream>(
      host_.control, std::move(loan), std::move(stub), std::move(first),
      SourceOf(parts_.datasets, std::move(rows)), deadline_, weak_from_this());
  absl::MutexLock lock(&mutex_);
  if (over_) return absl::CancelledError("the client is gone");
  stream_ = stream;
  stream_->Start();
  return absl::OkStatus();
}

EvaluateCall::Next EvaluateCall::Make(v1::EvaluatePromptResponse* message,
                                      absl::Status* status) {
  if (!opened_) {
    opened_ = true;
    *status = Open();
    if (!status->ok()) return Next::kEnd;
  }
  std::shared_ptr<EngineStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    stream = stream_;
  }
  return stream->Take(message, status);
}

void EvaluateCall::OnEnded() {
  std::shared_ptr<EngineStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    over_ = true;
    stream = stream_;
  }
  if (stream != nullptr) stream->Stop();
}

}  // namespace attune::server
