#include "server/api/model_service.h"

#include <utility>

#include "absl/status/statusor.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status_macros.h"
#include "server/api/serve_unary.h"
#include "server/fleet/fleet.h"

namespace attune::server {

grpc::ServerUnaryReactor* ModelService::GetModel(
    grpc::CallbackServerContext* /*context*/,
    const v1::GetModelRequest* request, v1::Model* response) {
  return ServeUnary(
      host_.inference, request, response,
      [this](const auto& get) -> absl::StatusOr<v1::Model> {
        ATTUNE_RETURN_IF_ERROR(
            ParseResourceName(kModelCollection, get.name(), "name").status());
        return fleet_.GetModel(get.name());
      });
}

grpc::ServerUnaryReactor* ModelService::ListModels(
    grpc::CallbackServerContext* /*context*/,
    const v1::ListModelsRequest* request, v1::ListModelsResponse* response) {
  return ServeUnary(
      host_.inference, request, response,
      [this](const auto& list) -> absl::StatusOr<v1::ListModelsResponse> {
        ATTUNE_ASSIGN_OR_RETURN(
            auto page, fleet_.ListModels(
                           {list.page_size(), list.page_token(), ""}, tokens_));
        v1::ListModelsResponse answer;
        for (v1::Model& model : page.items) {
          *answer.add_models() = std::move(model);
        }
        answer.set_next_page_token(std::move(page.next_page_token));
        return answer;
      });
}

}  // namespace attune::server
