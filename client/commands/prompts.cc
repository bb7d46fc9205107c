#include "client/commands/prompts.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_join.h"
#include "client/commands/names.h"
#include "client/commands/prompt_export.h"
#include "client/commands/prompt_report.h"
#include "client/commands/report_figures.h"
#include "client/commands/spec_text.h"
#include "client/commands/tuning_report.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "google/protobuf/empty.pb.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Prompts = v1::PromptService::Stub;

struct AliasOptions {
  std::string name;
  std::string alias;
};

struct DeleteOptions {
  std::string name;
  bool force = false;
};

struct ExportOptions {
  std::string name;
  std::string directory;
};

// "latest=3, prod=2"
std::string AliasText(const v1::Prompt& prompt) {
  const std::map<std::string, int64_t> aliases(prompt.aliases().begin(),
                                               prompt.aliases().end());
  return absl::StrJoin(aliases, ", ", absl::PairFormatter("="));
}

// "prompts/x/versions/3" -> "3"
std::string VersionNumber(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

// "accuracy 8.7% -> 91.3%": the metric that picked the checkpoint.
std::string ResultText(const v1::TuningReport& report) {
  std::string metric = report.validation_metric_name();
  const auto value = [&metric](const v1::EvaluationReport& evaluation) {
    const auto found = evaluation.metrics().find(metric);
    return found == evaluation.metrics().end()
               ? FormatMetric("loss", evaluation.loss())
               : FormatMetric(metric, found->second);
  };
  if (!report.has_after()) return "-";
  if (!report.after().metrics().contains(metric)) metric = "loss";
  return report.has_before() ? Concat(metric, " ", value(report.before()),
                                      " -> ", value(report.after()))
                             : Concat(metric, " ", value(report.after()));
}

void PrintVersion(const v1::PromptVersion& version, Console& console) {
  Details details;
  details.Add("name", version.name());
  details.AddIf("aliases", absl::StrJoin(version.aliases(), ", "));
  details.Add("base model", version.base_model());
  details.AddIf("fingerprint", version.model_fingerprint());
  details.Add("task", TaskText(version.task()));
  details.Add("method", MethodText(version.method()));
  details.AddIf("data", DataText(version));
  details.AddIf("made by", version.tuning_job());
  details.AddIf("went on from", version.parent_version());
  details.AddIf("artifact", version.artifact_digest());
  for (const v1::ArtifactFile& file : version.files()) {
    details.Add("file",
                Concat(file.name(), ", ", FormatBytes(file.size_bytes())));
  }
  details.Add("created", FormatTime(version.create_time()));
  details.Print(console.out);
  if (version.has_report()) {
    *console.out.stream << '\n';
    PrintTuningReport(version.report(), console);
  }
  *console.out.stream << "try it: "
                      << ExampleCall(version.name(), version.task()) << '\n';
}

absl::StatusOr<int> ShowPrompt(Session& session, const v1::Prompt& prompt) {
  if (session.json()) {
    session.out() << ToJson(prompt);
    return kExitOk;
  }
  Details details;
  details.Add("name", prompt.name());
  details.Add("versions", FormatCount(prompt.num_versions()));
  details.AddIf("aliases", AliasText(prompt));
  details.Add("created", FormatTime(prompt.create_time()));
  details.Add("updated", FormatTime(prompt.update_time()));
  details.Print(session.console().out);
  return kExitOk;
}

absl::StatusOr<int> ListPrompts(Session& session) {
  Connection& connection = session.connection();
  std::vector<v1::Prompt> prompts;
  ATTUNE_RETURN_IF_ERROR(ForEachPage(
      v1::ListPromptsRequest(),
      [&](const auto& request) {
        return connection.Call(Repeat::kSafe, connection.prompts(),
                               &Prompts::ListPrompts, request);
      },
      [&](v1::ListPromptsResponse& page) {
        std::move(page.mutable_prompts()->begin(),
                  page.mutable_prompts()->end(), std::back_inserter(prompts));
        return true;
      }));
  if (session.json()) {
    session.out() << ToJsonArrayOf(prompts);
    return kExitOk;
  }
  Table table({{"NAME"},
               {"VERSIONS", Table::Align::kRight},
               {"ALIASES"},
               {"UPDATED", Table::Align::kRight}});
  for (const v1::Prompt& prompt : prompts) {
    table.Add({ShortName(prompt.name()), FormatCount(prompt.num_versions()),
               AliasText(prompt),
               FormatAge(prompt.update_time(), session.clock().Now())});
  }
  table.Print(session.console().out);
  return kExitOk;
}

absl::StatusOr<int> GetPrompt(Session& session, const std::string& name) {
  Connection& connection = session.connection();
  if (!NamesVersion(name)) {
    v1::GetPromptRequest request;
    request.set_name(PromptName(name));
    ATTUNE_ASSIGN_OR_RETURN(const v1::Prompt prompt,
                            connection.Call(Repeat::kSafe, connection.prompts(),
                                            &Prompts::GetPrompt, request));
    return ShowPrompt(session, prompt);
  }
  v1::GetPromptVersionRequest request;
  request.set_name(PromptName(name));
  ATTUNE_ASSIGN_OR_RETURN(const v1::PromptVersion version,
                          connection.Call(Repeat::kSafe, connection.prompts(),
                                          &Prompts::GetPromptVersion, request));
  if (session.json()) {
    session.out() << ToJson(version);
  } else {
    PrintVersion(version, session.console());
  }
  return kExitOk;
}

absl::StatusOr<int> Versions(Session& session, const std::string& name) {
  Connection& connection = session.connection();
  v1::ListPromptVersionsRequest first;
  first.set_parent(PromptName(name));
  std::vector<v1::PromptVersion> versions;
  ATTUNE_RETURN_IF_ERROR(ForEachPage(
      first,
      [&](const auto& request) {
        return connection.Call(Repeat::kSafe, connection.prompts(),
                               &Prompts::ListPromptVersions, request);
      },
      [&](v1::ListPromptVersionsResponse& page) {
        std::move(page.mutable_prompt_versions()->begin(),
                  page.mutable_prompt_versions()->end(),
                  std::back_inserter(versions));
        return true;
      }));
  if (session.json()) {
    session.out() << ToJsonArrayOf(versions);
    return kExitOk;
  }
  Table table({{"VERSION", Table::Align::kRight},
               {"ALIASES"},
               {"BASE MODEL"},
               {"METHOD"},
               {"RESULT"},
               {"CREATED", Table::Align::kRight}});
  for (const v1::PromptVersion& version : versions) {
    table.Add({VersionNumber(version.name()),
               absl::StrJoin(version.aliases(), ", "),
               ShortName(version.base_model()), MethodText(version.method()),
               ResultText(version.report()),
               FormatAge(version.create_time(), session.clock().Now())});
  }
  table.Print(session.console().out);
  return kExitOk;
}

absl::StatusOr<int> Promote(Session& session, const AliasOptions& options) {
  v1::SetAliasRequest request;
  request.set_version(PromptName(options.name));
  request.set_prompt(PromptOf(request.version()));
  request.set_alias(options.alias);
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::Prompt prompt,
                          connection.Call(Repeat::kSafe, connection.prompts(),
                                          &Prompts::SetAlias, request));
  if (session.json()) {
    session.out() << ToJson(prompt);
    return kExitOk;
  }
  const auto moved = prompt.aliases().find(options.alias);
  session.out() << OneLine(prompt.name()) << '@' << OneLine(options.alias)
                << " is now version "
                << (moved == prompt.aliases().end()
                        ? options.name
                        : std::to_string(moved->second))
                << '\n';
  return kExitOk;
}

