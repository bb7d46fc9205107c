#include "worker/tokenize_command.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/model_files.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

using Json = nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxModelConfigBytes = size_t{1} << 20;
// Rows are flat, but what they carry beside the texts may not be.
constexpr int kMaxRowDepth = 32;

struct TextRow {
  std::string text;
  std::optional<std::string> text_pair;
};

absl::StatusOr<std::unique_ptr<const Tokenizer>> OpenTokenizer(
    const std::string& directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error)) {
    return absl::NotFoundError(
        Concat("model directory '", directory, "' does not exist"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const Json config,
                          ReadOptionalObject(Concat(directory, "/config.json"),
                                             kMaxModelConfigBytes));
  const auto type = config.find("model_type");
  const bool is_named = type != config.end() && type->is_string();
  return ReadTokenizer(directory,
                       is_named ? type->get<std::string>() : std::string());
}

absl::StatusOr<TextRow> ParseTextRow(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const Json row, ParseJson(line, kMaxRowDepth));
  if (!row.is_object()) {
    return absl::InvalidArgumentError("the row is not a JSON object");
  }
  const auto text = row.find("text");
  if (text == row.end() || !text->is_string()) {
    return absl::InvalidArgumentError("'text' is missing or no text");
  }
  TextRow parsed = {.text = text->get<std::string>(), .text_pair = {}};
  const auto pair = row.find("text_pair");
  if (pair == row.end() || pair->is_null()) return parsed;
  if (!pair->is_string()) {
    return absl::InvalidArgumentError("'text_pair' is no text");
  }
  parsed.text_pair = pair->get<std::string>();
  return parsed;
}

absl::StatusOr<std::string> TokenizeRow(const Tokenizer& tokenizer,
                                        std::string_view line,
                                        bool add_special_tokens) {
  ATTUNE_ASSIGN_OR_RETURN(const TextRow row, ParseTextRow(line));
  const absl::StatusOr<Encoding> encoding =
      row.text_pair.has_value()
          ? tokenizer.EncodePair(row.text, *row.text_pair, add_special_tokens)
          : tokenizer.Encode(row.text, add_special_tokens);
  ATTUNE_RETURN_IF_ERROR(encoding.status());
  ordered_json offsets = ordered_json::array();
  for (const auto& [begin, end] : encoding->characters) {
    offsets.push_back({begin, end});
  }
  ordered_json tokens = ordered_json::array();
  for (const int64_t id : encoding->ids) {
    tokens.push_back(tokenizer.IdToToken(id).value_or(""));
  }
  const ordered_json result = {{"ids", encoding->ids},
                               {"offsets", std::move(offsets)},
                               {"tokens", std::move(tokens)},
                               {"type_ids", encoding->type_ids}};
  return result.dump();
}

}  // namespace

absl::Status RunTokenize(const TokenizeOptions& options, std::ostream& out) {
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer,
                          OpenTokenizer(options.model_dir));
  std::ifstream input(options.input_file, std::ios::binary);
  if (!input) {
    return absl::NotFoundError(
        Concat("cannot read the input '", options.input_file, "'"));
  }
  std::string line;
  for (int64_t number = 1; std::getline(input, line); ++number) {
    const absl::StatusOr<std::string> result =
        TokenizeRow(*tokenizer, line, options.add_special_tokens);
    if (!result.ok()) {
      return WithContext(result.status(),
                         Concat(options.input_file, " line ", number));
    }
    out << *result << '\n';
  }
  out.flush();
  if (input.bad()) {
    return absl::DataLossError(
        Concat("reading '", options.input_file, "' failed"));
  }
  if (!out) return absl::DataLossError("cannot write the result");
  return absl::OkStatus();
}

}  // namespace attune::worker
