#ifndef ATTUNE_WORKER_TASKS_LABEL_TOKENS_H_
#define ATTUNE_WORKER_TASKS_LABEL_TOKENS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/task.pb.h"
#include "worker/models/model_store.h"
#include "worker/tasks/label_trie.h"
#include "worker/tasks/mask_words.h"

namespace attune::worker {

// The label words of a classification as tokens of a model: as they stand
// behind a text, or at its mask. Immutable.
class LabelTokens {
 public:
  // Words that follow a text. Errors of LabelTrie::Build, and INVALID_ARGUMENT
  // naming a word that is no text to the tokenizer.
  static absl::StatusOr<LabelTokens> BehindText(
      const attune::v1::TaskSpec& task, const LoadedModel& model,
      int64_t end_token);
  // Words that stand for the model's mask. Errors of MaskWords::Build and as
  // above; FAILED_PRECONDITION if the model names no mask.
  static absl::StatusOr<LabelTokens> AtMask(const attune::v1::TaskSpec& task,
                                            const LoadedModel& model);

  // Tokens of the longest word.
  int64_t longest() const { return longest_; }

  // bare: without a space of their own in front. Only behind a text.
  const LabelTrie& trie(bool bare) const { return bare ? *bare_ : *spaced_; }

  // Only at a mask.
  const MaskWords& mask_words() const { return *mask_words_; }
  // The place of the mask among `ids`; kInvalidData unless there is one only.
  absl::StatusOr<int64_t> FindMask(const std::vector<int64_t>& ids) const;

 private:
  LabelTokens() = default;

  // Each word behind a space or none.
  absl::StatusOr<std::vector<LabelTrie::Word>> Encode(
      const attune::v1::TaskSpec& task, const LoadedModel& model, bool spaced);

  int64_t longest_ = 0;
  std::optional<LabelTrie> spaced_;
  std::optional<LabelTrie> bare_;
  std::optional<MaskWords> mask_words_;
  std::string mask_;  // as a text has it
  int64_t mask_id_ = -1;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_LABEL_TOKENS_H_
