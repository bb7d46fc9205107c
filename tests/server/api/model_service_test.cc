#include "server/api/model_service.h"

#include "attune/v1/model_service.grpc.pb.h"
#include "tests/server/api/api_test.h"

namespace attune::server {
namespace {

using ModelsStub = v1::ModelService::Stub;

TEST(ModelService, ShowsWhatLiveWorkersHold) {
  InProcessServer server;
  const auto stub = v1::ModelService::NewStub(server.channel());
  FakeWorker worker(server.channel(), "w");
  worker.Synchronize();
  const auto list =
      Call(*stub, &ModelsStub::ListModels, v1::ListModelsRequest());
  const auto model = Call(*stub, &ModelsStub::GetModel,
                          Named<v1::GetModelRequest>("models/tiny"));

  ASSERT_OK(list);
  ASSERT_EQ(list->models_size(), 1);
  EXPECT_EQ(list->models(0).name(), "models/tiny");
  ASSERT_OK(model);
  EXPECT_EQ(model->fingerprint(), "print");
}

TEST(ModelService, ErrorsNameWhatIsWrong) {
  InProcessServer server;
  const auto stub = v1::ModelService::NewStub(server.channel());
  v1::ListModelsRequest list;
  list.set_page_size(-1);

  EXPECT_THAT(Call(*stub, &ModelsStub::GetModel,
                   Named<v1::GetModelRequest>("models/tiny")),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(
      Call(*stub, &ModelsStub::GetModel, Named<v1::GetModelRequest>("tiny")),
      NamesField(Reason::kInvalidField, "name"));
  EXPECT_THAT(Call(*stub, &ModelsStub::ListModels, list),
              NamesField(Reason::kInvalidField, "page_size"));
}

}  // namespace
}  // namespace attune::server
