#include "client/commands/job_report.h"

#include <map>
#include <string>

#include "client/commands/job_progress.h"
#include "client/commands/spec_text.h"
#include "client/commands/tuning_report.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "google/rpc/status.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

absl::Duration Length(const google::protobuf::Timestamp& from,
                      const google::protobuf::Timestamp& to) {
  return ToTime(to) - ToTime(from);
}

void PrintSuccess(const v1::TuningJob& job, Console& console) {
  std::ostream& out = *console.out.stream;
  out << console.out.Paint(Style::kGreen, "SUCCEEDED") << ' '
      << OneLine(job.name());
  if (job.has_start_time() && job.has_end_time()) {
    out << " in " << ShortDuration(Length(job.start_time(), job.end_time()));
  }
  out << "\n\n";
  if (job.has_report()) {
    PrintTuningReport(job.report(), console);
    out << '\n';
  }
  out << "version  "
      << console.out.Paint(Style::kBold, OneLine(job.prompt_version()))
      << "\ntry it   " << ExampleCall(job.spec().prompt(), job.spec().task())
      << '\n';
}

}  // namespace

void PrintJobEnd(const v1::TuningJob& job, Console& console) {
  if (job.state() == v1::TuningJob::STATE_SUCCEEDED) {
    PrintSuccess(job, console);
    return;
  }
  if (job.state() == v1::TuningJob::STATE_FAILED) {
    PrintError(
        WithContext(FromRpcStatus(job.error()), Concat(job.name(), " failed")),
        console.err);
    return;
  }
  *console.out.stream << OneLine(job.name()) << ' ' << StateName(job.state())
                      << '\n';
}

void PrintJobDetails(const v1::TuningJob& job, Console& console) {
  Details details;
  details.Add("name", job.name());
  details.AddIf("display name", job.display_name());
  details.Add("state", StateName(job.state()));
  if (job.has_progress() && !job.has_end_time()) {
    const ProgressView view = ViewOf(job.progress());
    std::string progress = view.phase;
    for (const std::string& detail : view.details) {
      progress += Concat("  ", detail);
    }
    details.Add("progress", progress);
  }
  const v1::TuningJobSpec& spec =
      job.has_resolved_spec() ? job.resolved_spec() : job.spec();
  details.Add("prompt", spec.prompt());
  details.Add("base model", spec.base_model());
  details.Add("task", TaskText(spec.task()));
  details.Add("method", MethodText(spec.method()));
  if (job.has_snapshot()) details.Add("data", SnapshotText(job.snapshot()));
  details.AddIf("attempt",
                job.attempt() == 0 ? "" : std::to_string(job.attempt()));
  details.AddIf("worker", job.worker());
  details.Add("created", FormatTime(job.create_time()));
  if (job.has_start_time()) {
    details.Add("started", FormatTime(job.start_time()));
  }
  if (job.has_end_time()) details.Add("ended", FormatTime(job.end_time()));
  details.AddIf("version", job.prompt_version());
  for (const auto& [key, value] : std::map<std::string, std::string>(
           job.annotations().begin(), job.annotations().end())) {
    details.Add("note " + key, value);
  }
  details.Print(console.out);
  if (job.has_report()) {
    *console.out.stream << '\n';
    PrintTuningReport(job.report(), console);
  }
  if (job.has_error()) {
    *console.out.stream << '\n';
    PrintError(FromRpcStatus(job.error()), console.out);
  }
}

}  // namespace attune::client
