#include "server/api/engine_pool.h"

#include <utility>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

// 256 answers with 1,000 labels each, with room.
constexpr int kMaxReceiveBytes = 64 << 20;
constexpr int kMinReconnectMilliseconds = 100;
constexpr int kMaxReconnectMilliseconds = 2'000;
constexpr int kKeepaliveMilliseconds = 30'000;
constexpr int kKeepaliveTimeoutMilliseconds = 10'000;

}  // namespace

EnginePool::EnginePool(
    std::function<std::shared_ptr<EngineStub>(const std::string&)> connect)
    : connect_(std::move(connect)) {}

std::shared_ptr<EngineStub> EnginePool::Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
                   kMinReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   kMinReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   kMaxReconnectMilliseconds);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMilliseconds);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   kKeepaliveTimeoutMilliseconds);
  return worker::v1::Engine::NewStub(grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), arguments));
}

std::shared_ptr<EngineStub> EnginePool::Get(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  if (stubs_.size() > kMaxIdle) {
    for (auto it = stubs_.begin(); it != stubs_.end();) {
      it = it->second.use_count() == 1 ? stubs_.erase(it) : std::next(it);
    }
  }
  std::shared_ptr<EngineStub>& stub = stubs_[address];
  if (stub == nullptr) stub = connect_(address);
  return stub;
}

absl::Status EndOfCall(const grpc::Status& wire, WorkerLoan& loan) {
  const absl::Status status = FromGrpcStatus(wire);
  if (status.ok()) return status;
  if (absl::IsUnavailable(status)) loan.MarkSuspect();
  return WithContext(status, Concat("worker '", loan.id(), "'"));
}

}  // namespace attune::server
