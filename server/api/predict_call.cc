#include "server/api/predict_call.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/target_resolver.h"
#include "server/api/task_checks.h"
#include "server/api/unsupported.h"
#include "server/registry/prompt_registry.h"

namespace attune::server {
namespace {

using worker::v1::EngineItem;
using worker::v1::EngineTarget;

void SetItemError(const absl::Status& status, v1::PredictResult* result) {
  // As on the wire: gRPC's own errors get a reason, the text is UTF-8.
  const google::rpc::Status wire = ToRpcStatus(status);
  const Reason reason = ReasonOf(FromRpcStatus(wire));
  v1::ItemError* error = result->mutable_error();
  error->set_code(wire.code());
  error->set_reason(
      std::string(AllReasons()[static_cast<size_t>(reason)].name));
  error->set_message(wire.message());
}

}  // namespace

PredictCall::PredictCall(const Parts& parts, std::shared_ptr<UnaryCall> call,
                         const v1::PredictRequest& request,
                         v1::PredictResponse* response, absl::Time deadline)
    : parts_(parts),
      call_(std::move(call)),
      request_(request),
      response_(*response),
      deadline_(deadline) {}

absl::Status PredictCall::Check() const {
  FieldViolations violations;
  CheckSupported(request_, "", violations);
  if (request_.items().empty() || request_.items_size() > kMaxPredictItems) {
    violations.Add("items", Concat("has ", request_.items_size(),
                                   " inputs; 1 to ", kMaxPredictItems));
  }
  return violations.ToStatus();
}

void PredictCall::Run() {
  if (call_->cancelled()) {
    return call_->Finish(absl::CancelledError("the client is gone"));
  }
  const absl::Status checked = Check();
  if (!checked.ok()) return call_->Finish(checked);
  call_->SetOnCancel([call = shared_from_this()] { call->Cancel(); });
  Shares shares;
  {
    absl::MutexLock lock(&mutex_);
    for (int i = 0; i < request_.items_size(); ++i) response_.add_results();
    for (int i = 0; i < request_.items_size(); ++i) {
      const absl::StatusOr<const EngineTarget*> target = Prepare(i);
      if (!target.ok()) {
        SetError(i, target.status());
        continue;
      }
      EngineItem item;
      *item.mutable_fields() = request_.items(i).fields();
      if (request_.items(i).has_decoding()) {
        *item.mutable_decoding() = request_.items(i).decoding();
      }
      AddToShare(**target, i, item, shares);
    }
  }
  SendAll(shares);
}

absl::StatusOr<const EngineTarget*> PredictCall::Prepare(int index) {
  const v1::PredictItem& item = request_.items(index);
  const bool own = item.has_target();
  const v1::InferenceTarget& target = own ? item.target() : request_.target();
  const std::string path = own ? Concat("items[", index, "].target") : "target";
  const std::string key = own ? target.SerializeAsString() : "the request's";
  auto found = targets_.find(key);
  if (found == targets_.end()) {
    found = targets_.emplace(key, ResolveTarget(parts_.prompts, target, path))
                .first;
  }
  ATTUNE_RETURN_IF_ERROR(found->second.status());
  if (item.has_decoding()) {
    FieldViolations violations;
    const std::string decoding_path = Concat("items[", index, "].decoding");
    if (found->second->task().type() != v1::TASK_TYPE_TEXT_GENERATION) {
      violations.Add(decoding_path, "is only for TASK_TYPE_TEXT_GENERATION");
    }
    CheckDecoding(item.decoding(), decoding_path, violations);
    ATTUNE_RETURN_IF_ERROR(violations.ToStatus());
  }
  return &*found->second;
}

absl::StatusOr<PredictCall::Shares::Place> PredictCall::ChoosePlace(
    const EngineTarget& target, Shares& shares) {
  ATTUNE_ASSIGN_OR_RETURN(
      WorkerLoan loan,
      parts_.fleet.Choose(target.model(), target.model_fingerprint(),
                          target.artifact_digest()));
  SharePtr& share = shares.by_worker[loan.id()];
  if (share == nullptr) {
    share = std::make_shared<Share>(std::move(loan));
    share->stub = parts_.engines.Get(share->loan.engine_address());
  }
  *share->request.add_targets() = target;
  return Shares::Place{share, share->request.targets_size() - 1};
}

void PredictCall::AddToShare(const EngineTarget& target, int item,
                             const EngineItem& engine_item, Shares& shares) {
  auto found = shares.places.find(&target);
  if (found == shares.places.end()) {
    found = shares.places.emplace(&target, ChoosePlace(target, shares)).first;
  }
  const absl::StatusOr<Shares::Place>& place = found->second;
  if (!place.ok()) return SetCallError(item, place.status());
  EngineItem* added = place->share->request.add_items();
  *added = engine_item;
  added->set_target(place->target);
  place->share->items.push_back(item);
}

void PredictCall::SendAll(const Shares& shares) {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [worker, share] : shares.by_worker) out_.push_back(share);
  }
  for (const auto& [worker, share] : shares.by_worker) {
    share->context.set_deadline(absl::ToChronoTime(deadline_));
    {
      absl::MutexLock lock(&mutex_);
      if (cancelled_) share->context.TryCancel();
    }
    share->stub->async()->Predict(
        &share->context, &share->request, &share->response,
        [call = shared_from_this(), share = share](const grpc::Status& status) {
          call->OnAnswer(share, FromGrpcStatus(status));
        });
  }
  FinishIfComplete();
}

