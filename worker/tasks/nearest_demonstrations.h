#ifndef ATTUNE_WORKER_TASKS_NEAREST_DEMONSTRATIONS_H_
#define ATTUNE_WORKER_TASKS_NEAREST_DEMONSTRATIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/models/base_model.h"
#include "worker/text/tokenizer.h"

namespace attune::worker {

// What a question says: the texts and numbers of those `fields` whose names are
// among `names`, in the order of the names, without the template's own words.
// Of lists and objects everything in them, with the keys of objects.
std::string QuestionText(const std::set<std::string>& names,
                         const nlohmann::json& fields);

// Finds the texts of a pool that are nearest to another text: by the cosine of
// their smooth inverse frequency embeddings (Arora, Liang and Ma 2017), which
// take no pass through the model. The embedding of a text is the mean of its
// tokens' rows in the model's table, each weighted by a / (a + p), where p is
// the token's share of all tokens of the pool and a is 0.001, without the part
// of it that lies along the first principal component of the pool's means.
// Computes with one thread, always in the same order. Const after construction:
// any number of threads may use one.
class NearestDemonstrations {
 public:
  // tokenizer, model: must outlive this. INVALID_ARGUMENT (kInvalidData): a
  // text is none to the tokenizer.
  static absl::StatusOr<std::unique_ptr<const NearestDemonstrations>> Create(
      const std::vector<std::string>& pool, const Tokenizer& tokenizer,
      const BaseModel& model);

  // Where in the pool the `count` texts stand that are nearest to `text`, or as
  // many as there are, the nearest first; of equally near ones the earlier in
  // the pool. Those that say the same as `text`, white space aside, are left
  // out. Error as of Create.
  absl::StatusOr<std::vector<size_t>> Nearest(std::string_view text,
                                              size_t count) const;

  // What it takes of the memory, about.
  size_t num_bytes() const;

 private:
  // A token of a text, and how often it stands there.
  struct TokenCount {
    int64_t id = 0;
    int64_t count = 0;
  };

  NearestDemonstrations(const Tokenizer& tokenizer, const BaseModel& model);

  absl::Status AddTexts(const std::vector<std::string>& pool);
  // `text` without extra white space; the tokens in the order of their ids.
  absl::StatusOr<std::vector<TokenCount>> CountTokens(
      const std::string& text) const;
  // -> [width_]; zeros for a text without tokens.
  std::vector<double> MeanOf(const std::vector<TokenCount>& tokens) const;
  // Makes an embedding of a mean [width_]: of length 1, or zeros.
  void Finish(std::vector<double>& mean) const;
  absl::Span<const float> VectorAt(size_t place) const {
    return absl::MakeConstSpan(vectors_).subspan(place * width_, width_);
  }

  const Tokenizer& tokenizer_;
  const BaseModel& model_;
  const size_t width_;
  std::vector<std::string> texts_;              // without extra white space
  std::unordered_map<int64_t, double> shares_;  // of the pool's tokens, by id
  std::vector<double> common_;                  // [width_]
  std::vector<float> vectors_;                  // [pool, width_]
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_NEAREST_DEMONSTRATIONS_H_
