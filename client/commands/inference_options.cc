#include "client/commands/inference_options.h"

#include "CLI/CLI.hpp"
#include "client/commands/document.h"
#include "client/commands/files.h"
#include "client/commands/job_file.h"
#include "client/commands/names.h"
#include "proto/cc/status_macros.h"

namespace attune::client {

void AddTargetOptions(CLI::App& command, InferenceOptions& options) {
  command.add_option("prompt", options.prompt,
                     "prompts/{id} (its newest version), prompts/{id}@{alias} "
                     "or prompts/{id}/versions/{n}");
  command.add_option(
      "--base", options.base_model,
      "Ask the bare base model instead, with the task of --task");
  command.add_option("--task", options.task_file,
                     "With --base: a TaskSpec, or a job file whose task is "
                     "used; YAML or JSON");
}

void AddDecodingOptions(CLI::App& command, InferenceOptions& options) {
  const std::string group = "Generation (default: what the task says)";
  command
      .add_option("--max-new-tokens", options.max_new_tokens,
                  "The most tokens to generate")
      ->group(group);
  command
      .add_option("--temperature", options.temperature,
                  "Above 0 samples, 0 takes the likeliest")
      ->group(group);
  command
      .add_option("--top-k", options.top_k,
                  "Sample among this many likeliest tokens")
      ->group(group);
  command
      .add_option("--top-p", options.top_p,
                  "Sample among the likeliest that add up to this")
      ->group(group);
  command.add_option("--seed", options.seed, "The seed of the sampling")
      ->group(group);
  command
      .add_option("--stop", options.stop,
                  "A text that ends the answer, many times")
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_option("--beams", options.num_beams,
                  "Search the likeliest answer among this many side by side")
      ->group(group);
  command
      .add_option("--length-penalty", options.length_penalty,
                  "With --beams: above 0 favours longer answers")
      ->group(group);
}

absl::StatusOr<v1::InferenceTarget> TargetOf(Session& session,
                                             const InferenceOptions& options) {
  if (options.prompt.empty() == options.base_model.empty()) {
    return absl::InvalidArgumentError(
        "name either a prompt or a base model (--base with --task)");
  }
  v1::InferenceTarget target;
  if (!options.prompt.empty()) {
    target.set_prompt(PromptName(options.prompt));
    return target;
  }
  if (options.task_file.empty()) {
    return absl::InvalidArgumentError(
        "--base needs --task FILE: the task to answer");
  }
  target.mutable_base()->set_model(ModelName(options.base_model));
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string text,
      ReadInput(options.task_file, session.in(), kMaxDocumentBytes));
  ATTUNE_ASSIGN_OR_RETURN(*target.mutable_base()->mutable_task(),
                          ParseTaskFile(text, options.task_file));
  return target;
}

v1::Decoding DecodingOf(const InferenceOptions& options) {
  v1::Decoding decoding;
  decoding.set_max_new_tokens(options.max_new_tokens);
  if (options.temperature) decoding.set_temperature(*options.temperature);
  if (options.top_k) decoding.set_top_k(*options.top_k);
  if (options.top_p != 0) {
    decoding.mutable_top_p()->set_value(options.top_p);
  }
  decoding.set_seed(options.seed);
  for (const std::string& stop : options.stop) {
    decoding.add_stop(stop);
  }
  decoding.set_num_beams(options.num_beams);
  if (options.length_penalty) {
    decoding.mutable_length_penalty()->set_value(*options.length_penalty);
  }
  return decoding;
}

}  // namespace attune::client
