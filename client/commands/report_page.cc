#include "client/commands/report_page.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/commands/data_summary.h"
#include "client/commands/report_figures.h"
#include "client/commands/report_plots.h"
#include "client/commands/spec_text.h"
#include "client/commands/template_candidates.h"
#include "client/output/figures.h"
#include "client/output/html_page.h"
#include "client/output/html_table.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

constexpr int kMaxLabelRows = 12;

void AddLine(Lines& lines, std::string key, std::string value) {
  if (!value.empty()) lines.emplace_back(std::move(key), std::move(value));
}

// Counts that are worth a line only where there are any.
void AddCount(Lines& lines, std::string key, int64_t count) {
  if (count > 0) AddLine(lines, std::move(key), FormatCount(count));
}

Markup Tile(std::string_view title, std::string_view value,
            std::string_view note) {
  Markup content = Markup::Element("span", {}, Markup::Text(title)) +
                   Markup::Element("b", {}, Markup::Text(value));
  if (!note.empty()) {
    content += Markup::Element("small", {}, Markup::Text(note));
  }
  return Markup::Element("div", {{"class", "tile"}}, content);
}

Markup MetricTile(const MetricRow& row) {
  const std::string value = FormatMetric(row.name, row.tuned);
  return Tile(
      LowerWords(row.name),
      row.base ? Concat(FormatMetric(row.name, *row.base), " → ", value)
               : value,
      row.tuned_interval
          ? Concat("95 %: ", IntervalText(row.name, *row.tuned_interval))
          : "");
}

Markup Tiles(const v1::TuningReport& report) {
  Markup tiles;
  const std::vector<MetricRow> rows = MetricRows(report);
  if (!rows.empty()) {
    tiles += MetricTile(rows.front());
    tiles += Tile("measured on",
                  Concat(FormatCount(report.after().num_rows()), " rows"),
                  report.after().split().empty()
                      ? ""
                      : Concat("the ", report.after().split(), " split"));
  }
  if (report.num_steps() > 0) {
    tiles += Tile("training", Concat(FormatCount(report.num_steps()), " steps"),
                  Concat("best: step ", FormatCount(report.best_step())));
  }
  if (report.training_seconds() > 0) {
    tiles +=
        Tile("training time",
             ShortDuration(absl::Seconds(report.training_seconds())),
             report.num_trained_tokens() > 0
                 ? Concat(FormatCount(report.num_trained_tokens()), " tokens")
                 : "");
  }
  if (tiles.empty()) return tiles;
  return Markup::Element("div", {{"class", "tiles"}}, tiles);
}

std::string VerdictClass(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "verdict green";
    case Verdict::kWorse:
      return "verdict red";
    case Verdict::kUntested:
    case Verdict::kUnclear:
      return "verdict amber";
    case Verdict::kNotCompared:
      return "verdict grey";
  }
  return "verdict grey";
}

Markup Header(const v1::PromptVersion& version) {
  const v1::TuningReport& report = version.report();
  return HtmlParagraph("Evaluation report", "over") +
         Markup::Element("h1", {}, Markup::Text(version.name())) +
         HtmlParagraph(
             Concat(TaskText(version.task()), " · ", version.base_model(),
                    " · ", MethodText(version.method()), " · ",
                    FormatTime(version.create_time())),
             "soft") +
         Markup::Element("div", {{"class", VerdictClass(VerdictOf(report))}},
                         HtmlParagraph(VerdictText(report))) +
         Tiles(report);
}

// An answer and whether it is right, which colour alone must not say.
Markup AnswerCell(const std::string& answer, bool right) {
  return Markup::Element("span", {{"class", right ? "good" : "bad"}},
                         Markup::Text(right ? "✓ " : "✗ ")) +
         Markup::Text(answer.empty() ? "(nothing)" : answer);
}

Markup ExampleFigures(const v1::TuningReport& report) {
  using CellKind = HtmlTable::Kind;
  Markup figures;
  for (const ExampleGroup& group : ExampleGroups(report)) {
    HtmlTable table({{"row", CellKind::kNumber},
                     {"input", CellKind::kProse},
                     {"right answer", CellKind::kText},
                     {"base", CellKind::kText},
                     {"tuned", CellKind::kText}});
    for (const v1::ChangedExample* example : group.examples) {
      table.Add({Markup::Text(FormatCount(example->row())),
                 Markup::Text(example->input()),
                 Markup::Text(example->right_answer()),
                 AnswerCell(example->before(), example->was_right()),
                 AnswerCell(example->after(), example->is_right())});
    }
    figures += Markup::Element("h3", {},
                               Markup::Text(Concat("Rows that ", group.title)));
    figures += table.Make();
  }
  return figures;
}

