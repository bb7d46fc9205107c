#ifndef ATTUNE_WORKER_MODELS_VOCABULARY_FILES_H_
#define ATTUNE_WORKER_MODELS_VOCABULARY_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::worker {

// The tokens of a model's vocabulary with their ids; no token and no id occurs
// twice.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  // False if the token or the id is taken.
  bool Add(std::string token, int64_t id);

  // The token's id, or -1.
  int64_t Find(std::string_view token) const;
  // Null if no token has the id.
  const std::string* TokenOf(int64_t id) const;

  size_t size() const { return ids_.size(); }
  // In no particular order.
  const std::unordered_map<std::string, int64_t>& ids() const { return ids_; }

 private:
  std::unordered_map<std::string, int64_t> ids_;
  std::unordered_map<int64_t, const std::string*> tokens_;  // keys of ids_
};

using MergePairs = std::vector<std::pair<std::string, std::string>>;

// Largest vocabulary file and merges file that are read.
inline constexpr size_t kMaxVocabularyBytes = size_t{64} << 20;

// vocab.txt: a token per line, whose number is the id; white space at the end
// of a line does not count. DataLoss naming file and line for a token that
// occurs twice or is not UTF-8.
absl::StatusOr<Vocabulary> ReadVocabTxt(const std::string& path);

// vocab.json: an object of tokens and ids. DataLoss naming file and token for
// anything but whole numbers, and for an id of two tokens.
absl::StatusOr<Vocabulary> ReadVocabJson(const std::string& path);

// merges.txt: a pair of tokens per line, separated by a space, the most
// important first; lines that begin with #version do not count. DataLoss
// naming file and line for what is no pair, and for a pair of which a part or
// the whole is not in `vocabulary`.
absl::StatusOr<MergePairs> ReadMergesTxt(const std::string& path,
                                         const Vocabulary& vocabulary);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_VOCABULARY_FILES_H_
