#ifndef ATTUNE_PROTO_CC_RPC_METRICS_H_
#define ATTUNE_PROTO_CC_RPC_METRICS_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grpcpp/support/server_interceptor.h"
#include "proto/cc/metrics.h"

namespace attune {

// Counts every call of a gRPC server under the grpc_server_* names that stock
// dashboards use. Give it to ServerBuilder::experimental()
// .SetInterceptorCreators. Thread-safe.
class RpcMetrics final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `services` are full names, e.g. "attune.v1.TuningService"; calls of any
  // other method are counted together as service and method "unknown".
  RpcMetrics(const std::shared_ptr<Metrics>& metrics,
             const std::vector<std::string>& services);
  ~RpcMetrics() override;

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

  // The series of one method; defined in rpc_metrics.cc.
  struct Method;

 private:
  void AddMethod(const std::string& service, const std::string& name,
                 std::string_view type);

  const std::shared_ptr<Metrics> metrics_;
  std::map<std::string, std::unique_ptr<Method>> methods_;  // "/service/method"
};

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_RPC_METRICS_H_
