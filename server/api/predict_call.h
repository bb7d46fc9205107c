#ifndef ATTUNE_SERVER_API_PREDICT_CALL_H_
#define ATTUNE_SERVER_API_PREDICT_CALL_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/inference_service.pb.h"
#include "attune/worker/v1/engine.pb.h"
#include "grpcpp/client_context.h"
#include "proto/cc/unary_call.h"
#include "server/api/engine_pool.h"
#include "server/fleet/fleet.h"

namespace attune::server {

class PromptRegistry;

inline constexpr int kMaxPredictItems = 256;

// One Predict: resolves the items' targets, sends each worker its share in one
// call, tries a share once more elsewhere when its worker is unreachable, and
// puts the answers together. Never blocks; lives until the last worker has
// answered. Thread-safe.
class PredictCall : public std::enable_shared_from_this<PredictCall> {
 public:
  struct Parts {
    const PromptRegistry& prompts;
    Fleet& fleet;
    EnginePool& engines;
  };

  // call: finished by this. request and response stay valid until then.
  // deadline: of the calls to workers.
  PredictCall(const Parts& parts, std::shared_ptr<UnaryCall> call,
              const v1::PredictRequest& request, v1::PredictResponse* response,
              absl::Time deadline);

  // Begins; called once, on an executor.
  void Run();

 private:
  // One call to one worker.
  struct Share {
    explicit Share(WorkerLoan worker_loan) : loan(std::move(worker_loan)) {}
    WorkerLoan loan;
    std::shared_ptr<EngineStub> stub;
    grpc::ClientContext context;
    worker::v1::EnginePredictRequest request;
    worker::v1::EnginePredictResponse response;
    std::vector<int> items;  // index in the whole request, for each item
    bool is_retry = false;
  };
  using SharePtr = std::shared_ptr<Share>;
  // The items of one sending, dealt out to workers.
  struct Shares {
    // Where a target's items go, and its index there.
    struct Place {
      SharePtr share;
      int target;
    };
    std::map<std::string, SharePtr> by_worker;
    std::map<const worker::v1::EngineTarget*, absl::StatusOr<Place>> places;
  };

  absl::Status Check() const;
  // The target of item `index`, once the item is checked.
  absl::StatusOr<const worker::v1::EngineTarget*> Prepare(int index);
  void AddToShare(const worker::v1::EngineTarget& target, int item,
                  const worker::v1::EngineItem& engine_item, Shares& shares)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Shares::Place> ChoosePlace(
      const worker::v1::EngineTarget& target, Shares& shares);
  // Sends the shares; finishes the call when nothing is out any more.
  void SendAll(const Shares& shares) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnAnswer(const SharePtr& share, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeResults(Share& share) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Shares MakeRetry(Share& share) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetError(int item, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetCallError(int item, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishIfComplete() ABSL_LOCKS_EXCLUDED(mutex_);
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);

  const Parts parts_;
  const std::shared_ptr<UnaryCall> call_;
  const v1::PredictRequest& request_;
  v1::PredictResponse& response_;
  const absl::Time deadline_;

  // Used by Run only: targets by what names them, so that each is resolved
  // once.
  std::map<std::string, absl::StatusOr<worker::v1::EngineTarget>> targets_;

  absl::Mutex mutex_;
  std::vector<SharePtr> out_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  int answered_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first error that says nothing about the items themselves.
  absl::Status call_error_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_PREDICT_CALL_H_
