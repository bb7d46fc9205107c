#include "client/commands/jobs.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "client/commands/document.h"
#include "client/commands/files.h"
#include "client/commands/job_file.h"
#include "client/commands/job_preflight.h"
#include "client/commands/job_progress.h"
#include "client/commands/job_report.h"
#include "client/commands/job_watch.h"
#include "client/commands/names.h"
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

using Jobs = v1::TuningService::Stub;

// How much of a job's run a command shows.
enum class Follow { kNo, kSilently, kVisibly };

struct CreateJobOptions {
  std::string file;
  std::string id;
  std::string request_id;
  std::vector<std::string> settings;
  bool validate_only = false;
  bool watch = false;
  bool wait = false;
};

struct ListOptions {
  std::string state;
  std::string prompt;
  std::string filter;
  int limit = 50;
};

Follow FollowOf(bool watch, bool wait) {
  return watch ? Follow::kVisibly : wait ? Follow::kSilently : Follow::kNo;
}

std::unique_ptr<JobObserver> ObserverFor(Session& session, Follow follow) {
  Console& console = session.console();
  if (follow == Follow::kSilently) return MakeSilentObserver();
  if (session.json()) return MakeJsonObserver(console.out);
  if (console.err.terminal) {
    return MakeBarObserver(console.err, console.unicode, session.clock());
  }
  return MakeLineObserver(console.err);
}

// Follows a job to its end and reports it. The exit code says how it ended.
absl::StatusOr<int> FollowJob(Session& session, const std::string& name,
                              int64_t after_sequence, Follow follow) {
  absl::StatusOr<v1::TuningJob> job = absl::UnknownError("not watched");
  {
    const auto observer = ObserverFor(session, follow);
    job = WatchJob(session.connection(), session.clock(), name, after_sequence,
                   *observer);
  }
  if (!job.ok() && IsInterrupted(job.status())) {
    session.err() << name << " goes on.\n  watch it again: attune jobs watch "
                  << ShortName(name) << "\n  stop it:        "
                  << "attune jobs cancel " << ShortName(name) << '\n';
  }
  if (!job.ok()) return job.status();
  if (!session.json()) {
    PrintJobEnd(*job, session.console());
  } else if (follow == Follow::kSilently) {
    session.out() << ToJson(*job);
  }
  return job->state() == v1::TuningJob::STATE_SUCCEEDED ? kExitOk : kExitFailed;
}

// Prints a job after a call that changed it, and follows it if asked to.
absl::StatusOr<int> ShowChanged(Session& session, const v1::TuningJob& job,
                                Follow follow, int64_t after_sequence) {
  if (follow != Follow::kNo) {
    if (!session.json() && follow == Follow::kVisibly) {
      session.err() << OneLine(job.name()) << '\n';
    }
    return FollowJob(session, job.name(), after_sequence, follow);
  }
  if (session.json()) {
    session.out() << ToJson(job);
  } else {
    session.out() << OneLine(job.name()) << ' ' << StateName(job.state())
                  << '\n';
  }
  return kExitOk;
}

absl::StatusOr<int> CreateJob(Session& session,
                              const CreateJobOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string text,
      ReadInput(options.file, session.in(), kMaxDocumentBytes));
  ATTUNE_ASSIGN_OR_RETURN(v1::CreateTuningJobRequest request,
                          ParseJobFile(text, options.file, options.settings));
  if (!options.id.empty()) request.set_tuning_job_id(ShortName(options.id));
  if (!options.request_id.empty()) request.set_request_id(options.request_id);
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  if (options.validate_only) request.set_validate_only(true);
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::TuningJob job,
                          connection.Call(Repeat::kSafe, connection.tuning(),
                                          &Jobs::CreateTuningJob, request));
  if (request.validate_only()) {
    if (session.json()) {
      session.out() << ToJson(job);
    } else {
      session.out() << "the job is valid; nothing was stored\n";
    }
    return kExitOk;
  }
  return ShowChanged(session, job, FollowOf(options.watch, options.wait),
                     /*after_sequence=*/0);
}

absl::StatusOr<v1::TuningJob> FetchJob(Session& session,
                                       const std::string& name) {
  v1::GetTuningJobRequest request;
  request.set_name(JobName(name));
  Connection& connection = session.connection();
  return connection.Call(Repeat::kSafe, connection.tuning(),
                         &Jobs::GetTuningJob, request);
}

