#include "server/api/prompt_service.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "proto/cc/resource_names.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "server/api/artifact_download.h"
#include "server/api/serve_unary.h"
#include "server/registry/prompt_registry.h"
#include "server/store/artifact_store.h"

namespace attune::server {
namespace {

absl::StatusOr<std::string> PromptId(const std::string& name,
                                     std::string_view field) {
  return ParseResourceName(kPromptCollection, name, field);
}

absl::Status CheckAlias(const std::string& alias) {
  if (!IsResourceId(alias)) {
    return InvalidField("alias",
                        Concat("'", alias,
                               "' is not 1 to 63 of a-z, 0-9 and '-', starting "
                               "with a letter and not ending in '-'"));
  }
  if (alias == kLatestAlias) {
    return InvalidField("alias", "'latest' moves by itself");
  }
  return absl::OkStatus();
}

// Answers a client stream at once, without reading it.
class RefusedUpload final
    : public grpc::ServerReadReactor<v1::ImportPromptVersionRequest> {
 public:
  explicit RefusedUpload(const absl::Status& status) {
    Finish(ToGrpcStatus(status));
  }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerUnaryReactor* PromptService::GetPrompt(
    grpc::CallbackServerContext* /*context*/,
    const v1::GetPromptRequest* request, v1::Prompt* response) {
  return ServeUnary(host_.control, request, response,
                    [this](const auto& get) -> absl::StatusOr<v1::Prompt> {
                      ATTUNE_ASSIGN_OR_RETURN(const auto id,
                                              PromptId(get.name(), "name"));
                      return prompts_.GetPrompt(id);
                    });
}

grpc::ServerUnaryReactor* PromptService::ListPrompts(
    grpc::CallbackServerContext* /*context*/,
    const v1::ListPromptsRequest* request, v1::ListPromptsResponse* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& list) -> absl::StatusOr<v1::ListPromptsResponse> {
        ATTUNE_ASSIGN_OR_RETURN(
            auto page,
            prompts_.ListPrompts({list.page_size(), list.page_token(), ""}));
        v1::ListPromptsResponse answer;
        for (v1::Prompt& prompt : page.items) {
          *answer.add_prompts() = std::move(prompt);
        }
        answer.set_next_page_token(std::move(page.next_page_token));
        return answer;
      });
}

grpc::ServerUnaryReactor* PromptService::DeletePrompt(
    grpc::CallbackServerContext* /*context*/,
    const v1::DeletePromptRequest* request,
    google::protobuf::Empty* /*response*/) {
  return ServeEmpty(
      host_.control, request, [this](const auto& remove) -> absl::Status {
        ATTUNE_ASSIGN_OR_RETURN(const auto id, PromptId(remove.name(), "name"));
        return prompts_.DeletePrompt(id, remove.force());
      });
}

grpc::ServerUnaryReactor* PromptService::GetPromptVersion(
    grpc::CallbackServerContext* /*context*/,
    const v1::GetPromptVersionRequest* request, v1::PromptVersion* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](const auto& get) -> absl::StatusOr<v1::PromptVersion> {
        ATTUNE_ASSIGN_OR_RETURN(const auto reference,
                                ParsePromptReference(get.name(), "name"));
        return prompts_.GetVersion(reference);
      });
}

grpc::ServerUnaryReactor* PromptService::ListPromptVersions(
    grpc::CallbackServerContext* /*context*/,
    const v1::ListPromptVersionsRequest* request,
    v1::ListPromptVersionsResponse* response) {
  return ServeUnary(
      host_.control, request, response,
      [this](
          const auto& list) -> absl::StatusOr<v1::ListPromptVersionsResponse> {
        ATTUNE_ASSIGN_OR_RETURN(const auto id,
                                PromptId(list.parent(), "parent"));
        ATTUNE_ASSIGN_OR_RETURN(
            auto page, prompts_.ListVersions(
                           id, {list.page_size(), list.page_token(), ""}));
        v1::ListPromptVersionsResponse answer;
        for (v1::PromptVersion& version : page.items) {
          *answer.add_prompt_versions() = std::move(version);
        }
        answer.set_next_page_token(std::move(page.next_page_token));
        return answer;
      });
}

