#include "client/commands/prompt_report.h"

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "client/commands/files.h"
#include "client/commands/names.h"
#include "client/commands/report_page.h"
#include "client/commands/report_tables.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/text_width.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

struct ReportOptions {
  std::string name;
  std::string page;  // a path, "-", or empty for tables
};

absl::StatusOr<v1::PromptVersion> FetchVersion(Session& session,
                                               const std::string& name) {
  v1::GetPromptVersionRequest request;
  request.set_name(PromptName(name));
  if (!NamesVersion(name)) request.set_name(request.name() + "@latest");
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(
      v1::PromptVersion version,
      connection.Call(Repeat::kSafe, connection.prompts(),
                      &v1::PromptService::Stub::GetPromptVersion, request));
  if (!version.has_report()) {
    return absl::FailedPreconditionError(
        Concat(version.name(),
               " has no report: it was not made by a tuning job; `attune "
               "prompts get` shows what there is"));
  }
  return version;
}

absl::StatusOr<int> Report(Session& session, const ReportOptions& options) {
  if (options.page == "-" && session.json()) {
    return absl::InvalidArgumentError(
        "--html - and -o json both write to standard output: name a file for "
        "the page");
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::PromptVersion version,
                          FetchVersion(session, options.name));
  if (options.page == "-") {
    session.out() << ReportPage(version);
    return kExitOk;
  }
  const std::string page = options.page.empty() ? "" : ReportPage(version);
  if (!page.empty()) {
    // Keeps the process from ending on Ctrl-C before the file is in its place.
    const auto writing = session.interrupt().OnRaise([] {});
    ATTUNE_RETURN_IF_ERROR(WriteOutput(options.page, page));
  }
  if (session.json()) {
    session.out() << ToJson(version.report());
  } else if (page.empty()) {
    PrintReport(version, session.console());
  } else {
    session.out() << OneLine(version.name()) << " -> " << options.page << " ("
                  << FormatBytes(static_cast<int64_t>(page.size())) << ")\n";
  }
  return kExitOk;
}

}  // namespace

void AddPromptReport(CLI::App& prompts, Session& session) {
  const auto options = std::make_shared<ReportOptions>();
  CLI::App* command = prompts.add_subcommand(
      "report", "Show how a version was measured, against the base");
  command
      ->add_option("version", options->name,
                   "prompts/{id}/versions/{n}, prompts/{id}@{alias} or "
                   "prompts/{id} for the newest")
      ->required();
  command->add_option("--html", options->page,
                      "Write a page with plots, which needs no other file, to "
                      "this file, or to standard output for -");
  command->footer(
      "Examples:\n"
      "  attune prompts report banking77-intent\n"
      "  attune prompts report banking77-intent@prod --html report.html");
  command->callback([&session, options] {
    session.action = [&session, options] { return Report(session, *options); };
  });
}

}  // namespace attune::client