absl::StatusOr<int> RemoveAlias(Session& session, const AliasOptions& options) {
  v1::DeleteAliasRequest request;
  request.set_prompt(PromptName(options.name));
  request.set_alias(options.alias);
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::Prompt prompt,
                          connection.Call(Repeat::kUnsafe, connection.prompts(),
                                          &Prompts::DeleteAlias, request));
  return ShowPrompt(session, prompt);
}

absl::StatusOr<int> DeletePrompt(Session& session,
                                 const DeleteOptions& options) {
  const std::string name = PromptName(options.name);
  Connection& connection = session.connection();
  absl::Status status;
  if (NamesVersion(name)) {
    v1::DeletePromptVersionRequest request;
    request.set_name(name);
    status = connection
                 .Call(Repeat::kUnsafe, connection.prompts(),
                       &Prompts::DeletePromptVersion, request)
                 .status();
  } else {
    v1::DeletePromptRequest request;
    request.set_name(name);
    request.set_force(options.force);
    status = connection
                 .Call(Repeat::kUnsafe, connection.prompts(),
                       &Prompts::DeletePrompt, request)
                 .status();
  }
  ATTUNE_RETURN_IF_ERROR(status);
  session.err() << name << " deleted\n";
  return kExitOk;
}

absl::StatusOr<int> Export(Session& session, const ExportOptions& options) {
  std::string name = PromptName(options.name);
  if (!NamesVersion(name)) name += "@latest";
  ATTUNE_ASSIGN_OR_RETURN(
      const v1::PromptVersion version,
      ExportPromptVersion(session.connection(), name, options.directory));
  if (session.json()) {
    session.out() << ToJson(version);
    return kExitOk;
  }
  session.out() << OneLine(version.name()) << " -> " << options.directory
                << " (" << version.files_size() << " files, digests checked)\n";
  return kExitOk;
}

