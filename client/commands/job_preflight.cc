#include "client/commands/job_preflight.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "client/commands/data_summary.h"
#include "client/commands/document.h"
#include "client/commands/files.h"
#include "client/commands/job_file.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using v1::PreflightFinding;

// More than the server takes by itself.
constexpr absl::Duration kPreflightTimeout = absl::Seconds(150);
constexpr int kMaxSamples = 20;

struct PreflightOptions {
  std::string file;
  std::vector<std::string> settings;
  int num_samples = 0;
};

// "spec.task.template, row 12 and 4 more, field text"
std::string PlaceOf(const PreflightFinding& finding) {
  std::string place = finding.field();
  const auto add = [&place](std::string_view part) {
    place += Concat(place.empty() ? "" : ", ", part);
  };
  if (finding.row() > 0) {
    add(Concat(
        "row ", finding.row(),
        finding.num_rows() > 1
            ? Concat(" and ", FormatCount(finding.num_rows() - 1), " more")
            : ""));
  }
  if (!finding.row_field().empty()) {
    add(Concat("field ", finding.row_field()));
  }
  return place;
}

void PrintFindings(const v1::PreflightTuningJobResponse& response,
                   Stream& out) {
  for (const PreflightFinding& finding : response.findings()) {
    const bool error = finding.severity() == PreflightFinding::SEVERITY_ERROR;
    const std::string place = PlaceOf(finding);
    *out.stream << out.Paint(error ? Style::kRed : Style::kYellow,
                             error ? "error:  " : "warning:")
                << ' ' << OneLine(place) << (place.empty() ? "" : ": ")
                << OneLine(finding.message());
    if (!finding.reason().empty()) {
      *out.stream << " (" << OneLine(finding.reason()) << ')';
    }
    *out.stream << '\n';
  }
  const int64_t found = response.num_errors() + response.num_warnings();
  if (found > response.findings_size()) {
    *out.stream << "and "
                << CountedWord(found - response.findings_size(), "finding")
                << " more\n";
  }
}

void PrintTitle(std::string_view title, Stream& out) {
  *out.stream << '\n' << out.Paint(Style::kBold, title) << '\n';
}

void PrintCost(const v1::TuningCost& cost, Stream& out) {
  PrintTitle("cost, at most", out);
  if (cost.num_trained_parameters() == 0) {
    *out.stream << "nothing is trained\n";
    return;
  }
  Details details;
  details.Add("trained", CountedWord(cost.num_trained_parameters(), "number"));
  details.Add("version", FormatBytes(cost.artifact_bytes()));
  details.Add("memory", Concat(FormatBytes(cost.training_memory_bytes()),
                               " beside the model (estimated)"));
  details.Add("steps", FormatCount(cost.max_steps()));
  details.Add("tokens", FormatCount(cost.num_training_tokens()));
  details.Add("time",
              Concat(ShortDuration(absl::Seconds(cost.training_seconds())),
                     " of training, by one step on that worker"));
  details.Print(out);
}

absl::StatusOr<int> RunPreflight(Session& session,
                                 const PreflightOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string text,
      ReadInput(options.file, session.in(), kMaxDocumentBytes));
  ATTUNE_ASSIGN_OR_RETURN(v1::CreateTuningJobRequest job,
                          ParseJobFile(text, options.file, options.settings));
  v1::PreflightTuningJobRequest request;
  request.mutable_spec()->Swap(job.mutable_tuning_job()->mutable_spec());
  request.set_num_samples(options.num_samples);
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(
      const v1::PreflightTuningJobResponse response,
      connection.Call(Repeat::kSafe, connection.tuning(),
                      &v1::TuningService::Stub::PreflightTuningJob, request,
                      kPreflightTimeout));
  if (session.json()) {
    session.out() << ToJson(response);
  } else {
    PrintPreflight(response, session.console());
  }
  return response.num_errors() > 0 ? kExitFailed : kExitOk;
}

}  // namespace

void PrintPreflight(const v1::PreflightTuningJobResponse& response,
                    Console& console) {
  Stream& out = console.out;
  PrintFindings(response, out);
  *out.stream << CountedWord(response.num_errors(), "error") << ", "
              << CountedWord(response.num_warnings(), "warning")
              << (response.num_errors() == 0 ? ": the job can be created" : "")
              << '\n';
  if (response.splits_size() > 0) {
    PrintTitle("data", out);
    PrintSplits(response.splits(), out);
    PrintLabelBalance(response.splits(), out);
  }
  PrintSamples(response.samples(), out);
  if (response.has_cost()) PrintCost(response.cost(), out);
}

void AddJobPreflight(CLI::App& jobs, Session& session) {
  const auto options = std::make_shared<PreflightOptions>();
  CLI::App* command = jobs.add_subcommand(
      "preflight", "Show what a job would do and all that is wrong with it");
  command
      ->add_option("-f,--file", options->file,
                   "Job file, as of `attune jobs create`; '-' is standard "
                   "input")
      ->required();
  command
      ->add_option("--set", options->settings,
                   "Replace a field of the file: path=value, many times")
      ->allow_extra_args(false);
  command
      ->add_option("--samples", options->num_samples,
                   "Rows of each split that are shown as the model sees them "
                   "(default: 3)")
      ->check(CLI::Range(1, kMaxSamples));
  command->footer(
      "Nothing is stored. Exit code 1 when there are errors.\n"
      "Examples:\n"
      "  attune jobs preflight -f client/examples/banking77-intent.yaml\n"
      "  attune jobs preflight -f job.yaml --samples 10 "
      "--set spec.method.lora.rank=4\n"
      "  attune jobs preflight -f job.yaml -o json | jq '.findings[]'");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return RunPreflight(session, *options);
    };
  });
}

}  // namespace attune::client
