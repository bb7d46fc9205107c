#include "client/commands/status.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_join.h"
#include "client/commands/durations.h"
#include "client/commands/job_progress.h"
#include "client/commands/names.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/table.h"
#include "nlohmann/json.hpp"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

struct StatusOptions {
  std::string wait = "0s";
  bool worker_ready = false;
};

// What a look at the server showed.
struct Overview {
  bool serving = false;
  std::set<std::string> workers;
  std::vector<std::string> models;
  std::map<std::string, int64_t> jobs;  // by state
};

absl::StatusOr<Overview> LookAtWorkers(Connection& connection) {
  Overview overview;
  ATTUNE_ASSIGN_OR_RETURN(overview.serving, connection.CheckHealth());
  ATTUNE_RETURN_IF_ERROR(ForEachPage(
      v1::ListModelsRequest(),
      [&](const auto& request) {
        return connection.Call(Repeat::kUnsafe, connection.models(),
                               &v1::ModelService::Stub::ListModels, request);
      },
      [&](const v1::ListModelsResponse& page) {
        for (const v1::Model& model : page.models()) {
          overview.models.push_back(ShortName(model.name()));
          for (const v1::ModelHolder& holder : model.holders()) {
            overview.workers.insert(holder.worker());
          }
        }
        return true;
      }));
  return overview;
}

absl::Status CountJobs(Connection& connection, Overview& overview) {
  v1::ListTuningJobsRequest first;
  first.set_page_size(1000);
  return ForEachPage(
      first,
      [&](const auto& request) {
        return connection.Call(Repeat::kSafe, connection.tuning(),
                               &v1::TuningService::Stub::ListTuningJobs,
                               request);
      },
      [&](const v1::ListTuningJobsResponse& page) {
        for (const v1::TuningJob& job : page.tuning_jobs()) {
          ++overview.jobs[StateName(job.state())];
        }
        return true;
      });
}

// Looks until the server (and a worker, if asked for) is ready or the time is
// up; the last look counts.
absl::StatusOr<Overview> LookUntilReady(Session& session,
                                        const StatusOptions& options,
                                        absl::Duration wait, bool& ready) {
  const absl::Duration end = session.clock().Monotonic() + wait;
  while (true) {
    absl::StatusOr<Overview> overview = LookAtWorkers(session.connection());
    ready = overview.ok() && overview->serving &&
            (!options.worker_ready || !overview->workers.empty());
    const bool again = overview.ok() ||
                       absl::IsUnavailable(overview.status()) ||
                       absl::IsDeadlineExceeded(overview.status());
    if (ready || !again || session.clock().Monotonic() >= end) return overview;
    const absl::Duration pause = session.connection_options.first_backoff;
    if (!session.interrupt().WaitFor(pause)) return InterruptedError();
  }
}

std::string JobsText(const Overview& overview) {
  std::string text;
  for (const auto& [state, count] : overview.jobs) {
    text += Concat(text.empty() ? "" : ", ", FormatCount(count), " ", state);
  }
  return text.empty() ? "none" : text;
}

void PrintOverview(const Overview& overview, bool ready, Session& session) {
  const std::string& server = session.connection_options.server;
  if (session.json()) {
    const nlohmann::ordered_json json = {{"server", server},
                                         {"serving", overview.serving},
                                         {"ready", ready},
                                         {"workers", overview.workers},
                                         {"models", overview.models},
                                         {"jobs", overview.jobs},
                                         {"clientVersion", ATTUNE_VERSION}};
    session.out() << json.dump(2) << '\n';
    return;
  }
  Details details;
  details.Add("server",
              Concat(server, overview.serving ? ", serving" : ", not serving"));
  details.Add("workers", overview.workers.empty()
                             ? std::string("none")
                             : absl::StrJoin(overview.workers, ", "));
  details.Add("models", overview.models.empty()
                            ? std::string("none")
                            : absl::StrJoin(overview.models, ", "));
  details.Add("jobs", JobsText(overview));
  details.Add("client", ATTUNE_VERSION);
  details.Print(session.console().out);
}

absl::StatusOr<int> Status(Session& session, const StatusOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const absl::Duration wait,
                          ParseDurationFlag("--wait", options.wait));
  bool ready = false;
  ATTUNE_ASSIGN_OR_RETURN(Overview overview,
                          LookUntilReady(session, options, wait, ready));
  ATTUNE_RETURN_IF_ERROR(CountJobs(session.connection(), overview));
  PrintOverview(overview, ready, session);
  if (!ready) {
    session.err() << (overview.serving ? "no live worker\n"
                                       : "the server is not serving\n");
  }
  return ready ? kExitOk : kExitUnavailable;
}

}  // namespace

void AddStatusCommand(CLI::App& root, Session& session) {
  const auto options = std::make_shared<StatusOptions>();
  CLI::App* command = root.add_subcommand(
      "status", "Show the server, its workers, models and jobs");
  command
      ->add_option("--wait", options->wait,
                   "Wait this long until it is ready, e.g. 60s")
      ->capture_default_str();
  command->add_flag("--worker-ready", options->worker_ready,
                    "Ready means that a worker with a model is there, too");
  command->footer(
      "Examples:\n"
      "  attune status\n"
      "  attune status --wait 60s --worker-ready && attune jobs create ...\n"
      "Returns 4 when it is not ready. Workers without a model are not seen.");
  command->callback([&session, options] {
    session.action = [&session, options] { return Status(session, *options); };
  });
}

}  // namespace attune::client
