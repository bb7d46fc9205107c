#include "server/api/evaluate_call.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_join.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/task_metrics.h"
#include "proto/cc/text.h"
#include "server/api/row_source.h"
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
  if (CountRowsOf(rows, split) > 0) return absl::OkStatus();
  return MakeError(Reason::kIllegalState,
                   Concat("none of the ", rows.snapshot.num_rows(), " rows of ",
                          rows.snapshot.dataset(), " is of the split '", split,
                          "': choose another split, or 'all'"),
                   {{"field", "split"}});
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
  if (!request.metric().empty() && !request.has_baseline()) {
    violations.Add("metric",
                   "is what target and baseline are compared by: name a "
                   "baseline, or leave it out");
  }
  return violations.ToStatus();
}

EvaluateCall::EvaluateCall(const ApiHost& host, const Parts& parts,
                           const v1::EvaluatePromptRequest& request,
                           absl::Time deadline)
    : RelayCall(host, deadline,
                [](EngineStub& stub, grpc::ClientContext* context,
                   Upload::Reactor* reactor) {
                  stub.async()->Evaluate(context, reactor);
                }),
      parts_(parts),
      request_(request) {}

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
  ATTUNE_ASSIGN_OR_RETURN(*header.mutable_metric(),
                          ChooseMetric(header.target()));
  header.set_split(SplitOf(request_));
  header.set_max_rows(request_.max_rows());
  header.set_seed(request_.seed());
  return header;
}

absl::StatusOr<std::string> EvaluateCall::ChooseMetric(
    const EngineTarget& target) const {
  const std::vector<std::string> metrics = TaskMetrics(target.task());
  std::string metric = request_.metric();
  const bool asked = !metric.empty();
  if (!asked && !target.prompt_version().empty()) {
    ATTUNE_ASSIGN_OR_RETURN(
        const PromptReference reference,
        ParsePromptReference(target.prompt_version(), "target.prompt"));
    ATTUNE_ASSIGN_OR_RETURN(const auto version,
                            parts_.prompts.Resolve(reference));
    metric = version->metric;
  }
  if (absl::c_linear_search(metrics, metric)) return metric;
  if (asked || metrics.empty()) {
    return InvalidField("metric",
                        Concat("'", metric, "' is not one of this task's: ",
                               absl::StrJoin(metrics, ", ")));
  }
  return metrics.front();
}

absl::StatusOr<EvaluateCall::Question> EvaluateCall::Ask() {
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
  return Question{.loan = std::move(loan),
                  .stub = std::move(stub),
                  .header = std::move(first),
                  .rows = SourceOf(parts_.datasets, std::move(rows))};
}

EvaluateCall::Next EvaluateCall::Make(v1::EvaluatePromptResponse* message,
                                      absl::Status* status) {
  return TakeAnswer(message, status);
}

}  // namespace attune::server
