#ifndef ATTUNE_CLIENT_COMMANDS_INFERENCE_OPTIONS_H_
#define ATTUNE_CLIENT_COMMANDS_INFERENCE_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "attune/v1/inference_service.pb.h"
#include "client/commands/session.h"

namespace attune::client {

// What `predict` and `generate` have in common: who answers, and how.
struct InferenceOptions {
  std::string prompt;
  std::string base_model;
  std::string task_file;
  std::vector<std::string> fields;
  std::vector<std::string> texts;
  int32_t max_new_tokens = 0;
  std::optional<double> temperature;
  std::optional<int32_t> top_k;
  double top_p = 0;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  int32_t num_beams = 0;
  std::optional<double> length_penalty;
};

// Adds the options for who answers (a prompt, or --base with --task).
void AddTargetOptions(CLI::App& command, InferenceOptions& options);

// Adds the options of a generation.
void AddDecodingOptions(CLI::App& command, InferenceOptions& options);

// INVALID_ARGUMENT when neither or both of prompt and base are named.
absl::StatusOr<v1::InferenceTarget> TargetOf(Session& session,
                                             const InferenceOptions& options);

v1::Decoding DecodingOf(const InferenceOptions& options);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_INFERENCE_OPTIONS_H_
