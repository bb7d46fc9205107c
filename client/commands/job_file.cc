#include "client/commands/job_file.h"

#include <algorithm>

#include "client/commands/document.h"
#include "client/commands/message_file.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Kind = DocumentNode::Kind;

// The value of `name` in `map`, added when it is not there.
DocumentNode& FieldIn(DocumentNode& map, std::string_view name) {
  if (const DocumentField* field = FindField(map, name)) {
    return const_cast<DocumentField*>(field)->value;
  }
  map.fields.push_back(DocumentField{std::string(name), {}, 0});
  return map.fields.back().value;
}

absl::Status ApplySetting(std::string_view setting, DocumentNode& job) {
  const size_t equals = setting.find('=');
  if (equals == setting.npos || equals == 0) {
    return absl::InvalidArgumentError(Concat(
        "--set '", setting, "': write it like spec.training.max_steps=100"));
  }
  std::string_view path = setting.substr(0, equals);
  DocumentNode* node = &job;
  while (!path.empty()) {
    if (node->kind != Kind::kMap && node->kind != Kind::kNull) {
      return absl::InvalidArgumentError(
          Concat("--set '", setting, "': '", path, "' lies inside a value"));
    }
    node->kind = Kind::kMap;
    const std::string_view name = path.substr(0, path.find('.'));
    node = &FieldIn(*node, name);
    path.remove_prefix(std::min(path.size(), name.size() + 1));
  }
  *node = DocumentNode{};
  node->kind = Kind::kPlain;
  node->scalar = setting.substr(equals + 1);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::CreateTuningJobRequest> ParseJobFile(
    std::string_view text, std::string_view file,
    const std::vector<std::string>& settings) {
  ATTUNE_ASSIGN_OR_RETURN(DocumentNode document, ParseDocument(text, file));
  const bool whole_request = FindField(document, "tuning_job") != nullptr;
  DocumentNode& job =
      whole_request ? FieldIn(document, "tuning_job") : document;
  for (const std::string& setting : settings) {
    ATTUNE_RETURN_IF_ERROR(ApplySetting(setting, job));
  }
  v1::CreateTuningJobRequest request;
  if (whole_request) {
    ATTUNE_RETURN_IF_ERROR(FillMessage(document, file, request));
  } else {
    ATTUNE_RETURN_IF_ERROR(
        FillMessage(document, file, *request.mutable_tuning_job()));
  }
  return request;
}

absl::StatusOr<v1::TaskSpec> ParseTaskFile(std::string_view text,
                                           std::string_view file) {
  ATTUNE_ASSIGN_OR_RETURN(const DocumentNode document,
                          ParseDocument(text, file));
  if (FindField(document, "spec") || FindField(document, "tuning_job")) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::CreateTuningJobRequest request,
                            ParseJobFile(text, file, {}));
    return request.tuning_job().spec().task();
  }
  v1::TaskSpec task;
  ATTUNE_RETURN_IF_ERROR(FillMessage(document, file, task));
  return task;
}

}  // namespace attune::client
