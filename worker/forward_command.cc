#include "worker/forward_command.h"

#include <c10/core/GradMode.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/forward_pass.h"
#include "worker/forward_rows.h"
#include "worker/models/checkpoint.h"
#include "worker/models/device.h"
#include "worker/models/json_reader.h"
#include "worker/models/mapped_file.h"
#include "worker/models/model_files.h"
#include "worker/models/model_loader.h"
#include "worker/models/torch_errors.h"
#include "worker/prompts/peft_adapter.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

// Of one pass through the model: enough for the matrix products to be
// efficient. A longer input is a pass of its own.
constexpr int64_t kMaxPassRows = 2048;
constexpr size_t kMaxGenerationConfigBytes = size_t{1} << 20;

// Tokens that end what a model generates, as transformers' generate reads them:
// of generation_config.json, or where that is missing of config.json.
absl::StatusOr<std::vector<int64_t>> ReadEndTokens(const std::string& directory,
                                                   const ModelConfig& config) {
  constexpr char kKey[] = "eos_token_id";
  const std::string path = Concat(directory, "/generation_config.json");
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json generation,
                          ReadOptionalObject(path, kMaxGenerationConfigBytes));
  if (generation.empty()) return config.eos_token_ids;
  const auto found = generation.find(kKey);
  std::vector<int64_t> ids;
  if (found == generation.end() || found->is_null()) return ids;
  const auto list =
      found->is_array() ? *found : nlohmann::json::array({*found});
  for (const nlohmann::json& id : list) {
    if (!id.is_number_integer()) {
      return CorruptFile(path, Concat("'", kKey, "' is no token id"));
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

// Whether a file can be made there, before anything is computed.
absl::Status CheckOutput(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        Concat("the output '", path, "' is a directory"));
  }
  const fs::path parent = fs::absolute(path, error).parent_path();
  if (error || !fs::is_directory(parent, error)) {
    return absl::NotFoundError(Concat("the directory of the output '", path,
                                      "' does not exist; make it first"));
  }
  return absl::OkStatus();
}

// A file appears under its name when it is complete.
absl::Status WriteOutput(const std::string& path, const TensorMap& results) {
  const std::string partial = Concat(path, ".partial");
  auto remove = absl::MakeCleanup([&] {
    std::error_code ignored;
    fs::remove(partial, ignored);
  });
  ATTUNE_RETURN_IF_ERROR(
      WriteSafetensorsFile(partial, results, {{"format", "pt"}}));
  std::error_code error;
  fs::rename(partial, path, error);
  if (error) {
    return absl::UnavailableError(
        Concat("cannot rename ", partial, " to ", path, ": ", error.message()));
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

// What the rows of the input file have to fit.
ForwardRowRules RulesFor(const ForwardOptions& options,
                         const ModelConfig& config,
                         const std::optional<PeftAdapter>& adapter) {
  ForwardRowRules rules = {.model_dir = options.model_dir,
                           .config = config,
                           .max_tokens = config.context_length,
                           .max_decoder_tokens = config.context_length};
  if (!adapter) return rules;
  const bool is_of_decoder =
      config.kind == ModelKind::kEncoderDecoder && adapter->is_prefix();
  (is_of_decoder ? rules.max_decoder_tokens : rules.max_tokens) -=
      adapter->num_rows();
  return rules;
}

// Runs all rows in as few passes as their limit allows.
absl::StatusOr<TensorMap> RunPasses(const ForwardPass& pass,
                                    std::span<const ForwardRow> rows,
                                    std::ostream* progress) {
  TensorMap results;
  size_t begin = 0;
  while (begin < rows.size()) {
    size_t end = begin;
    int64_t num_rows = 0;
    do {
      num_rows += pass.NumRows(rows[end++]);
    } while (end < rows.size() &&
             num_rows + pass.NumRows(rows[end]) <= kMaxPassRows);
    ATTUNE_RETURN_IF_ERROR(pass.Run(rows.subspan(begin, end - begin),
                                    static_cast<int64_t>(begin), results));
    const bool is_long = begin > 0 || end < rows.size();
    if (progress != nullptr && is_long) {
      *progress << "\rrow " << end << " of " << rows.size() << std::flush;
      if (end == rows.size()) *progress << '\n';
    }
    begin = end;
  }
  return results;
}

absl::StatusOr<int64_t> ForwardAll(const ForwardOptions& options,
                                   std::ostream* progress) {
  ATTUNE_RETURN_IF_ERROR(CheckOutput(options.output_file));
  ATTUNE_ASSIGN_OR_RETURN(const c10::Device device, OpenDevice(options.device));
  ATTUNE_ASSIGN_OR_RETURN(const c10::ScalarType dtype,
                          ChooseDtype(options.dtype, device));
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config,
                          ReadModelConfig(options.model_dir));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<int64_t> end_tokens,
                          ReadEndTokens(options.model_dir, config));
  std::optional<PeftAdapter> adapter;
  if (!options.prompt_dir.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(adapter,
                            ReadPeftAdapter(options.prompt_dir, config));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<ForwardRow> rows,
      ReadForwardRows(options.input_file, RulesFor(options, config, adapter)));
  ATTUNE_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                          Checkpoint::Open(options.model_dir));
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<BaseModel> model,
                          LoadBaseModel(config, checkpoint, device, dtype));
  ATTUNE_ASSIGN_OR_RETURN(
      const ForwardPass pass,
      ForwardPass::Create(*model, adapter,
                          {.max_new_tokens = options.max_new_tokens,
                           .end_tokens = std::move(end_tokens)}));
  ATTUNE_ASSIGN_OR_RETURN(const TensorMap results,
                          RunPasses(pass, rows, progress));
  ATTUNE_RETURN_IF_ERROR(WriteOutput(options.output_file, results));
  return static_cast<int64_t>(rows.size());
}

}  // namespace

absl::StatusOr<int64_t> RunForward(const ForwardOptions& options,
                                   std::ostream* progress) {
  const at::NoGradGuard no_grad;
  return CatchTorchErrors("forward",
                          [&] { return ForwardAll(options, progress); });
}

}  // namespace attune::worker
