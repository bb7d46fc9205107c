#include "client/commands/dataset_augmentation.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "client/commands/followed_call.h"
#include "client/commands/names.h"
#include "client/commands/spec_text.h"
#include "client/output/error_text.h"
#include "client/output/figures.h"
#include "client/output/json_text.h"
#include "client/output/progress_bar.h"
#include "client/output/table.h"
#include "client/output/text_width.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using Align = Table::Align;

constexpr absl::Duration kAugmentationTimeout = absl::Hours(4);

struct AugmentOptions {
  std::string source;
  std::string into;
  std::string classifier;
  std::string generator;
  std::vector<std::string> labels;
  std::string text_field;
  int32_t rows_per_label = 0;
  int32_t num_demonstrations = 0;
  int32_t max_attempts = 0;
  std::optional<double> min_score;
  int32_t max_new_tokens = 0;
  std::optional<double> temperature;
  double top_p = 0;
  uint64_t seed = 0;
  bool with_source_rows = false;
};

v1::AugmentDatasetRequest AugmentationOf(const AugmentOptions& options) {
  v1::AugmentDatasetRequest request;
  request.set_dataset(DatasetName(options.source));
  request.set_new_dataset_id(ShortName(options.into));
  request.mutable_classifier()->set_prompt(PromptName(options.classifier));
  if (!options.generator.empty()) {
    request.mutable_generator()->mutable_base()->set_model(
        ModelName(options.generator));
  }
  for (const std::string& label : options.labels) request.add_labels(label);
  request.set_text_field(options.text_field);
  request.set_rows_per_label(options.rows_per_label);
  request.set_num_demonstrations(options.num_demonstrations);
  request.set_max_attempts_per_row(options.max_attempts);
  if (options.min_score) {
    request.mutable_min_score()->set_value(*options.min_score);
  }
  v1::Decoding decoding;
  decoding.set_max_new_tokens(options.max_new_tokens);
  if (options.temperature) decoding.set_temperature(*options.temperature);
  if (options.top_p != 0) decoding.mutable_top_p()->set_value(options.top_p);
  if (decoding.ByteSizeLong() > 0) *request.mutable_decoding() = decoding;
  request.set_seed(options.seed);
  request.set_include_source_rows(options.with_source_rows);
  return request;
}

ProgressView ViewOfAugmentation(const v1::AugmentDatasetResponse& progress) {
  if (progress.num_rows_wanted() == 0) {
    return {"waiting", std::nullopt, {"for its turn on the worker"}};
  }
  const v1::AugmentationCounts& counts = progress.counts();
  return {progress.num_source_rows() > 0 ? "copying" : "writing",
          static_cast<double>(counts.num_kept()) /
              static_cast<double>(progress.num_rows_wanted()),
          {Concat("kept ", FormatCount(counts.num_kept()), "/",
                  FormatCount(progress.num_rows_wanted())),
           Concat("of ", CountedWord(counts.num_generated(), "text"))}};
}

absl::StatusOr<v1::AugmentDatasetResponse> FollowAugmentation(
    Session& session, const v1::AugmentDatasetRequest& request) {
  return Follow<v1::AugmentDatasetResponse>(
      session,
      {.timeout = kAugmentationTimeout,
       .begin =
           [&](Connection& connection, grpc::ClientContext* context) {
             return connection.datasets().AugmentDataset(context, request);
           },
       .is_result =
           [](const auto& message) { return !message.labels().empty(); },
       .view = ViewOfAugmentation});
}

void PrintLabels(const v1::AugmentDatasetResponse& response, Stream& out) {
  Table table({{"LABEL"},
               {"WANTED", Align::kRight},
               {"KEPT", Align::kRight},
               {"WRITTEN", Align::kRight},
               {"EMPTY", Align::kRight},
               {"UNFINISHED", Align::kRight},
               {"DUPLICATE", Align::kRight},
               {"OTHER LABEL", Align::kRight},
               {"UNSURE", Align::kRight}});
  for (const v1::LabelAugmentation& label : response.labels()) {
    const v1::AugmentationCounts& counts = label.counts();
    table.Add(
        {label.label(), FormatCount(label.num_wanted()),
         FormatCount(counts.num_kept()), FormatCount(counts.num_generated()),
         FormatCount(counts.num_empty()), FormatCount(counts.num_unfinished()),
         FormatCount(counts.num_duplicate()),
         FormatCount(counts.num_other_label()),
         FormatCount(counts.num_unsure())});
  }
  *out.stream << '\n';
  table.Print(out);
}

// "REASON_OTHER_LABEL" -> "other label"
std::string ReasonText(v1::RejectedText::Reason reason) {
  const std::string& name = v1::RejectedText::Reason_Name(reason);
  constexpr std::string_view kPrefix = "REASON_";
  return LowerWords(name.substr(std::min(kPrefix.size(), name.size())));
}

void PrintRejected(const v1::AugmentDatasetResponse& response, Stream& out) {
  if (response.rejected_texts().empty()) return;
  *out.stream << '\n'
              << out.Paint(Style::kBold, "some texts that were not kept")
              << '\n';
  Table table({{"WHY"},
               {"WRITTEN FOR"},
               {"LIKELIEST"},
               {"SCORE", Align::kRight},
               {"TEXT"}});
  for (const v1::RejectedText& text : response.rejected_texts()) {
    const bool judged = !text.likeliest_label().empty();
    table.Add({ReasonText(text.reason()), text.label(), text.likeliest_label(),
               judged ? FormatPercent(text.score()) : "", text.text()});
  }
  table.Print(out);
}

