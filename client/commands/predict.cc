#include "client/commands/predict.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_format.h"
#include "client/commands/files.h"
#include "client/commands/inference_options.h"
#include "client/commands/names.h"
#include "client/commands/rows.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using google::protobuf::Struct;

// Of one request. The server takes messages of 4 MiB.
constexpr int kMaxItems = 256;
constexpr size_t kMaxItemBytes = size_t{3} << 20;
constexpr size_t kMaxInputBytes = size_t{64} << 20;

struct PredictOptions {
  InferenceOptions inference;
  std::string input;
  int top = 1;
};

absl::StatusOr<std::vector<Struct>> RowsOf(Session& session,
                                           const PredictOptions& options) {
  if (!options.input.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string text,
        ReadInput(options.input, session.in(), kMaxInputBytes));
    return ParseRows(text, options.input);
  }
  std::vector<Struct> rows;
  for (const std::string& text : options.inference.texts) {
    rows.push_back(RowOf("text", text));
  }
  if (!options.inference.fields.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(rows.emplace_back(),
                            RowOfFields(options.inference.fields));
  }
  return rows;
}

// The entities with their types and scores.
std::string EntitiesText(const v1::TagAnswer& answer) {
  if (answer.entities().empty()) return "no entities";
  std::string text;
  for (const v1::Entity& entity : answer.entities()) {
    text += Concat(text.empty() ? "" : ", ", entity.text(), " [", entity.type(),
                   " ", FormatPercent(entity.score()), "]");
  }
  return text;
}

std::string LabelSetText(const v1::LabelSetAnswer& answer) {
  if (answer.labels().empty()) return "no labels";
  std::string text;
  for (const v1::LabelScore& label : answer.labels()) {
    text += Concat(text.empty() ? "" : ", ", label.label(), " ",
                   FormatPercent(label.score()));
  }
  return text;
}

// The likeliest choice and, of more than one, the places of the likeliest `top`
// in their row.
std::string ChoiceText(const v1::ChoiceAnswer& answer, int top) {
  if (top <= 1) return answer.text();
  std::vector<int> order(answer.scores_size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return answer.scores(a) > answer.scores(b);
  });
  std::string places;
  for (size_t i = 0; i < order.size() && static_cast<int>(i) < top; ++i) {
    places += Concat(i == 0 ? "" : ", ", order[i], ": ",
                     FormatPercent(answer.scores(order[i])));
  }
  return Concat(answer.text(), " (", places, ")");
}

// The answer and its probability, the likeliest `top` labels.
std::pair<std::string, std::string> AnswerText(const v1::PredictResult& result,
                                               int top) {
  if (result.has_error()) {
    return {Concat("error: ", result.error().message()), ""};
  }
  if (result.answer().has_tags()) {
    return {EntitiesText(result.answer().tags()), ""};
  }
  if (result.answer().has_span()) {
    const v1::SpanAnswer& span = result.answer().span();
    return {span.has_answer() ? span.text() : "no answer",
            FormatPercent(span.score())};
  }
  if (result.answer().has_label_set()) {
    return {LabelSetText(result.answer().label_set()), ""};
  }
  if (result.answer().has_number()) {
    // All the digits that mean something, whatever the unit.
    return {absl::StrFormat("%.10g", result.answer().number().value()), ""};
  }
  if (result.answer().has_choice()) {
    const v1::ChoiceAnswer& choice = result.answer().choice();
    return {ChoiceText(choice, top), FormatPercent(choice.score())};
  }
  if (!result.answer().has_label()) return {result.answer().text().text(), ""};
  const v1::LabelAnswer& label = result.answer().label();
  if (top <= 1 || label.scores().empty()) {
    return {label.abstained() ? "not sure" : label.label(),
            FormatPercent(label.score())};
  }
  std::string text;
  for (int i = 0; i < std::min(top, label.scores_size()); ++i) {
    text += Concat(i == 0 ? "" : ", ", label.scores(i).label(), " ",
                   FormatPercent(label.scores(i).score()));
  }
  return {text, FormatPercent(label.score())};
}

