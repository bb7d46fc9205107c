#include "worker/tasks/input_choices.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "proto/cc/status.h"
#include "proto/cc/text.h"
#include "worker/tasks/spaced_answer.h"

namespace attune::worker {
namespace {

constexpr size_t kMinChoices = 2;
constexpr size_t kMaxChoices = 64;

absl::Status ChoicesError(std::string_view field, std::string_view what) {
  return MakeError(Reason::kInvalidData, Concat("field '", field, "'", what));
}

}  // namespace

int64_t InputChoices::num_tokens() const {
  int64_t sum = 0;
  for (const auto& choice : ids) sum += static_cast<int64_t>(choice.size());
  return sum;
}

int64_t InputChoices::max_tokens() const {
  size_t longest = 0;
  for (const auto& choice : ids) longest = std::max(longest, choice.size());
  return static_cast<int64_t>(longest);
}

std::optional<int> InputChoices::Find(std::string_view text) const {
  const auto found = std::find(texts.begin(), texts.end(), text);
  if (found == texts.end()) return std::nullopt;
  return static_cast<int>(found - texts.begin());
}

absl::StatusOr<std::vector<std::string>> ReadChoices(
    const nlohmann::json& fields, const std::string& field) {
  const auto found = fields.find(field);
  if (found == fields.end()) {
    return ChoicesError(field, " with the choices is missing");
  }
  if (!found->is_array()) {
    return ChoicesError(
        field, Concat(" must be a list of texts, not ", found->type_name()));
  }
  if (found->size() < kMinChoices || found->size() > kMaxChoices) {
    return ChoicesError(
        field, Concat(" has ", found->size(), " choices; ", kMinChoices, " to ",
                      kMaxChoices, " are allowed"));
  }
  std::vector<std::string> texts;
  texts.reserve(found->size());
  std::map<std::string, size_t> places;
  for (const nlohmann::json& choice : *found) {
    const size_t place = texts.size();
    if (!choice.is_string() ||
        absl::StripAsciiWhitespace(choice.get_ref<const std::string&>())
            .empty()) {
      return ChoicesError(field, Concat(": choice ", place,
                                        " (counted from 0) is empty or no "
                                        "text"));
    }
    texts.push_back(choice.get<std::string>());
    const auto [earlier, is_new] = places.emplace(texts.back(), place);
    if (!is_new) {
      return ChoicesError(
          field, Concat(": choices ", earlier->second, " and ", place,
                        " (counted from 0) are both '", texts.back(), "'"));
    }
  }
  return texts;
}

absl::StatusOr<std::vector<std::vector<int64_t>>> EncodeChoices(
    const Tokenizer& tokenizer, absl::Span<const std::string> texts,
    bool bare) {
  std::vector<std::vector<int64_t>> ids;
  ids.reserve(texts.size());
  for (const std::string& text : texts) {
    absl::StatusOr<Encoding> tokens = tokenizer.Encode(
        SpacedAnswer(text, bare), /*add_special_tokens=*/false);
    if (!tokens.ok()) {
      return MakeError(Reason::kInvalidData, ToStd(tokens.status().message()));
    }
    ids.push_back(std::move(tokens->ids));
  }
  return ids;
}

absl::Status CheckChoiceTokens(const InputChoices& choices,
                               std::string_view field) {
  std::map<std::vector<int64_t>, size_t> places;
  for (size_t place = 0; place < choices.ids.size(); ++place) {
    if (choices.ids[place].empty()) {
      return ChoicesError(field,
                          Concat(": choice '", choices.texts[place],
                                 "' has no tokens: the model does not see it"));
    }
    const auto [earlier, is_new] = places.emplace(choices.ids[place], place);
    if (!is_new) {
      return ChoicesError(field,
                          Concat(": choices '", choices.texts[earlier->second],
                                 "' and '", choices.texts[place],
                                 "' become the same tokens: the model sees no "
                                 "difference"));
    }
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
