#include "worker/tasks/cut_field.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/tasks/cut_tokens.h"

namespace attune::worker {

bool CutField(const attune::v1::Truncation& truncation,
              const std::set<std::string>& names, const Tokenizer& tokenizer,
              size_t excess, nlohmann::json& fields) {
  std::string* longest = nullptr;
  Encoding longest_tokens;
  for (const std::string& name : names) {
    if (!truncation.field().empty() && name != truncation.field()) continue;
    const auto field = fields.find(name);
    if (field == fields.end() || !field->is_string()) continue;
    std::string& value = field->get_ref<std::string&>();
    absl::StatusOr<Encoding> tokens =
        tokenizer.Encode(value, /*add_special_tokens=*/false);
    if (tokens.ok() && tokens->ids.size() > longest_tokens.ids.size()) {
      longest = &value;
      longest_tokens = *std::move(tokens);
    }
  }
  if (longest == nullptr) return false;
  *longest = CutTokens(*longest, longest_tokens, excess, truncation.side());
  return true;
}

}  // namespace attune::worker
