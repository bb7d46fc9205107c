#include "client/commands/template_candidates.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "client/commands/spec_text.h"
#include "client/output/figures.h"
#include "client/output/html_page.h"
#include "client/output/html_table.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

// Lines that fit on a screen.
constexpr int kMaxCandidateLines = 12;
// A longer table of the page scrolls in its frame.
constexpr int kMaxPageCandidates = 12;
// Words of many labels would push the templates out of sight, in a pipe too.
constexpr int kMaxWordColumns = 60;

// Whose template it is.
std::string_view OriginText(v1::TemplateCandidate::Origin origin) {
  switch (origin) {
    case v1::TemplateCandidate::ORIGIN_TASK:
      return "the task's";
    case v1::TemplateCandidate::ORIGIN_GIVEN:
      return "given";
    case v1::TemplateCandidate::ORIGIN_PATTERN:
      return "pattern";
    case v1::TemplateCandidate::ORIGIN_GENERATED:
      return "the base's";
    case v1::TemplateCandidate::ORIGIN_LABEL_WORDS:
      return "label words";
    case v1::TemplateCandidate::ORIGIN_ENSEMBLE:
      return "ensemble";
    default:
      return "-";
  }
}

// "good: great, lovely; bad: awful", for the separator "; ".
std::string WordsOfLabels(const v1::TemplateCandidate& candidate,
                          std::string_view separator) {
  std::string text;
  for (const v1::LabelWords& label : candidate.labels()) {
    if (!text.empty()) text += separator;
    text += Concat(label.label(), ": ", absl::StrJoin(label.words(), ", "));
  }
  return text;
}

bool HasWords(const v1::TuningReport& report) {
  return std::any_of(
      report.template_candidates().begin(), report.template_candidates().end(),
      [](const auto& candidate) { return candidate.labels_size() > 0; });
}

bool HasEnsemble(const v1::TuningReport& report) {
  return std::any_of(report.template_candidates().begin(),
                     report.template_candidates().end(),
                     [](const auto& candidate) {
                       return candidate.more_templates_size() > 0;
                     });
}

// The metric that candidates have beside their loss; empty if there is none.
std::string MetricBesideLoss(const v1::TuningReport& report) {
  const std::string& metric = report.validation_metric_name();
  return metric == "loss" ? "" : metric;
}

Markup OriginCell(const v1::TemplateCandidate& candidate) {
  Markup origin = Markup::Text(OriginText(candidate.origin()));
  if (!candidate.kept()) return origin;
  return Markup::Element("span", {{"class", "good"}},
                         Markup::Text("✓ kept: ")) +
         origin;
}

// Of an ensemble each template in a frame of its own: one may have several
// lines.
Markup TemplateCell(const v1::TemplateCandidate& candidate) {
  if (candidate.more_templates().empty()) {
    return Markup::Text(candidate.template_());
  }
  Markup frames =
      Markup::Element("pre", {}, Markup::Text(candidate.template_()));
  for (const std::string& text : candidate.more_templates()) {
    frames += Markup::Element("pre", {}, Markup::Text(text));
  }
  return frames;
}

}  // namespace

void PrintTemplateCandidates(const v1::TuningReport& report, Stream& out) {
  const int num_candidates = report.template_candidates_size();
  if (num_candidates == 0) return;
  const std::string metric = MetricBesideLoss(report);
  const bool has_words = HasWords(report);
  std::vector<Table::Column> columns = {{""}};
  if (!metric.empty()) {
    columns.push_back(
        {OneLine(absl::AsciiStrToUpper(metric)), Table::Align::kRight});
  }
  columns.push_back({"LOSS", Table::Align::kRight});
  columns.push_back({"ROWS", Table::Align::kRight});
  columns.push_back({"ORIGIN"});
  if (has_words) columns.push_back({"LABEL WORDS"});
  columns.push_back({"TEMPLATE"});
  Table table(columns);
  const int num_shown = std::min(num_candidates, kMaxCandidateLines);
  for (int i = 0; i < num_shown; ++i) {
    const v1::TemplateCandidate& one = report.template_candidates(i);
    std::vector<std::string> cells;
    cells.reserve(columns.size());
    cells.emplace_back(one.kept() ? "kept" : "");
    if (!metric.empty()) cells.push_back(FormatMetric(metric, one.metric()));
    cells.push_back(FormatMetric("loss", one.loss()));
    cells.push_back(FormatCount(one.num_rows()));
    cells.emplace_back(OriginText(one.origin()));
    if (has_words) {
      cells.push_back(CutTo(WordsOfLabels(one, "; "), kMaxWordColumns));
    }
    cells.push_back(one.template_());
    table.Add(std::move(cells));
    if (one.more_templates().empty()) continue;
    // On a line of its own, where a long template does not push it out of the
    // terminal.
    std::vector<std::string> rest(columns.size());
    rest.back() = Concat("and ", FormatCount(one.more_templates_size()),
                         " more, which answer with it");
    table.Add(std::move(rest));
  }
  *out.stream << '\n'
              << out.Paint(Style::kBold, "templates tried, on validation rows")
              << '\n';
  table.Print(out);
  if (num_candidates > num_shown) {
    *out.stream << "and " << FormatCount(num_candidates - num_shown)
                << " more, which -o json lists\n";
  }
}

Markup TemplateFigures(const v1::TuningReport& report) {
  if (report.template_candidates().empty()) return {};
  using CellKind = HtmlTable::Kind;
  const std::string metric = MetricBesideLoss(report);
  const bool has_words = HasWords(report);
  std::vector<HtmlTable::Column> columns = {{"origin"}};
  if (!metric.empty()) {
    columns.push_back({LowerWords(metric), CellKind::kNumber});
  }
  columns.push_back({"loss", CellKind::kNumber});
  columns.push_back({"rows", CellKind::kNumber});
  if (has_words) columns.push_back({"label words", CellKind::kText});
  columns.push_back({"template", CellKind::kProse});
  HtmlTable table(columns,
                  report.template_candidates_size() > kMaxPageCandidates
                      ? HtmlTable::Height::kLimited
                      : HtmlTable::Height::kFull);
  for (const v1::TemplateCandidate& one : report.template_candidates()) {
    std::vector<Markup> cells;
    cells.reserve(columns.size());
    cells.push_back(OriginCell(one));
    if (!metric.empty()) {
      cells.push_back(Markup::Text(FormatMetric(metric, one.metric())));
    }
    cells.push_back(Markup::Text(FormatMetric("loss", one.loss())));
    cells.push_back(Markup::Text(FormatCount(one.num_rows())));
    if (has_words) cells.push_back(Markup::Text(WordsOfLabels(one, "\n")));
    cells.push_back(TemplateCell(one));
    table.Add(std::move(cells));
  }
  std::string note =
      "Measured on rows of the validation split: the more, the longer a "
      "template was among the best. Those of the base are the task's behind an "
      "instruction that the base model wrote.";
  if (HasEnsemble(report)) {
    note +=
        " Templates of an ensemble answer together, by the mean of the "
        "probabilities that they give.";
  }
  return table.Make() + HtmlParagraph(note, "note");
}

}  // namespace attune::client