void AddPromote(CLI::App& prompts, Session& session) {
  const auto options = std::make_shared<AliasOptions>();
  CLI::App* command = prompts.add_subcommand(
      "promote", "Make an alias mean a version: serving follows at once");
  command
      ->add_option("version", options->name,
                   "prompts/{id}/versions/{n} or prompts/{id}@{alias}")
      ->required();
  command->add_option("--alias", options->alias, "The alias, e.g. prod")
      ->required();
  command->footer(
      "Examples:\n"
      "  attune prompts promote prompts/banking77-intent/versions/3 "
      "--alias prod\n"
      "  attune prompts promote banking77-intent@latest --alias prod");
  command->callback([&session, options] {
    session.action = [&session, options] { return Promote(session, *options); };
  });
}

void AddRemoveAlias(CLI::App& prompts, Session& session) {
  const auto options = std::make_shared<AliasOptions>();
  CLI::App* command =
      prompts.add_subcommand("remove-alias", "Remove an alias of a prompt");
  command->add_option("name", options->name, "The prompt")->required();
  command->add_option("--alias", options->alias, "The alias")->required();
  command->footer(
      "Example:\n  attune prompts remove-alias banking77-intent --alias prod");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return RemoveAlias(session, *options);
    };
  });
}

void AddExport(CLI::App& prompts, Session& session) {
  const auto options = std::make_shared<ExportOptions>();
  CLI::App* command = prompts.add_subcommand(
      "export",
      "Write a version as a directory that Hugging Face PEFT loads, but for a "
      "prefix of some layers and rows at markers");
  command
      ->add_option("version", options->name,
                   "prompts/{id}/versions/{n}, prompts/{id}@{alias} or "
                   "prompts/{id} for the newest")
      ->required();
  command
      ->add_option("directory", options->directory,
                   "The new directory; nothing is written unless every digest "
                   "is right")
      ->required();
  command->footer(
      "Example:\n"
      "  attune prompts export banking77-intent@latest ./banking77-prompt");
  command->callback([&session, options] {
    session.action = [&session, options] { return Export(session, *options); };
  });
}

void AddDelete(CLI::App& prompts, Session& session) {
  const auto options = std::make_shared<DeleteOptions>();
  CLI::App* command =
      prompts.add_subcommand("delete", "Remove a prompt or one version");
  command
      ->add_option("name", options->name,
                   "prompts/{id} or prompts/{id}/versions/{n}")
      ->required();
  command->add_flag("--force", options->force,
                    "Remove a prompt with its versions and aliases");
  command->footer(
      "Examples:\n"
      "  attune prompts delete prompts/banking77-intent/versions/1\n"
      "  attune prompts delete banking77-intent --force");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return DeletePrompt(session, *options);
    };
  });
}

void AddOnPrompt(CLI::App& prompts, Session& session, const std::string& verb,
                 const std::string& description, const std::string& example,
                 absl::StatusOr<int> (*run)(Session&, const std::string&)) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = prompts.add_subcommand(verb, description);
  command->add_option("name", *name, "The prompt: an id or prompts/{id}")
      ->required();
  command->footer("Example:\n  attune prompts " + verb + " " + example);
  command->callback([&session, name, run] {
    session.action = [&session, name, run] { return run(session, *name); };
  });
}

}  // namespace

void AddPromptsCommands(CLI::App& root, Session& session) {
  CLI::App* prompts =
      root.add_subcommand("prompts", "Tuned prompts and their versions");
  prompts->require_subcommand(1);
  CLI::App* list = prompts->add_subcommand("list", "List prompts by name");
  list->footer("Example:\n  attune prompts list -o json");
  list->callback([&session] {
    session.action = [&session] { return ListPrompts(session); };
  });
  AddOnPrompt(*prompts, session, "get",
              "Show a prompt, or a version (prompts/{id}/versions/{n}, "
              "prompts/{id}@{alias})",
              "banking77-intent@latest", GetPrompt);
  AddOnPrompt(*prompts, session, "versions",
              "List the versions of a prompt, newest first", "banking77-intent",
              Versions);
  AddPromptReport(*prompts, session);
  AddPromote(*prompts, session);
  AddRemoveAlias(*prompts, session);
  AddExport(*prompts, session);
  AddDelete(*prompts, session);
}

}  // namespace attune::client