// The commands that use the new rows.
void PrintNextSteps(const v1::AugmentDatasetRequest& request,
                    const v1::Dataset& dataset, std::ostream& out) {
  out << '\n';
  if (!request.include_source_rows()) {
    out << "A job takes one dataset: add the other rows to this one.\n"
        << "add them  attune datasets upload "
        << OneLine(request.new_dataset_id()) << " ROWS.jsonl\n";
  }
  out << "tune      attune jobs create -f JOB.yaml --set spec.data.dataset="
      << OneLine(dataset.name()) << " --watch\n";
}

void PrintAugmentation(const v1::AugmentDatasetRequest& request,
                       const v1::AugmentDatasetResponse& response,
                       Console& console) {
  Stream& out = console.out;
  Details details;
  if (response.has_dataset()) {
    details.Add("dataset",
                Concat(response.dataset().name(), ", ",
                       CountedWord(response.dataset().num_rows(), "row"), ", ",
                       FormatCount(response.counts().num_kept()), " new"));
  }
  details.AddIf("classifier", response.classifier_version());
  details.Print(out);
  PrintLabels(response, out);
  PrintRejected(response, out);
  if (response.has_dataset()) {
    PrintNextSteps(request, response.dataset(), *out.stream);
  }
  const auto num_short =
      std::count_if(response.labels().begin(), response.labels().end(),
                    [](const v1::LabelAugmentation& label) {
                      return label.counts().num_kept() < label.num_wanted();
                    });
  if (num_short == 0) return;
  *console.err.stream
      << (response.has_dataset()
              ? Concat(CountedWord(num_short, "label"),
                       " got fewer rows than wanted")
              : std::string("no text was kept, so no dataset was made"))
      << ": lower --min-score, raise --max-attempts, or name a larger "
         "--generator\n";
}

absl::StatusOr<int> Augment(Session& session, const AugmentOptions& options) {
  const v1::AugmentDatasetRequest request = AugmentationOf(options);
  ATTUNE_ASSIGN_OR_RETURN(const v1::AugmentDatasetResponse response,
                          FollowAugmentation(session, request));
  if (session.json()) {
    session.out() << ToJson(response);
  } else {
    PrintAugmentation(request, response, session.console());
  }
  return response.has_dataset() ? kExitOk : kExitFailed;
}

void AddWritingOptions(CLI::App& command, AugmentOptions& options) {
  const std::string group = "Writing";
  command
      .add_option("--generator", options.generator,
                  "The base model that writes (default: the classifier's, if "
                  "it generates text)")
      ->group(group);
  command
      .add_option("--demonstrations", options.num_demonstrations,
                  "Rows of the label that are shown for each text (default: 4)")
      ->group(group);
  command
      .add_option("--max-attempts", options.max_attempts,
                  "Texts to write for each row at most (default: 8)")
      ->group(group);
  command
      .add_option("--max-new-tokens", options.max_new_tokens,
                  "The most tokens of a text (default: 64)")
      ->group(group);
  command
      .add_option("--temperature", options.temperature,
                  "How freely it is sampled (default: 0.9)")
      ->group(group);
  command
      .add_option("--top-p", options.top_p,
                  "Sample among the likeliest that add up to this (default: "
                  "0.95)")
      ->group(group);
  command
      .add_option("--seed", options.seed,
                  "The same seed gives the same rows (default: 0)")
      ->group(group);
}

}  // namespace

void AddDatasetAugmentation(CLI::App& datasets, Session& session) {
  const auto options = std::make_shared<AugmentOptions>();
  CLI::App* command = datasets.add_subcommand(
      "augment",
      "Make a dataset of new labelled rows: a base model writes them, a tuned "
      "classifier keeps those it is sure of");
  command
      ->add_option("source", options->source,
                   "The dataset whose training rows are shown")
      ->required();
  command->add_option("--into", options->into, "The id of the new dataset")
      ->required();
  command
      ->add_option("--classifier", options->classifier,
                   "The prompt or version that judges: a classification by one "
                   "label")
      ->required();
  command->add_option("--rows-per-label", options->rows_per_label,
                      "Rows that each label is to get (default: 20)");
  command
      ->add_option("--label", options->labels,
                   "Only this label, many times (default: all of the "
                   "classifier's task)")
      ->allow_extra_args(false);
  command->add_option("--text-field", options->text_field,
                      "The field that is written (default: the one that the "
                      "classifier's template reads)");
  command->add_option("--min-score", options->min_score,
                      "The least probability of the wanted label, 0 to 1 "
                      "(default: 0.8)");
  command->add_flag("--with-source-rows", options->with_source_rows,
                    "Put the rows of the source into the new dataset, too");
  AddWritingOptions(*command, *options);
  command->footer(
      "Examples:\n"
      "  attune datasets augment banking77-intents --into banking77-more "
      "--classifier banking77-intent\n"
      "  attune datasets augment banking77-intents --into banking77-more "
      "--classifier banking77-intent@prod \\\n"
      "      --label card_arrival --rows-per-label 50 --min-score 0.9 "
      "--with-source-rows\n"
      "The new dataset is there when all its rows are; Ctrl-C leaves nothing "
      "behind.\n"
      "Exit code 1 when no text was kept.");
  command->callback([&session, options] {
    session.action = [&session, options] { return Augment(session, *options); };
  });
}

}  // namespace attune::client