grpc::ServerUnaryReactor* PromptService::DeletePromptVersion(
    grpc::CallbackServerContext* /*context*/,
    const v1::DeletePromptVersionRequest* request,
    google::protobuf::Empty* /*response*/) {
  return ServeEmpty(
      host_.control, request, [this](const auto& remove) -> absl::Status {
        ATTUNE_ASSIGN_OR_RETURN(const PromptReference reference,
                                ParsePromptReference(remove.name(), "name"));
        const auto* number = std::get_if<int64_t>(&reference.version);
        if (number == nullptr) {
          return InvalidField(
              "name", Concat("'", remove.name(),
                             "' is not of the form prompts/{id}/versions/{n}"));
        }
        return prompts_.DeleteVersion(reference.prompt_id, *number);
      });
}

grpc::ServerUnaryReactor* PromptService::SetAlias(
    grpc::CallbackServerContext* /*context*/,
    const v1::SetAliasRequest* request, v1::Prompt* response) {
  return ServeUnary(host_.control, request, response,
                    [this](const auto& set) -> absl::StatusOr<v1::Prompt> {
                      ATTUNE_ASSIGN_OR_RETURN(const auto id,
                                              PromptId(set.prompt(), "prompt"));
                      ATTUNE_RETURN_IF_ERROR(CheckAlias(set.alias()));
                      ATTUNE_ASSIGN_OR_RETURN(
                          const auto version,
                          ParsePromptReference(set.version(), "version"));
                      return prompts_.SetAlias(id, set.alias(), version);
                    });
}

grpc::ServerUnaryReactor* PromptService::DeleteAlias(
    grpc::CallbackServerContext* /*context*/,
    const v1::DeleteAliasRequest* request, v1::Prompt* response) {
  return ServeUnary(host_.control, request, response,
                    [this](const auto& remove) -> absl::StatusOr<v1::Prompt> {
                      ATTUNE_ASSIGN_OR_RETURN(
                          const auto id, PromptId(remove.prompt(), "prompt"));
                      ATTUNE_RETURN_IF_ERROR(CheckAlias(remove.alias()));
                      return prompts_.DeleteAlias(id, remove.alias());
                    });
}

grpc::ServerWriteReactor<v1::DownloadPromptVersionResponse>*
PromptService::DownloadPromptVersion(
    grpc::CallbackServerContext* /*context*/,
    const v1::DownloadPromptVersionRequest* request) {
  const auto find_digest = [this,
                            asked = *request]() -> absl::StatusOr<std::string> {
    ATTUNE_RETURN_IF_ERROR(CheckSupported(asked));
    ATTUNE_ASSIGN_OR_RETURN(const auto reference,
                            ParsePromptReference(asked.name(), "name"));
    ATTUNE_ASSIGN_OR_RETURN(const auto version, prompts_.Resolve(reference));
    return version->artifact_digest;
  };
  return ArtifactDownload::Begin<ArtifactDownload>(host_, artifacts_,
                                                   find_digest);
}

grpc::ServerReadReactor<v1::ImportPromptVersionRequest>*
PromptService::ImportPromptVersion(grpc::CallbackServerContext* /*context*/,
                                   v1::PromptVersion* /*response*/) {
  return new RefusedUpload(
      MethodNotServed("attune.v1.PromptService.ImportPromptVersion"));
}

grpc::ServerUnaryReactor* PromptService::InspectPromptVersion(
    grpc::CallbackServerContext* /*context*/,
    const v1::InspectPromptVersionRequest* /*request*/,
    v1::InspectPromptVersionResponse* /*response*/) {
  return UnaryCall::Answer(
      MethodNotServed("attune.v1.PromptService.InspectPromptVersion"));
}

}  // namespace attune::server
