#include "proto/cc/health_service.h"

#include "proto/cc/status.h"

namespace attune {

class HealthService::WatchCall final : public StreamWriter<Response> {
 public:
  WatchCall(HealthService& health, const std::string& service)
      : StreamWriter({.executor = nullptr, .live_calls = &health.live_calls_}),
        health_(health),
        service_(service) {}
  // Not when it has ended: a step that still runs would enter it again.
  ~WatchCall() override {
    absl::MutexLock lock(&health_.mutex_);
    health_.watches_.erase(this);
  }

 private:
  Next Make(Response* message, absl::Status* /*status*/) override {
    {
      absl::MutexLock lock(&health_.mutex_);
      health_.watches_[this] = weak_from_this();
    }
    const Response::ServingStatus now = health_.StatusOf(service_);
    if (now == sent_) return Next::kWait;
    sent_ = now;
    message->set_status(now);
    return Next::kTransfer;
  }

  HealthService& health_;
  const std::string service_;
  Response::ServingStatus sent_ = Response::UNKNOWN;
};

HealthService::HealthService(LiveCalls& live_calls,
                             const std::vector<std::string>& services)
    : live_calls_(live_calls), services_(services.begin(), services.end()) {
  services_.insert({"", kLivenessService, kReadinessService});
}

void HealthService::SetReady(bool ready) {
  std::map<const WatchCall*, std::weak_ptr<StreamCall>> watches;
  {
    absl::MutexLock lock(&mutex_);
    if (ready_ == ready) return;
    ready_ = ready;
    watches = watches_;
  }
  for (const auto& [key, weak] : watches) {
    if (const auto watch = weak.lock()) watch->Wake();
  }
}

HealthService::Response::ServingStatus HealthService::StatusOf(
    const std::string& service) const {
  if (services_.count(service) == 0) return Response::SERVICE_UNKNOWN;
  absl::MutexLock lock(&mutex_);
  return ready_ || service == kLivenessService ? Response::SERVING
                                               : Response::NOT_SERVING;
}

grpc::ServerUnaryReactor* HealthService::Check(
    grpc::CallbackServerContext* context, const Request* request,
    Response* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  response->set_status(StatusOf(request->service()));
  const bool known = response->status() != Response::SERVICE_UNKNOWN;
  reactor->Finish(ToGrpcStatus(
      known ? absl::OkStatus() : NotFound("service", request->service())));
  return reactor;
}

grpc::ServerWriteReactor<HealthService::Response>* HealthService::Watch(
    grpc::CallbackServerContext* /*context*/, const Request* request) {
  return WatchCall::Begin<WatchCall>(*this, request->service());
}

}  // namespace attune
