#include "client/commands/evaluate.h"

#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "client/commands/followed_call.h"
#include "client/commands/inference_options.h"
#include "client/commands/names.h"
#include "client/commands/report_figures.h"
#include "client/commands/report_tables.h"
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

constexpr absl::Duration kEvaluationTimeout = absl::Hours(4);

struct EvaluateOptions {
  InferenceOptions inference;
  std::string dataset;
  std::string split = "test";
  int32_t max_rows = 0;
  uint64_t seed = 0;
  std::string against;
  bool against_base = false;
  std::string metric;
};

// The base model that a version was tuned for, with the version's task but for
// the examples it shows and further templates.
absl::StatusOr<v1::InferenceTarget> BaseOf(Session& session,
                                           const v1::InferenceTarget& target) {
  if (!target.has_prompt()) {
    return absl::InvalidArgumentError(
        "--against-base needs a prompt to evaluate, not a base model");
  }
  v1::GetPromptVersionRequest request;
  request.set_name(target.prompt());
  if (!NamesVersion(request.name())) request.mutable_name()->append("@latest");
  Connection& connection = session.connection();
  ATTUNE_ASSIGN_OR_RETURN(
      v1::PromptVersion version,
      connection.Call(Repeat::kSafe, connection.prompts(),
                      &v1::PromptService::Stub::GetPromptVersion, request));
  v1::InferenceTarget base;
  base.mutable_base()->set_model(version.base_model());
  *base.mutable_base()->mutable_task() = version.task();
  base.mutable_base()->mutable_task()->clear_demonstrations();
  base.mutable_base()->mutable_task()->clear_num_nearest_demonstrations();
  base.mutable_base()->mutable_task()->clear_more_templates();
  return base;
}

absl::StatusOr<v1::EvaluatePromptRequest> EvaluationOf(
    Session& session, const EvaluateOptions& options) {
  v1::EvaluatePromptRequest request;
  ATTUNE_ASSIGN_OR_RETURN(*request.mutable_target(),
                          TargetOf(session, options.inference));
  request.set_dataset(DatasetName(options.dataset));
  request.set_split(options.split);
  request.set_max_rows(options.max_rows);
  request.set_seed(options.seed);
  request.set_metric(options.metric);
  if (options.against_base) {
    ATTUNE_ASSIGN_OR_RETURN(*request.mutable_baseline(),
                            BaseOf(session, request.target()));
  } else if (!options.against.empty()) {
    request.mutable_baseline()->set_prompt(PromptName(options.against));
  }
  return request;
}

ProgressView ViewOfEvaluation(const v1::EvaluatePromptResponse& progress) {
  if (progress.num_rows_total() == 0) {
    return {"waiting", std::nullopt, {"for its turn on the worker"}};
  }
  return {"evaluating",
          static_cast<double>(progress.num_rows_done()) /
              static_cast<double>(progress.num_rows_total()),
          {Concat("row ", FormatCount(progress.num_rows_done()), "/",
                  FormatCount(progress.num_rows_total()))}};
}

absl::StatusOr<v1::EvaluatePromptResponse> FollowEvaluation(
    Session& session, const v1::EvaluatePromptRequest& request) {
  return Follow<v1::EvaluatePromptResponse>(
      session,
      {.timeout = kEvaluationTimeout,
       .begin =
           [&](Connection& connection, grpc::ClientContext* context) {
             return connection.evaluations().EvaluatePrompt(context, request);
           },
       .is_result = [](const auto& message) { return message.has_report(); },
       .view = ViewOfEvaluation});
}

std::string NameOf(const v1::InferenceTarget& target,
                   const std::string& version) {
  return target.has_base() ? Concat(target.base().model(), ", untuned")
                           : version;
}

void PrintResult(const v1::EvaluatePromptRequest& request,
                 const v1::EvaluatePromptResponse& response, Stream& out) {
  v1::TuningReport report;
  *report.mutable_after() = response.report();
  if (response.has_baseline_report()) {
    *report.mutable_before() = response.baseline_report();
  }
  if (response.has_comparison()) {
    *report.mutable_comparison() = response.comparison();
    report.set_validation_metric_name(response.comparison().metric());
  }
  *report.mutable_changed_examples() = response.changed_examples();
  Details details;
  details.Add("target", NameOf(request.target(), response.prompt_version()));
  if (request.has_baseline()) {
    details.Add("baseline",
                NameOf(request.baseline(), response.baseline_prompt_version()));
  }
  details.Add("data", request.dataset());
  details.Add("measured on", RowsText(report.after()));
  details.Print(out);
  PrintEvaluation(report, {.result = "TARGET", .base = "BASELINE"},
                  request.has_baseline() ? "baseline" : "", out);
}

absl::StatusOr<int> Evaluate(Session& session, const EvaluateOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::EvaluatePromptRequest request,
                          EvaluationOf(session, options));
  ATTUNE_ASSIGN_OR_RETURN(const v1::EvaluatePromptResponse response,
                          FollowEvaluation(session, request));
  if (session.json()) {
    session.out() << ToJson(response);
  } else {
    PrintResult(request, response, session.console().out);
  }
  return kExitOk;
}

}  // namespace

void AddEvaluateCommand(CLI::App& root, Session& session) {
  const auto options = std::make_shared<EvaluateOptions>();
  CLI::App* command = root.add_subcommand(
      "evaluate", "Measure a tuned prompt or a base model on a dataset");
  AddTargetOptions(*command, options->inference);
  command->add_option("--dataset", options->dataset, "The rows to measure on")
      ->required();
  command
      ->add_option("--split", options->split,
                   "train, validation, test, or all rows")
      ->capture_default_str();
  command->add_option("--max-rows", options->max_rows,
                      "Draw this many rows where there are more");
  command->add_option("--seed", options->seed, "The seed of the drawing");
  CLI::Option* against = command->add_option(
      "--against", options->against,
      "Another prompt or version, measured on the same rows");
  command
      ->add_flag("--against-base", options->against_base,
                 "The base model that the prompt was tuned for")
      ->excludes(against);
  command->add_option("--metric", options->metric,
                      "What the comparison goes by; default: what picked the "
                      "version's checkpoint");
  command->footer(
      "Examples:\n"
      "  attune evaluate banking77-intent --dataset banking77 --against-base\n"
      "  attune evaluate prompts/banking77-intent@next --dataset new-rows "
      "--split all --against banking77-intent@prod --metric macro_f1\n"
      "  attune evaluate --base smollm2-135m-instruct --task job.yaml "
      "--dataset banking77 -o json\n"
      "Nothing is stored. Ctrl-C stops the evaluation.");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return Evaluate(session, *options);
    };
  });
}

}  // namespace attune::client
