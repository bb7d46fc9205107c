#include "server/api/malformed_requests.h"

#include "google/protobuf/descriptor.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Interceptor final : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(const std::string& message) : message_(message) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = batch->GetSendStatus();
      // Every error of a handler has details.
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
          status.error_details().empty()) {
        batch->ModifySendStatus(ToGrpcStatus(MakeError(
            Reason::kInvalidField,
            Concat("the request is not a ", message_,
                   ": a text is not UTF-8, or bytes are missing or wrong"),
            {{"message", message_}})));
      }
    }
    batch->Proceed();
  }

 private:
  const std::string& message_;
};

}  // namespace

MalformedRequests::MalformedRequests(const std::vector<std::string>& services) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    const auto* service = pool->FindServiceByName(name);
    for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
      requests_[Concat("/", name, "/", service->method(i)->name())] =
          service->method(i)->input_type()->full_name();
    }
  }
}

grpc::experimental::Interceptor* MalformedRequests::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  const auto found = requests_.find(info->method());
  return found == requests_.end() ? nullptr : new Interceptor(found->second);
}

}  // namespace attune::server