void PredictCall::OnAnswer(const SharePtr& share, const absl::Status& status) {
  Shares retry;
  {
    absl::MutexLock lock(&mutex_);
    if (status.ok()) {
      TakeResults(*share);
    } else if (absl::IsUnavailable(status) && !share->is_retry && !cancelled_) {
      share->loan.MarkSuspect();
      retry = MakeRetry(*share);
    } else {
      const absl::Status error =
          WithContext(status, Concat("worker '", share->loan.id(), "'"));
      for (const int item : share->items) SetCallError(item, error);
    }
    if (retry.by_worker.empty())
      out_.erase(std::find(out_.begin(), out_.end(), share));
  }
  if (retry.by_worker.empty()) return FinishIfComplete();
  SendAll(retry);
  {
    absl::MutexLock lock(&mutex_);
    out_.erase(std::find(out_.begin(), out_.end(), share));
  }
  FinishIfComplete();
}

void PredictCall::TakeResults(Share& share) {
  const auto num_items = static_cast<int>(share.items.size());
  if (share.response.results_size() != num_items) {
    const absl::Status error = MakeError(
        Reason::kInternal, Concat("worker '", share.loan.id(), "' gave ",
                                  share.response.results_size(), " answers to ",
                                  num_items, " inputs"));
    for (const int item : share.items) SetCallError(item, error);
    return;
  }
  for (int i = 0; i < num_items; ++i) {
    response_.mutable_results(share.items[i])
        ->Swap(share.response.mutable_results(i));
  }
  answered_ += num_items;
}

PredictCall::Shares PredictCall::MakeRetry(Share& share) {
  Shares retry;
  for (size_t i = 0; i < share.items.size(); ++i) {
    const EngineItem& item = share.request.items(static_cast<int>(i));
    AddToShare(share.request.targets(item.target()), share.items[i], item,
               retry);
  }
  for (const auto& [worker, again] : retry.by_worker) again->is_retry = true;
  return retry;
}

void PredictCall::SetError(int item, const absl::Status& status) {
  SetItemError(status, response_.mutable_results(item));
}

void PredictCall::SetCallError(int item, const absl::Status& status) {
  SetError(item, status);
  if (ReasonOf(status) == Reason::kModelMismatch) return;
  call_error_.Update(status);
}

void PredictCall::FinishIfComplete() {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    if (!out_.empty() || finished_) return;
    finished_ = true;
    // Nobody was answered and it was not the items' fault.
    if (answered_ == 0) status = call_error_;
  }
  call_->Finish(status);
}

void PredictCall::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  for (const SharePtr& share : out_) share->context.TryCancel();
}

}  // namespace attune::server
