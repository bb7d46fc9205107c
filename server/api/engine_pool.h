#ifndef ATTUNE_SERVER_API_ENGINE_POOL_H_
#define ATTUNE_SERVER_API_ENGINE_POOL_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "attune/worker/v1/engine.grpc.pb.h"
#include "grpcpp/support/status.h"
#include "server/fleet/fleet.h"

namespace attune::server {

// What the server calls on a worker.
using EngineStub = worker::v1::Engine::StubInterface;

// Connections to the engines of workers, kept for the next call. Thread-safe;
// never blocks.
class EnginePool {
 public:
  // connect: makes a stub for host:port without waiting for the connection.
  explicit EnginePool(
      std::function<std::shared_ptr<EngineStub>(const std::string&)> connect);

  // A stub over gRPC that gives up at once when nothing listens and tries to
  // connect again after at most two seconds.
  static std::shared_ptr<EngineStub> Connect(const std::string& address);

  // The stub for `address`. Connections that nobody uses are dropped when there
  // are more than kMaxIdle.
  std::shared_ptr<EngineStub> Get(const std::string& address);

  static constexpr size_t kMaxIdle = 64;

 private:
  const std::function<std::shared_ptr<EngineStub>(const std::string&)> connect_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<EngineStub>> stubs_
      ABSL_GUARDED_BY(mutex_);
};

// What a call to the worker of `loan` came to, naming the worker in an error. A
// worker that did not answer is marked.
absl::Status EndOfCall(const grpc::Status& wire, WorkerLoan& loan);

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_ENGINE_POOL_H_