// Only labels that the model answers with words have some.
Markup LabelTable(const v1::TaskSpec& task) {
  const bool words =
      std::any_of(task.labels().begin(), task.labels().end(),
                  [](const auto& label) { return label.words_size() > 0; });
  std::vector<HtmlTable::Column> columns = {{"label"}};
  if (words) columns.push_back({"words", HtmlTable::Kind::kText});
  HtmlTable table(columns, task.labels_size() > kMaxLabelRows
                               ? HtmlTable::Height::kLimited
                               : HtmlTable::Height::kFull);
  for (const v1::LabelWords& label : task.labels()) {
    table.Add({Markup::Text(label.label()),
               Markup::Text(absl::StrJoin(label.words(), ", "))});
  }
  if (table.empty()) return {};
  return Markup::Element("h3", {}, Markup::Text("Labels")) + table.Make();
}

Markup TaskFigures(const v1::TaskSpec& task) {
  Markup figures;
  const auto add_text = [&figures](std::string_view title,
                                   const std::string& text) {
    if (text.empty()) return;
    figures += Markup::Element("h3", {}, Markup::Text(title)) +
               Markup::Element("pre", {}, Markup::Text(text));
  };
  add_text("System message", task.system_message());
  add_text("Template", task.template_());
  if (!task.more_templates().empty()) {
    figures += Markup::Element("h3", {}, Markup::Text("Further templates"));
  }
  for (const std::string& text : task.more_templates()) {
    figures += Markup::Element("pre", {}, Markup::Text(text));
  }
  figures += HtmlDetails(SettingsOf(
      task, {"template", "labels", "system_message", "more_templates"}));
  figures += LabelTable(task);
  return figures;
}

Markup MethodFigures(const v1::PromptVersion& version) {
  const v1::TuningReport& report = version.report();
  Lines lines = {{"method", MethodText(version.method())}};
  for (auto& [key, value] : MethodSettings(version.method())) {
    AddLine(lines, key, value);
  }
  AddCount(lines, "steps", report.num_steps());
  AddCount(lines, "best step", report.best_step());
  if (!report.validation_metric_name().empty()) {
    AddLine(lines, "best validation",
            Concat(LowerWords(report.validation_metric_name()), " ",
                   FormatMetric(report.validation_metric_name(),
                                report.best_validation_metric())));
  }
  AddLine(lines, "ended by", StopText(report));
  if (report.training_seconds() > 0) {
    AddLine(lines, "training time",
            ShortDuration(absl::Seconds(report.training_seconds())));
  }
  AddCount(lines, "tokens trained on", report.num_trained_tokens());
  AddCount(lines, "rows cut to fit", report.num_truncated_rows());
  AddCount(lines, "steps left out (not finite)", report.num_nonfinite_steps());
  return HtmlDetails(lines);
}

Markup SourceFigures(const v1::PromptVersion& version) {
  Lines lines;
  AddLine(lines, "data", DataText(version));
  AddLine(lines, "digest of the rows", version.snapshot().digest());
  AddLine(lines, "base model", version.base_model());
  AddLine(lines, "its fingerprint", version.model_fingerprint());
  AddLine(lines, "made by", version.tuning_job());
  AddLine(lines, "went on from", version.parent_version());
  AddLine(lines, "aliases", absl::StrJoin(version.aliases(), ", "));
  AddLine(lines, "artifact", version.artifact_digest());
  for (const v1::ArtifactFile& file : version.files()) {
    AddLine(
        lines, file.name(),
        Concat(FormatBytes(file.size_bytes()), ", SHA-256 ", file.sha256()));
  }
  return HtmlDetails(lines);
}

}  // namespace

std::string ReportPage(const v1::PromptVersion& version) {
  const v1::TuningReport& report = version.report();
  const v1::EvaluationReport& before = report.before();
  const v1::EvaluationReport& after = report.after();
  // Only a tagging has both: what it finds, and the tags of words.
  const bool tagging = after.tags_size() > 0;
  return HtmlPage(
      Concat(version.name(), ": evaluation report"),
      Header(version) + HtmlSection("Metrics", MetricFigures(report)) +
          HtmlSection("Training", TrainingFigures(report)) +
          HtmlSection("Confusions", ConfusionFigures(report)) +
          HtmlSection(tagging ? "Types of entities" : "Labels",
                      ClassFigures(after.classes(), before.classes(),
                                   tagging ? "type" : "label")) +
          HtmlSection("Tags, over words",
                      ClassFigures(after.tags(), before.tags(), "tag")) +
          HtmlSection("Reliability", ReliabilityFigures(report)) +
          HtmlSection("Changed answers", ExampleFigures(report)) +
          HtmlSection("Data", DataFigures(report.splits(), report.samples())) +
          HtmlSection("Templates tried", TemplateFigures(report)) +
          HtmlSection("Task", TaskFigures(version.task())) +
          HtmlSection("Method and training", MethodFigures(version)) +
          HtmlSection("Origin and files", SourceFigures(version)));
}

}  // namespace attune::client
