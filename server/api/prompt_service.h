#ifndef ATTUNE_SERVER_API_PROMPT_SERVICE_H_
#define ATTUNE_SERVER_API_PROMPT_SERVICE_H_

#include "attune/v1/prompt_service.grpc.pb.h"
#include "server/api/api_host.h"

namespace attune::server {

class ArtifactStore;
class PromptRegistry;

// attune.v1.PromptService: checks requests and hands them to the registry.
// Thread-safe.
class PromptService final : public v1::PromptService::CallbackService {
 public:
  PromptService(const ApiHost& host, PromptRegistry& prompts,
                const ArtifactStore& artifacts)
      : host_(host), prompts_(prompts), artifacts_(artifacts) {}

  grpc::ServerUnaryReactor* GetPrompt(grpc::CallbackServerContext* context,
                                      const v1::GetPromptRequest* request,
                                      v1::Prompt* response) override;
  grpc::ServerUnaryReactor* ListPrompts(
      grpc::CallbackServerContext* context,
      const v1::ListPromptsRequest* request,
      v1::ListPromptsResponse* response) override;
  grpc::ServerUnaryReactor* DeletePrompt(
      grpc::CallbackServerContext* context,
      const v1::DeletePromptRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* GetPromptVersion(
      grpc::CallbackServerContext* context,
      const v1::GetPromptVersionRequest* request,
      v1::PromptVersion* response) override;
  grpc::ServerUnaryReactor* ListPromptVersions(
      grpc::CallbackServerContext* context,
      const v1::ListPromptVersionsRequest* request,
      v1::ListPromptVersionsResponse* response) override;
  grpc::ServerUnaryReactor* DeletePromptVersion(
      grpc::CallbackServerContext* context,
      const v1::DeletePromptVersionRequest* request,
      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* SetAlias(grpc::CallbackServerContext* context,
                                     const v1::SetAliasRequest* request,
                                     v1::Prompt* response) override;
  grpc::ServerUnaryReactor* DeleteAlias(grpc::CallbackServerContext* context,
                                        const v1::DeleteAliasRequest* request,
                                        v1::Prompt* response) override;
  grpc::ServerWriteReactor<v1::DownloadPromptVersionResponse>*
  DownloadPromptVersion(
      grpc::CallbackServerContext* context,
      const v1::DownloadPromptVersionRequest* request) override;
  grpc::ServerReadReactor<v1::ImportPromptVersionRequest>* ImportPromptVersion(
      grpc::CallbackServerContext* context,
      v1::PromptVersion* response) override;
  grpc::ServerUnaryReactor* InspectPromptVersion(
      grpc::CallbackServerContext* context,
      const v1::InspectPromptVersionRequest* request,
      v1::InspectPromptVersionResponse* response) override;

 private:
  const ApiHost& host_;
  PromptRegistry& prompts_;
  const ArtifactStore& artifacts_;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_API_PROMPT_SERVICE_H_
