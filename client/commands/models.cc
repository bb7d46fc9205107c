#include "client/commands/models.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_format.h"
#include "client/commands/names.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/table.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Models = v1::ModelService::Stub;

// 134,515,008 -> "135M"
std::string ParameterText(int64_t count) {
  const double number = static_cast<double>(count);
  if (count >= 1'000'000'000) return absl::StrFormat("%.1fB", number / 1e9);
  if (count >= 1'000'000) return absl::StrFormat("%.0fM", number / 1e6);
  return FormatCount(count);
}

std::string KindText(v1::ModelKind kind) {
  switch (kind) {
    case v1::MODEL_KIND_CAUSAL:
      return "causal";
    case v1::MODEL_KIND_ENCODER:
      return "encoder";
    case v1::MODEL_KIND_ENCODER_DECODER:
      return "encoder-decoder";
    default:
      return "-";
  }
}

// "worker-1 (cpu, bf16, 257 MiB, loaded)"
std::string HolderText(const v1::ModelHolder& holder) {
  return Concat(holder.worker(), " (", holder.device(), ", ", holder.dtype(),
                ", ", FormatBytes(holder.memory_bytes()),
                holder.loaded() ? ", loaded)" : ", not loaded)");
}

absl::StatusOr<int> ListModels(Session& session) {
  Connection& connection = session.connection();
  std::vector<v1::Model> models;
  ATTUNE_RETURN_IF_ERROR(ForEachPage(
      v1::ListModelsRequest(),
      [&](const auto& request) {
        return connection.Call(Repeat::kSafe, connection.models(),
                               &Models::ListModels, request);
      },
      [&](v1::ListModelsResponse& page) {
        std::move(page.mutable_models()->begin(), page.mutable_models()->end(),
                  std::back_inserter(models));
        return true;
      }));
  if (session.json()) {
    session.out() << ToJsonArrayOf(models);
    return kExitOk;
  }
  Table table({{"NAME"},
               {"FAMILY"},
               {"KIND"},
               {"WEIGHTS", Table::Align::kRight},
               {"CONTEXT", Table::Align::kRight},
               {"WORKERS"}});
  for (const v1::Model& model : models) {
    std::string holders;
    for (const v1::ModelHolder& holder : model.holders()) {
      holders += Concat(holders.empty() ? "" : ", ", HolderText(holder));
    }
    table.Add({ShortName(model.name()), model.family(), KindText(model.kind()),
               ParameterText(model.num_parameters()),
               FormatCount(model.context_length()), holders});
  }
  table.Print(session.console().out);
  return kExitOk;
}

absl::StatusOr<int> GetModel(Session& session, const std::string& name) {
  v1::GetModelRequest request;
  request.set_name(ModelName(name));
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::Model model,
                          connection.Call(Repeat::kSafe, connection.models(),
                                          &Models::GetModel, request));
  if (session.json()) {
    session.out() << ToJson(model);
    return kExitOk;
  }
  Details details;
  details.Add("name", model.name());
  details.Add("family", model.family());
  details.Add("kind", KindText(model.kind()));
  details.Add("weights", FormatCount(model.num_parameters()));
  details.Add("layers", FormatCount(model.num_layers()));
  details.Add("embedding", FormatCount(model.embedding_size()));
  details.Add("vocabulary", FormatCount(model.vocabulary_size()));
  details.Add("context",
              Concat(FormatCount(model.context_length()), " tokens"));
  details.Add("chat template", model.has_chat_template() ? "yes" : "no");
  details.AddIf("fingerprint", model.fingerprint());
  for (const v1::ModelHolder& holder : model.holders()) {
    details.Add("worker", HolderText(holder));
  }
  details.Print(session.console().out);
  return kExitOk;
}

}  // namespace

void AddModelsCommands(CLI::App& root, Session& session) {
  CLI::App* models =
      root.add_subcommand("models", "Base models that live workers hold");
  models->require_subcommand(1);
  CLI::App* list = models->add_subcommand("list", "List models by name");
  list->footer("Example:\n  attune models list");
  list->callback([&session] {
    session.action = [&session] { return ListModels(session); };
  });
  const auto name = std::make_shared<std::string>();
  CLI::App* get = models->add_subcommand("get", "Show a model");
  get->add_option("name", *name, "The model: an id or models/{id}")->required();
  get->footer("Example:\n  attune models get smollm2-135m-instruct");
  get->callback([&session, name] {
    session.action = [&session, name] { return GetModel(session, *name); };
  });
}

}  // namespace attune::client