void PrintTable(Session& session, const std::vector<Struct>& rows,
                const std::vector<v1::PredictResult>& results, int top) {
  Table table(
      {{"INPUT"}, {"ANSWER"}, {"SCORE", Table::Align::kRight}, {"VERSION"}});
  for (size_t i = 0; i < results.size(); ++i) {
    const auto [answer, score] = AnswerText(results[i], top);
    const std::string& version = results[i].prompt_version();
    table.Add({Summary(rows[i]), answer, score,
               version.empty() && results[i].has_answer()
                   ? "base"
                   : ShortName(version)});
  }
  table.Print(session.console().out);
}

// Adds rows to `request`, from the one at `next` on, as long as they fit; at
// least one.
void AddItems(const std::vector<Struct>& rows, size_t next,
              const v1::Decoding& decoding, v1::PredictRequest& request) {
  size_t num_bytes = 0;
  for (; next < rows.size() && request.items_size() < kMaxItems; ++next) {
    num_bytes += rows[next].ByteSizeLong();
    if (num_bytes > kMaxItemBytes && request.items_size() > 0) return;
    v1::PredictItem& item = *request.add_items();
    *item.mutable_fields() = rows[next];
    if (decoding.ByteSizeLong() > 0) *item.mutable_decoding() = decoding;
  }
}

absl::StatusOr<int> Predict(Session& session, const PredictOptions& options) {
  v1::PredictRequest base;
  ATTUNE_ASSIGN_OR_RETURN(*base.mutable_target(),
                          TargetOf(session, options.inference));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Struct> rows,
                          RowsOf(session, options));
  const v1::Decoding decoding = DecodingOf(options.inference);
  Connection& connection = session.connection();
  std::vector<v1::PredictResult> results;
  while (results.size() < rows.size()) {
    v1::PredictRequest request = base;
    AddItems(rows, results.size(), decoding, request);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::PredictResponse response,
        connection.Call(Repeat::kSafe, connection.inference(),
                        &v1::InferenceService::Stub::Predict, request,
                        absl::Seconds(120)));
    if (response.results_size() != request.items_size()) {
      return absl::InternalError(Concat("the server answered ",
                                        response.results_size(), " of ",
                                        request.items_size(), " items"));
    }
    for (v1::PredictResult& result : *response.mutable_results()) {
      results.push_back(std::move(result));
    }
  }
  if (session.json()) {
    session.out() << ToJsonArrayOf(results);
  } else {
    PrintTable(session, rows, results, options.top);
  }
  const bool failed =
      std::any_of(results.begin(), results.end(),
                  [](const auto& result) { return result.has_error(); });
  return failed ? kExitFailed : kExitOk;
}

}  // namespace

void AddPredictCommand(CLI::App& root, Session& session) {
  const auto options = std::make_shared<PredictOptions>();
  CLI::App* command =
      root.add_subcommand("predict", "Ask a tuned prompt for answers");
  AddTargetOptions(*command, options->inference);
  CLI::Option_group* inputs = command->add_option_group("inputs");
  inputs
      ->add_option("--text", options->inference.texts,
                   "An input whose only field is 'text', many times")
      ->allow_extra_args(false);
  inputs
      ->add_option("--field", options->inference.fields,
                   "A field of one input, name=text, many times")
      ->allow_extra_args(false);
  inputs->add_option("--input", options->input,
                     "Inputs, one JSON object a line; '-' is standard input");
  inputs->require_option(1);
  command
      ->add_option("--top", options->top,
                   "Show this many likeliest labels or choices")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddDecodingOptions(*command, options->inference);
  command->footer(
      "Examples:\n"
      "  attune predict banking77-intent --text \"Where is my card?\" "
      "--text \"I lost it\"\n"
      "  attune predict prompts/pairs@prod --field text_a=\"...\" "
      "--field text_b=\"...\"\n"
      "  attune predict banking77-intent --input rows.jsonl -o json\n"
      "  attune predict --base smollm2-135m-instruct --task job.yaml "
      "--text \"...\"\n"
      "Returns 1 when an input has no answer.");
  command->callback([&session, options] {
    session.action = [&session, options] { return Predict(session, *options); };
  });
}

}  // namespace attune::client
