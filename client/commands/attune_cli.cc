#include "client/commands/attune_cli.h"

#include <algorithm>
#include <exception>
#include <string_view>

#include "CLI/CLI.hpp"
#include "client/commands/datasets.h"
#include "client/commands/durations.h"
#include "client/commands/evaluate.h"
#include "client/commands/generate.h"
#include "client/commands/jobs.h"
#include "client/commands/models.h"
#include "client/commands/predict.h"
#include "client/commands/prompts.h"
#include "client/commands/status.h"
#include "client/output/error_text.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr char kFooter[] =
    "Names may be short: banking77-intent or prompts/banking77-intent.\n"
    "--server, --timeout and -o may stand after any command.\n"
    "\n"
    "Exit codes:\n"
    "  0    done\n"
    "  1    the job failed or was cancelled, a preflight found errors, an "
    "input has no answer, an augmentation kept no text, data is damaged\n"
    "  2    flags, files or the request are wrong\n"
    "  3    something is missing, exists already, or is in the wrong state\n"
    "  4    the server cannot be reached, is busy or not ready: try again\n"
    "  130  interrupted\n"
    "\n"
    "Environment: ATTUNE_SERVER is the default of --server; NO_COLOR switches "
    "colours off.\n"
    "\n"
    "Examples:\n"
    "  attune jobs create -f client/examples/banking77-intent.yaml --watch\n"
    "  attune predict banking77-intent --text \"Where is my card?\"\n"
    "  attune prompts versions banking77-intent";

void AddGlobalOptions(CLI::App& app, Session& session, std::string& timeout) {
  app.add_option("--server", session.connection_options.server,
                 "Address of attune-server, host:port")
      ->envname("ATTUNE_SERVER")
      ->capture_default_str();
  app.add_option("--timeout", timeout,
                 "How long each call may take, e.g. 90s (default: what suits "
                 "the call; a watch has none)");
  app.add_option("-o,--output", session.output_format,
                 "table, or json: proto JSON, lists as arrays, streams a line "
                 "each")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.set_version_flag("--version", std::string("attune ") + ATTUNE_VERSION);
}

absl::StatusOr<int> RunAction(Session& session, const std::string& timeout) {
  if (!timeout.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(session.connection_options.timeout,
                            ParseDurationFlag("--timeout", timeout));
  }
  return session.action();
}

// "attune jobs create" for the command that was being read.
std::string CommandRead(const CLI::App& app) {
  const CLI::App* command = &app;
  std::string text = "attune";
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    text += " " + command->get_name();
  }
  return text;
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error,
                     Session& session) {
  if (error.get_exit_code() == 0) {  // --help or --version
    return app.exit(error, session.out(), session.err());
  }
  PrintError(absl::InvalidArgumentError(error.what()), session.console().err);
  session.err() << "usage: " << CommandRead(app) << " --help\n";
  return kExitUsage;
}

}  // namespace

int RunAttune(std::vector<std::string> arguments, Session& session) {
  CLI::App app("Tunes prompts for frozen language models and asks them.",
               "attune");
  std::string timeout;
  app.require_subcommand(1);
  app.fallthrough();
  AddGlobalOptions(app, session, timeout);
  AddJobsCommands(app, session);
  AddDatasetsCommands(app, session);
  AddPromptsCommands(app, session);
  AddPredictCommand(app, session);
  AddGenerateCommand(app, session);
  AddEvaluateCommand(app, session);
  AddModelsCommands(app, session);
  AddStatusCommand(app, session);
  app.footer(kFooter);
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return ReportParseError(app, error, session);
  } catch (const std::exception& error) {
    PrintError(absl::InternalError(error.what()), session.console().err);
    return kExitFailed;
  }
  const absl::StatusOr<int> code = RunAction(session, timeout);
  session.out().flush();
  if (code.ok()) return *code;
  if (IsInterrupted(code.status())) {
    session.err() << "interrupted\n";
    return kExitInterrupted;
  }
  PrintError(code.status(), session.console().err);
  return ExitCodeOf(code.status());
}

}  // namespace attune::client
