#include "worker/tasks/label_tokens.h"

#include <algorithm>
#include <utility>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {

absl::StatusOr<std::vector<LabelTrie::Word>> LabelTokens::Encode(
    const attune::v1::TaskSpec& task, const LoadedModel& model, bool spaced) {
  std::vector<LabelTrie::Word> words;
  for (int label = 0; label < task.labels_size(); ++label) {
    for (const std::string& word : task.labels(label).words()) {
      absl::StatusOr<Encoding> tokens =
          model.tokenizer->Encode(spaced ? Concat(" ", word) : word,
                                  /*add_special_tokens=*/false);
      if (!tokens.ok()) {
        return InvalidField(Concat("task.labels[", label, "].words"),
                            ToStd(tokens.status().message()));
      }
      longest_ = std::max(longest_, static_cast<int64_t>(tokens->ids.size()));
      words.push_back({label, word, std::move(tokens->ids)});
    }
  }
  return words;
}

absl::StatusOr<LabelTokens> LabelTokens::BehindText(
    const attune::v1::TaskSpec& task, const LoadedModel& model,
    int64_t end_token) {
  LabelTokens built;
  for (const bool bare : {false, true}) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<LabelTrie::Word> words,
                            built.Encode(task, model, /*spaced=*/!bare));
    std::optional<LabelTrie>& trie = bare ? built.bare_ : built.spaced_;
    ATTUNE_ASSIGN_OR_RETURN(
        trie, LabelTrie::Build(words, task.labels_size(), end_token));
  }
  return built;
}

absl::StatusOr<LabelTokens> LabelTokens::AtMask(
    const attune::v1::TaskSpec& task, const LoadedModel& model) {
  LabelTokens built;
  const std::optional<int64_t> mask =
      model.tokenizer->TokenToId(model.mask_token);
  if (model.mask_token.empty() || !mask.has_value()) {
    return MakeError(Reason::kIllegalState,
                     Concat("model '", model.info.id, "' names no mask token"));
  }
  built.mask_ = model.mask_token;
  built.mask_id_ = *mask;
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<LabelTrie::Word> words,
                          built.Encode(task, model, /*spaced=*/true));
  ATTUNE_ASSIGN_OR_RETURN(built.mask_words_,
                          MaskWords::Build(words, task.labels_size()));
  return built;
}

absl::StatusOr<int64_t> LabelTokens::FindMask(
    const std::vector<int64_t>& ids) const {
  const auto count = std::count(ids.begin(), ids.end(), mask_id_);
  if (count != 1) {
    return MakeError(Reason::kInvalidData,
                     Concat("the input has ", count, " masks ('", mask_,
                            "'); it must have one, that of {{ mask }} in the "
                            "template"));
  }
  return std::find(ids.begin(), ids.end(), mask_id_) - ids.begin();
}

}  // namespace attune::worker
