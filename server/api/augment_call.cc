#include "server/api/augment_call.h"

#include <utility>
#include <vector>

#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/augment_checks.h"
#include "server/api/target_resolver.h"
#include "server/datasets/dataset_catalog.h"
#include "server/datasets/row_stage.h"
#include "server/fleet/fleet.h"
#include "server/registry/prompt_registry.h"

namespace attune::server {
namespace {

using worker::v1::EngineAugmentHeader;
using worker::v1::EngineAugmentRequest;
using worker::v1::EngineAugmentResponse;

// FAILED_PRECONDITION when there is nothing to show; RESOURCE_EXHAUSTED when
// the new dataset could not take all its rows.
absl::Status CheckSource(const PinnedRows& rows,
                         const v1::AugmentDatasetRequest& request,
                         int64_t num_wanted) {
  const int64_t num_rows = rows.snapshot.num_rows();
  if (CountRowsOf(rows, "train") == 0) {
    return MakeError(
        Reason::kIllegalState,
        Concat("none of the ", num_rows, " rows of ", rows.snapshot.dataset(),
               " is of the split 'train': the generator is shown no others"),
        {{"field", "dataset"}});
  }
  if (request.include_source_rows() &&
      num_rows + num_wanted > kMaxDatasetRows) {
    return TooManyRows(
        ResourceName(kDatasetCollection, request.new_dataset_id()));
  }
  return absl::OkStatus();
}

std::vector<Fleet::Need> NeedsOf(const EngineAugmentHeader& header) {
  std::vector<Fleet::Need> needs = {NeedOf(header.classifier())};
  if (header.generator() != header.classifier().model()) {
    needs.push_back({header.generator(), "", ""});
  }
  return needs;
}

}  // namespace

AugmentCall::AugmentCall(const ApiHost& host, const Parts& parts,
                         const v1::AugmentDatasetRequest& request,
                         absl::Time deadline)
    : RelayCall(host, deadline,
                [](EngineStub& stub, grpc::ClientContext* context,
                   Upload::Reactor* reactor) {
                  stub.async()->Augment(context, reactor);
                }),
      parts_(parts),
      request_(request) {}

absl::StatusOr<AugmentCall::Question> AugmentCall::Ask() {
  ATTUNE_RETURN_IF_ERROR(CheckAugmentDataset(request_));
  ATTUNE_ASSIGN_OR_RETURN(
      worker::v1::EngineTarget classifier,
      ResolveTarget(parts_.prompts, request_.classifier(), "classifier"));
  classifier_version_ = classifier.prompt_version();
  EngineAugmentRequest first;
  ATTUNE_ASSIGN_OR_RETURN(*first.mutable_header(),
                          MakeAugmentHeader(request_, std::move(classifier)));
  const EngineAugmentHeader& header = first.header();
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string source,
      ParseResourceName(kDatasetCollection, request_.dataset(), "dataset"));
  ATTUNE_ASSIGN_OR_RETURN(PinnedRows rows, parts_.datasets.Pin(source));
  ATTUNE_RETURN_IF_ERROR(CheckSource(rows, request_, CountWantedRows(header)));
  ATTUNE_ASSIGN_OR_RETURN(
      dataset_, parts_.datasets.BeginDataset(request_.new_dataset_id()));
  ATTUNE_ASSIGN_OR_RETURN(WorkerLoan loan,
                          parts_.fleet.ChooseForAll(NeedsOf(header)));
  if (request_.include_source_rows()) {
    source_ = SourceOf(parts_.datasets, rows);
  }
  std::shared_ptr<EngineStub> stub = parts_.engines.Get(loan.engine_address());
  return Question{.loan = std::move(loan),
                  .stub = std::move(stub),
                  .header = std::move(first),
                  .rows = SourceOf(parts_.datasets, std::move(rows))};
}

AugmentCall::Next AugmentCall::Make(v1::AugmentDatasetResponse* message,
                                    absl::Status* status) {
  if (!worker_ended_) {
    const Next next = TakeProgress(message, status);
    if (next != Next::kEnd || !status->ok()) return next;
    worker_ended_ = true;
  }
  if (completed_) return Next::kEnd;
  if (source_ != nullptr && result_.counts().num_kept() > 0) {
    const absl::StatusOr<bool> more = CopySourceRows();
    if (!more.ok()) {
      *status = more.status();
      return Next::kEnd;
    }
    if (*more) {
      message->set_num_rows_wanted(result_.num_rows_wanted());
      *message->mutable_counts() = result_.counts();
      message->set_num_source_rows(num_source_rows_);
      return Next::kTransfer;
    }
  }
  completed_ = true;
  *status = Complete(message);
  return status->ok() ? Next::kTransfer : Next::kEnd;
}

AugmentCall::Next AugmentCall::TakeProgress(v1::AugmentDatasetResponse* message,
                                            absl::Status* status) {
  while (true) {
    EngineAugmentResponse answer;
    const Next next = TakeAnswer(&answer, status);
    if (next == Next::kEnd && status->ok() && result_.labels().empty()) {
      *status = MakeError(Reason::kInternal,
                          "the worker ended without saying what it wrote");
    }
    if (next != Next::kTransfer) return next;
    *status = Stage(answer.rows());
    if (!status->ok()) return Next::kEnd;
    result_.Swap(answer.mutable_response());
    // The result goes out with the dataset, once the worker has ended well.
    if (!result_.labels().empty()) continue;
    *message = result_;
    return Next::kTransfer;
  }
}

absl::StatusOr<bool> AugmentCall::CopySourceRows() {
  ATTUNE_ASSIGN_OR_RETURN(const worker::v1::EngineRows chunk,
                          TakeChunk(source_));
  ATTUNE_RETURN_IF_ERROR(Stage(chunk.rows()));
  num_source_rows_ += chunk.rows_size();
  return !chunk.rows().empty();
}

absl::Status AugmentCall::Stage(
    const google::protobuf::RepeatedPtrField<std::string>& rows) {
  for (const std::string& row : rows) {
    const absl::Status status = dataset_->Add(row);
    // Rows of a worker and of a dataset are sound: this is nobody's request.
    if (absl::IsInvalidArgument(status)) {
      return MakeError(Reason::kInternal,
                       Concat("a row ", ToStd(status.message())));
    }
    ATTUNE_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status AugmentCall::Complete(v1::AugmentDatasetResponse* message) {
  message->Swap(&result_);
  message->set_classifier_version(classifier_version_);
  message->set_num_source_rows(num_source_rows_);
  if (message->counts().num_kept() == 0) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(*message->mutable_dataset(), dataset_->Finish());
  return absl::OkStatus();
}

}  // namespace attune::server
