#ifndef ATTUNE_WORKER_TASKS_INPUT_CHOICES_H_
#define ATTUNE_WORKER_TASKS_INPUT_CHOICES_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// The choices that come with an input of a multiple choice, in its order.
struct InputChoices {
  std::vector<std::string> texts;         // 2 to 64, none twice
  std::vector<std::vector<int64_t>> ids;  // as they stand behind the input

  // Tokens of all of them.
  int64_t num_tokens() const;
  // Those of the longest.
  int64_t max_tokens() const;
  // The place of the choice with this text.
  std::optional<int> Find(std::string_view text) const;
};

// Reads the choices of a row out of `field` of its fields. INVALID_ARGUMENT
// (kInvalidData) naming the field unless it is a list of 2 to 64 texts, none
// blank or there twice.
absl::StatusOr<std::vector<std::string>> ReadChoices(
    const nlohmann::json& fields, const std::string& field);

// The tokens of each of `texts` behind an input: behind a space unless `bare`.
absl::StatusOr<std::vector<std::vector<int64_t>>> EncodeChoices(
    const Tokenizer& tokenizer, absl::Span<const std::string> texts, bool bare);

// INVALID_ARGUMENT (kInvalidData) naming `field` and places for choices that
// have no tokens or the same as another one: the model does not see a
// difference.
absl::Status CheckChoiceTokens(const InputChoices& choices,
                               std::string_view field);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_INPUT_CHOICES_H_