absl::StatusOr<int> GetJob(Session& session, const std::string& name) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::TuningJob job, FetchJob(session, name));
  if (session.json()) {
    session.out() << ToJson(job);
  } else {
    PrintJobDetails(job, session.console());
  }
  return kExitOk;
}

std::string FilterOf(const ListOptions& options) {
  std::string filter = options.filter;
  const auto add = [&filter](std::string_view field, const std::string& value) {
    if (!value.empty()) {
      filter +=
          Concat(filter.empty() ? "" : " AND ", field, " = \"", value, "\"");
    }
  };
  add("state", options.state);
  add("prompt", options.prompt.empty() ? "" : PromptName(options.prompt));
  return filter;
}

std::string Took(const v1::TuningJob& job, absl::Time now) {
  if (!job.has_start_time()) return "-";
  const absl::Time end = job.has_end_time() ? ToTime(job.end_time()) : now;
  return ShortDuration(end - ToTime(job.start_time()));
}

absl::StatusOr<int> ListJobs(Session& session, const ListOptions& options) {
  v1::ListTuningJobsRequest request;
  request.set_filter(FilterOf(options));
  request.set_page_size(options.limit);
  Connection& connection = session.connection();
  std::vector<v1::TuningJob> jobs;
  ATTUNE_RETURN_IF_ERROR(ForEachPage(
      request,
      [&](const auto& page_request) {
        return connection.Call(Repeat::kSafe, connection.tuning(),
                               &Jobs::ListTuningJobs, page_request);
      },
      [&](v1::ListTuningJobsResponse& page) {
        for (v1::TuningJob& job : *page.mutable_tuning_jobs()) {
          if (std::cmp_less(jobs.size(), options.limit)) {
            jobs.push_back(std::move(job));
          }
        }
        return std::cmp_less(jobs.size(), options.limit);
      }));
  if (session.json()) {
    session.out() << ToJsonArrayOf(jobs);
    return kExitOk;
  }
  Table table({{"NAME"},
               {"STATE"},
               {"PROMPT"},
               {"BASE MODEL"},
               {"ATTEMPT", Table::Align::kRight},
               {"CREATED", Table::Align::kRight},
               {"TOOK", Table::Align::kRight}});
  const absl::Time now = session.clock().Now();
  for (const v1::TuningJob& job : jobs) {
    table.Add({ShortName(job.name()), StateName(job.state()),
               ShortName(job.spec().prompt()),
               ShortName(job.spec().base_model()),
               std::to_string(job.attempt()), FormatAge(job.create_time(), now),
               Took(job, now)});
  }
  table.Print(session.console().out);
  return kExitOk;
}

absl::StatusOr<int> Cancel(Session& session, const std::string& name) {
  v1::CancelTuningJobRequest request;
  request.set_name(JobName(name));
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(const v1::TuningJob job,
                          connection.Call(Repeat::kSafe, connection.tuning(),
                                          &Jobs::CancelTuningJob, request));
  return ShowChanged(session, job, Follow::kNo, 0);
}

absl::StatusOr<int> RetryJob(Session& session, const std::string& name,
                             Follow follow) {
  v1::RetryTuningJobRequest request;
  request.set_name(JobName(name));
  Connection& connection = session.connection();
  // Only what happens from here on is news.
  ATTUNE_ASSIGN_OR_RETURN(const v1::TuningJob before, FetchJob(session, name));
  ATTUNE_ASSIGN_OR_RETURN(const v1::TuningJob job,
                          connection.Call(Repeat::kUnsafe, connection.tuning(),
                                          &Jobs::RetryTuningJob, request));
  return ShowChanged(session, job, follow, before.last_sequence());
}

absl::StatusOr<int> DeleteJob(Session& session, const std::string& name) {
  v1::DeleteTuningJobRequest request;
  request.set_name(JobName(name));
  Connection& connection = session.connection();
  ATTUNE_RETURN_IF_ERROR(connection
                             .Call(Repeat::kUnsafe, connection.tuning(),
                                   &Jobs::DeleteTuningJob, request)
                             .status());
  session.err() << request.name() << " deleted\n";
  return kExitOk;
}

