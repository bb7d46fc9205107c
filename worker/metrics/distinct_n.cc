#include "worker/metrics/distinct_n.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "worker/metrics/class_quality.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/ngrams.h"

namespace attune::worker {

DistinctShares DistinctSharesOf(absl::Span<const std::string> answers) {
  WordNumbers word_numbers;
  NgramNumbers ngram_numbers(/*max_order=*/2);
  absl::flat_hash_set<int32_t> words;
  absl::flat_hash_set<int32_t> pairs;
  size_t num_words = 0;
  for (const std::string& answer : answers) {
    const Ngrams ngrams = ngram_numbers.Of(word_numbers.Of(SplitWords(answer)));
    words.insert(ngrams[0].begin(), ngrams[0].end());
    pairs.insert(ngrams[1].begin(), ngrams[1].end());
    num_words += ngrams[0].size();
  }
  const auto count = static_cast<double>(num_words);
  return {.distinct_1 = Ratio(static_cast<double>(words.size()), count),
          .distinct_2 = Ratio(static_cast<double>(pairs.size()), count)};
}

}  // namespace attune::worker
