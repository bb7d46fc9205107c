#include "worker/forward_rows.h"

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"
#include "worker/models/model_files.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {
namespace {

// Rows are flat, but what they carry beside their inputs may not be.
constexpr int kMaxForwardRowDepth = 32;

using OptionalIds = std::optional<std::vector<int64_t>>;

absl::Status WrongRow(std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(what));
}

absl::StatusOr<std::optional<std::string>> TextOf(const nlohmann::json& row,
                                                  const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  return WrongRow(Concat("'", key, "' is no text"));
}

// The ids under `key`, all in [0, limit); nothing without the key.
absl::StatusOr<OptionalIds> IdsOf(const nlohmann::json& row, const char* key,
                                  int64_t limit) {
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) return std::nullopt;
  if (!found->is_array()) {
    return WrongRow(Concat("'", key, "' is no list of ids"));
  }
  std::vector<int64_t> ids;
  ids.reserve(found->size());
  for (const nlohmann::json& id : *found) {
    if (!id.is_number_unsigned() ||
        id.get<uint64_t>() >= static_cast<uint64_t>(limit)) {
      return WrongRow(Concat("'", key, "' element ", ids.size(), " is ",
                             id.dump().substr(0, 40),
                             "; ids of this model are 0 to ", limit - 1));
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

// Turns lines into rows. Reads the tokenizer when the first text comes.
class ForwardRowParser {
 public:
  explicit ForwardRowParser(const ForwardRowRules& rules) : rules_(rules) {}

  absl::StatusOr<ForwardRow> Parse(std::string_view line) {
    ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json object,
                            ParseJson(line, kMaxForwardRowDepth));
    if (!object.is_object()) return WrongRow("the row is not a JSON object");
    ATTUNE_ASSIGN_OR_RETURN(ForwardRow row, ParseInput(object));
    ATTUNE_RETURN_IF_ERROR(AddTokenTypes(object, row));
    ATTUNE_RETURN_IF_ERROR(AddDecoderIds(object, row));
    if (row.input_ids.empty()) {
      return WrongRow(
          "the input has no tokens, and the model nothing to compute");
    }
    ATTUNE_RETURN_IF_ERROR(
        CheckLength("the input", row.input_ids, rules_.max_tokens));
    ATTUNE_RETURN_IF_ERROR(CheckLength("'decoder_input_ids'",
                                       row.decoder_input_ids,
                                       rules_.max_decoder_tokens));
    return row;
  }

 private:
  const ModelConfig& config() const { return rules_.config; }

  absl::Status CheckLength(std::string_view what,
                           const std::vector<int64_t>& ids,
                           int64_t limit) const {
    if (static_cast<int64_t>(ids.size()) <= limit) return absl::OkStatus();
    const int64_t context = config().context_length;
    return WrongRow(Concat(
        what, " has ", ids.size(), " tokens; the model's context is ", context,
        limit == context
            ? std::string()
            : Concat(", of which the prompt takes ", context - limit)));
  }

  absl::StatusOr<ForwardRow> ParseInput(const nlohmann::json& object) {
    ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                            TextOf(object, "text"));
    ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> pair,
                            TextOf(object, "text_pair"));
    ATTUNE_ASSIGN_OR_RETURN(OptionalIds ids,
                            IdsOf(object, "input_ids", config().vocab_size));
    if (text.has_value() == ids.has_value()) {
      return WrongRow("a row has either 'text' or 'input_ids'");
    }
    ForwardRow row;
    if (text) return Tokenize(*text, pair);
    if (pair) return WrongRow("'text_pair' without 'text'");
    row.input_ids = *std::move(ids);
    return row;
  }

  absl::StatusOr<ForwardRow> Tokenize(const std::string& text,
                                      const std::optional<std::string>& pair) {
    if (tokenizer_ == nullptr) {
      ATTUNE_ASSIGN_OR_RETURN(tokenizer_,
                              ReadTokenizer(rules_.model_dir, config().family));
    }
    absl::StatusOr<Encoding> encoding =
        pair ? tokenizer_->EncodePair(text, *pair, /*add_special_tokens=*/true)
             : tokenizer_->Encode(text, /*add_special_tokens=*/true);
    ATTUNE_RETURN_IF_ERROR(encoding.status());
    for (const int64_t id : encoding->ids) {
      if (id < config().vocab_size) continue;
      return WrongRow(Concat("the tokenizer gives the id ", id,
                             ", but config.json says that there are ",
                             config().vocab_size));
    }
    ForwardRow row;
    row.input_ids = std::move(encoding->ids);
    // Tokenizers number the texts of a pair also for models without types.
    if (config().num_token_types > 1) {
      row.token_types = std::move(encoding->type_ids);
    }
    return row;
  }

  absl::Status AddTokenTypes(const nlohmann::json& object,
                             ForwardRow& row) const {
    if (!object.contains("token_type_ids")) return absl::OkStatus();
    if (config().num_token_types < 1) {
      return WrongRow(Concat("'token_type_ids' for a model of the family '",
                             config().family, "', which has no token types"));
    }
    ATTUNE_ASSIGN_OR_RETURN(OptionalIds types, IdsOf(object, "token_type_ids",
                                                     config().num_token_types));
    if (!types) return absl::OkStatus();
    if (types->size() != row.input_ids.size()) {
      return WrongRow(Concat("'token_type_ids' has ", types->size(),
                             " elements for ", row.input_ids.size(),
                             " tokens"));
    }
    row.token_types = *std::move(types);
    return absl::OkStatus();
  }

  absl::Status AddDecoderIds(const nlohmann::json& object,
                             ForwardRow& row) const {
    ATTUNE_ASSIGN_OR_RETURN(OptionalIds ids, IdsOf(object, "decoder_input_ids",
                                                   config().vocab_size));
    if (config().kind != ModelKind::kEncoderDecoder) {
      if (!ids) return absl::OkStatus();
      return WrongRow(Concat("'decoder_input_ids' for a model of the kind ",
                             ModelKindName(config().kind)));
    }
    if (!ids && config().decoder_start_token_id < 0) {
      return WrongRow(
          "'decoder_input_ids' is missing, and config.json names no "
          "'decoder_start_token_id' to begin with");
    }
    if (!ids) ids.emplace(1, config().decoder_start_token_id);
    if (ids->empty()) return WrongRow("'decoder_input_ids' is empty");
    row.decoder_input_ids = *std::move(ids);
    return absl::OkStatus();
  }

  const ForwardRowRules& rules_;
  std::unique_ptr<const Tokenizer> tokenizer_;
};

}  // namespace

absl::StatusOr<std::vector<ForwardRow>> ReadForwardRows(
    const std::string& path, const ForwardRowRules& rules) {
  std::ifstream input(path, std::ios::binary);
  if (!input) {
    return absl::NotFoundError(Concat("cannot read the input '", path, "'"));
  }
  ForwardRowParser parser(rules);
  std::vector<ForwardRow> rows;
  std::string line;
  for (int64_t number = 1; std::getline(input, line); ++number) {
    absl::StatusOr<ForwardRow> row = parser.Parse(line);
    if (!row.ok()) {
      return WithContext(row.status(), Concat(path, " line ", number));
    }
    rows.push_back(*std::move(row));
  }
  if (input.bad()) {
    return absl::DataLossError(Concat("reading '", path, "' failed"));
  }
  if (rows.empty()) {
    return absl::InvalidArgumentError(Concat(path, ": there are no rows"));
  }
  return rows;
}

}  // namespace attune::worker
