#include "client/commands/job_report.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/commands/job_progress.h"
#include "client/commands/names.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/sparkline.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "google/rpc/status.pb.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

constexpr int kMaxCurveColumns = 40;

// The metrics of `report` and its loss, in a steady order.
std::map<std::string, double> MetricsOf(const v1::EvaluationReport& report) {
  std::map<std::string, double> metrics(report.metrics().begin(),
                                        report.metrics().end());
  metrics["loss"] = report.loss();
  return metrics;
}

std::string LowerWords(std::string_view name) {
  std::string words;
  for (const char c : name) {
    words += c == '_' ? ' ' : static_cast<char>(std::tolower(c));
  }
  return words;
}

absl::Duration Length(const google::protobuf::Timestamp& from,
                      const google::protobuf::Timestamp& to) {
  return ToTime(to) - ToTime(from);
}

// One line for each curve that tells how training went.
void PrintCurves(const v1::TuningReport& report, Console& console) {
  std::vector<std::pair<std::string, const v1::TrainingSeries*>> curves;
  for (const v1::TrainingSeries& series : report.series()) {
    if (series.values_size() < 2) continue;
    if (series.name() == "loss") curves.emplace_back("training loss", &series);
    if (series.name().starts_with("validation_")) {
      curves.emplace_back(OneLine(LowerWords(series.name())), &series);
    }
  }
  int title_columns = 0;
  int plot_columns = 0;
  for (const auto& [title, series] : curves) {
    title_columns = std::max(title_columns, DisplayWidth(title));
    plot_columns = std::max(plot_columns,
                            std::min(kMaxCurveColumns, series->values_size()));
  }
  const bool unicode = console.unicode && console.out.terminal;
  for (const auto& [title, series] : curves) {
    const std::string metric =
        series->name().substr(series->name().find('_') + 1);
    const std::vector<double> values(series->values().begin(),
                                     series->values().end());
    *console.out.stream << PadRight(title, title_columns) << "  "
                        << PadRight(
                               Sparkline(values, kMaxCurveColumns, unicode),
                               plot_columns)
                        << "  " << FormatMetric(metric, values.front())
                        << " -> " << FormatMetric(metric, values.back())
                        << '\n';
  }
}

// The first name in "{{ name ... }}", or "text".
std::string FirstField(std::string_view source) {
  size_t at = source.find("{{");
  if (at == source.npos) return "text";
  at = source.find_first_not_of("- \t\n", at + 2);
  std::string name;
  for (; at < source.size(); ++at) {
    if (!std::isalnum(static_cast<unsigned char>(source[at])) &&
        source[at] != '_') {
      break;
    }
    name += source[at];
  }
  return name.empty() ? "text" : name;
}

std::string StepsText(const v1::TuningReport& report) {
  if (report.stop_reason() == v1::TuningReport::STOP_REASON_NOTHING_TO_TRAIN) {
    return ", nothing trained";
  }
  return Concat(", after ", FormatCount(report.num_steps()),
                " steps (best: step ", FormatCount(report.best_step()), ")");
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

void PrintTuningReport(const v1::TuningReport& report, Console& console) {
  Stream& out = console.out;
  const auto before = MetricsOf(report.before());
  const auto after = MetricsOf(report.after());
  if (!report.has_before()) {
    Table table({{"METRIC"}, {"TUNED", Table::Align::kRight}});
    for (const auto& [metric, value] : after) {
      table.Add({metric, FormatMetric(metric, value)});
    }
    table.Print(out);
  } else {
    Table table({{"METRIC"},
                 {"BEFORE", Table::Align::kRight},
                 {"AFTER", Table::Align::kRight},
                 {"CHANGE", Table::Align::kRight}});
    for (const auto& [metric, value] : after) {
      const auto base = before.find(metric);
      if (base == before.end()) {
        table.Add({metric, "-", FormatMetric(metric, value), "-"});
      } else {
        table.Add({metric, FormatMetric(metric, base->second),
                   FormatMetric(metric, value),
                   FormatChange(metric, base->second, value)});
      }
    }
    table.Print(out);
  }
  *out.stream << "on " << FormatCount(report.after().num_rows()) << " rows of "
              << (report.after().split().empty()
                      ? "the test split"
                      : OneLine(report.after().split()))
              << StepsText(report) << '\n';
  PrintCurves(report, console);
}

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
  if (job.has_snapshot()) {
    details.Add(
        "data",
        Concat(job.snapshot().dataset().empty() ? std::string("inline rows")
                                                : job.snapshot().dataset(),
               ", ", FormatCount(job.snapshot().num_rows()), " rows"));
  }
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

std::string ExampleCall(const std::string& prompt, const v1::TaskSpec& task) {
  const std::string field = FirstField(task.template_());
  const bool generation = task.type() == v1::TASK_TYPE_TEXT_GENERATION;
  return Concat("attune ", generation ? "generate " : "predict ",
                ShortName(prompt),
                field == "text" ? std::string(" --text")
                                : Concat(" --field ", field, "="),
                field == "text" ? " \"...\"" : "\"...\"");
}

std::string MethodText(const v1::TuningMethod& method) {
  switch (method.method_case()) {
    case v1::TuningMethod::METHOD_NOT_SET:
      return "prompt tuning";
    case v1::TuningMethod::kPromptTuning: {
      const int rows = method.prompt_tuning().num_virtual_tokens();
      return rows == 0 ? "prompt tuning"
                       : Concat("prompt tuning, ", rows, " rows");
    }
    case v1::TuningMethod::kHardPrompt: {
      const int shown = method.hard_prompt().num_demonstrations();
      return shown == 0 ? "hard prompt"
                        : Concat("hard prompt, ", shown, " demonstrations");
    }
    case v1::TuningMethod::kLora: {
      const int rank = method.lora().rank();
      return rank == 0 ? "lora" : Concat("lora, rank ", rank);
    }
    default: {
      const auto* field = v1::TuningMethod::descriptor()->FindFieldByNumber(
          method.method_case());
      return LowerWords(field->name());
    }
  }
}

std::string TaskText(const v1::TaskSpec& task) {
  constexpr std::string_view kPrefix = "TASK_TYPE_";
  std::string name = v1::TaskType_Name(task.type());
  if (name.starts_with(kPrefix)) name = LowerWords(name.substr(kPrefix.size()));
  if (task.labels_size() == 0) return name;
  return Concat(name, ", ", task.labels_size(), " labels");
}

}  // namespace attune::client
