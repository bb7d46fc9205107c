#include "proto/cc/rpc_metrics.h"

#include "absl/time/clock.h"
#include "google/protobuf/descriptor.h"
#include "prometheus/counter.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune {
namespace {

using grpc::experimental::InterceptionHookPoints;

constexpr const char* kUnknown = "unknown";

// Upper bounds in seconds.
const std::vector<double>& LatencyBuckets() {
  static const auto* const buckets = new std::vector<double>{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
      0.5,   1,      2.5,   5,    10,    30,   120};
  return *buckets;
}

std::string_view TypeOf(const google::protobuf::MethodDescriptor& method) {
  if (method.client_streaming()) {
    return method.server_streaming() ? "bidi_stream" : "client_stream";
  }
  return method.server_streaming() ? "server_stream" : "unary";
}

}  // namespace

struct RpcMetrics::Method {
  Metrics* metrics;
  prometheus::Labels labels;
  prometheus::Counter* started;
  prometheus::Counter* received;
  prometheus::Counter* sent;
  Metrics::Histogram seconds;

  // grpc_code is the name of the status: "OK", "NOT_FOUND".
  prometheus::Counter& Handled(grpc::StatusCode code) const {
    prometheus::Labels with_code = labels;
    with_code["grpc_code"] =
        code == grpc::OK
            ? "OK"
            : absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
    return metrics->Counter("grpc_server_handled_total",
                            "Calls that ended, by status.", with_code);
  }
};

namespace {

class CallCounter final : public grpc::experimental::Interceptor {
 public:
  explicit CallCounter(const RpcMetrics::Method& method)
      : method_(method), begin_(absl::Now()) {
    method_.started->Increment();
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_MESSAGE) &&
        batch->GetRecvMessage() != nullptr) {
      method_.received->Increment();
    }
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      method_.sent->Increment();
    }
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      method_.Handled(batch->GetSendStatus().error_code()).Increment();
      auto seconds = method_.seconds;
      seconds.Observe(absl::ToDoubleSeconds(absl::Now() - begin_));
    }
    batch->Proceed();
  }

 private:
  const RpcMetrics::Method& method_;
  const absl::Time begin_;
};

}  // namespace

RpcMetrics::RpcMetrics(const std::shared_ptr<Metrics>& metrics,
                       const std::vector<std::string>& services)
    : metrics_(metrics) {
  AddMethod(kUnknown, kUnknown, "unary");
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    const auto* service = pool->FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      AddMethod(name, service->method(i)->name(), TypeOf(*service->method(i)));
    }
  }
}

RpcMetrics::~RpcMetrics() = default;

void RpcMetrics::AddMethod(const std::string& service, const std::string& name,
                           std::string_view type) {
  auto method = std::make_unique<Method>();
  method->metrics = metrics_.get();
  method->labels = {{"grpc_service", service},
                    {"grpc_method", name},
                    {"grpc_type", std::string(type)}};
  method->started = &metrics_->Counter("grpc_server_started_total",
                                       "Calls that began.", method->labels);
  method->received =
      &metrics_->Counter("grpc_server_msg_received_total",
                         "Messages that clients sent.", method->labels);
  method->sent =
      &metrics_->Counter("grpc_server_msg_sent_total",
                         "Messages sent to clients.", method->labels);
  method->seconds = metrics_->MakeHistogram(
      "grpc_server_handling_seconds", "Time from begin to status, in seconds.",
      LatencyBuckets(), method->labels);
  method->Handled(grpc::OK);
  methods_["/" + service + "/" + name] = std::move(method);
}

grpc::experimental::Interceptor* RpcMetrics::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  const auto found = methods_.find(info->method());
  const std::string unknown = Concat("/", kUnknown, "/", kUnknown);
  return new CallCounter(found != methods_.end() ? *found->second
                                                 : *methods_.at(unknown));
}

}  // namespace attune