void AddCreateJob(CLI::App& jobs, Session& session) {
  const auto options = std::make_shared<CreateJobOptions>();
  CLI::App* command = jobs.add_subcommand("create", "Create a tuning job");
  command
      ->add_option("-f,--file", options->file,
                   "Job file: a TuningJob in YAML or JSON; '-' is standard "
                   "input")
      ->required();
  command->add_option("--id", options->id,
                      "The job's id (default: the server makes one)");
  command->add_option("--request-id", options->request_id,
                      "A UUID: the same one creates the job only once "
                      "(default: a new one)");
  command
      ->add_option("--set", options->settings,
                   "Replace a field of the file: path=value, many times")
      ->allow_extra_args(false);
  command->add_flag("--validate-only", options->validate_only,
                    "Make all checks and store nothing");
  command->add_flag("--watch", options->watch,
                    "Show progress until the job ends, then its report");
  command->add_flag("--wait", options->wait,
                    "Wait until the job ends, then show its report");
  command->footer(
      "Examples:\n"
      "  attune jobs create -f client/examples/banking77-intent.yaml --watch\n"
      "  attune jobs create -f job.yaml --id first-try "
      "--set spec.training.max_steps=100\n"
      "  attune jobs create -f job.json --validate-only\n"
      "Ctrl-C stops watching; the job goes on.");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return CreateJob(session, *options);
    };
  });
}

void AddList(CLI::App& jobs, Session& session) {
  const auto options = std::make_shared<ListOptions>();
  CLI::App* command = jobs.add_subcommand("list", "List jobs, newest first");
  command->add_option("--state", options->state,
                      "Only jobs in this state, e.g. RUNNING");
  command->add_option("--prompt", options->prompt,
                      "Only jobs that tune this prompt");
  command->add_option("--filter", options->filter,
                      "Conditions of the API, e.g. 'create_time > "
                      "\"2026-01-31T00:00:00Z\"'");
  command->add_option("--limit", options->limit, "The most jobs to list")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  attune jobs list\n"
      "  attune jobs list --state FAILED --prompt banking77-intent\n"
      "  attune jobs list -o json | jq -r '.[].name'");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return ListJobs(session, *options);
    };
  });
}

void AddWatch(CLI::App& jobs, Session& session) {
  struct Options {
    std::string name;
    int64_t after = 0;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      jobs.add_subcommand("watch", "Follow a job until it ends");
  command->add_option("name", options->name, "The job")->required();
  command
      ->add_option("--after", options->after,
                   "Leave out the events up to this sequence number")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  attune jobs watch first-try\n"
      "  attune jobs watch first-try -o json    (an event a line)\n"
      "Ctrl-C stops watching; the job goes on.");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return FollowJob(session, JobName(options->name), options->after,
                       Follow::kVisibly);
    };
  });
}

void AddRetry(CLI::App& jobs, Session& session) {
  struct Options {
    std::string name;
    bool watch = false;
    bool wait = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = jobs.add_subcommand(
      "retry", "Queue a failed or cancelled job again, from its checkpoint");
  command->add_option("name", options->name, "The job")->required();
  command->add_flag("--watch", options->watch, "Show progress until it ends");
  command->add_flag("--wait", options->wait, "Wait until it ends");
  command->footer("Example:\n  attune jobs retry first-try --watch");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return RetryJob(session, options->name,
                      FollowOf(options->watch, options->wait));
    };
  });
}

// A command whose only argument is a job.
void AddOnJob(CLI::App& jobs, Session& session, const std::string& verb,
              const std::string& description,
              absl::StatusOr<int> (*run)(Session&, const std::string&)) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = jobs.add_subcommand(verb, description);
  command->add_option("name", *name, "The job: an id or tuningJobs/{id}")
      ->required();
  command->footer("Example:\n  attune jobs " + verb + " first-try");
  command->callback([&session, name, run] {
    session.action = [&session, name, run] { return run(session, *name); };
  });
}

}  // namespace

void AddJobsCommands(CLI::App& root, Session& session) {
  CLI::App* jobs = root.add_subcommand("jobs", "Tuning jobs");
  jobs->require_subcommand(1);
  AddCreateJob(*jobs, session);
  AddJobPreflight(*jobs, session);
  AddOnJob(*jobs, session, "get", "Show a job", GetJob);
  AddList(*jobs, session);
  AddWatch(*jobs, session);
  AddOnJob(*jobs, session, "cancel", "Ask a job to stop at its next step",
           Cancel);
  AddRetry(*jobs, session);
  AddOnJob(*jobs, session, "delete",
           "Remove a finished job; its prompt version stays", DeleteJob);
}

}  // namespace attune::client
