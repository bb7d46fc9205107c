#include "server/api/worker_checks.h"

#include <functional>
#include <string>
#include <vector>

#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

worker::v1::SynchronizeRequest SoundRequest() {
  worker::v1::SynchronizeRequest request;
  request.mutable_worker()->set_id("worker-0");
  request.mutable_worker()->set_instance_id("b5");
  request.mutable_worker()->set_engine_address("10.0.0.1:50061");
  return request;
}

TEST(WorkerChecks, ASoundRequestPasses) {
  EXPECT_OK(CheckWorkerRequest(SoundRequest()));
}

TEST(WorkerChecks, EveryWrongFieldIsNamed) {
  struct Case {
    std::function<void(worker::v1::SynchronizeRequest&)> spoil;
    std::string field;
  };
  const std::vector<Case> cases = {
      {[](auto& r) { r.mutable_worker()->set_id("a b"); }, "worker.id"},
      {[](auto& r) { r.mutable_worker()->clear_instance_id(); },
       "worker.instance_id"},
      {[](auto& r) { r.mutable_worker()->set_engine_address("host"); },
       "worker.engine_address"},
      {[](auto& r) { r.mutable_worker()->add_models()->set_name("tiny"); },
       "worker.models[0].name"},
      {[](auto& r) {
         for (int i = 0; i < 1'001; ++i) {
           r.mutable_worker()->add_warm_artifacts("digest");
         }
       },
       "worker.warm_artifacts"},
      {[](auto& r) { r.mutable_worker()->set_num_waiting_requests(-1); },
       "worker.num_waiting_requests"},
      {[](auto& r) { r.mutable_wait_duration()->set_seconds(31); },
       "wait_duration"},
      {[](auto& r) {
         r.add_attempts()->set_attempt(1);
         r.mutable_wait_duration()->set_seconds(1);
       },
       "wait_duration"}};
  for (const Case& one : cases) {
    worker::v1::SynchronizeRequest request = SoundRequest();
    one.spoil(request);

    EXPECT_THAT(CheckWorkerRequest(request),
                NamesField(Reason::kInvalidField, one.field));
  }
}

}  // namespace
}  // namespace attune::server
