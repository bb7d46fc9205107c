#ifndef ATTUNE_WORKER_METRICS_NGRAMS_H_
#define ATTUNE_WORKER_METRICS_NGRAMS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace attune::worker {

// Gives words numbers; equal ones have the same. Not thread-safe.
class WordNumbers {
 public:
  std::vector<int32_t> Of(absl::Span<const std::string_view> words);

 private:
  absl::flat_hash_map<std::string, int32_t> numbers_;
};

// The n-grams of one text, each as a number, ascending: of order n at [n - 1].
using Ngrams = std::vector<std::vector<int32_t>>;

// Gives n-grams numbers; equal ones of the same order have the same. Not
// thread-safe.
class NgramNumbers {
 public:
  explicit NgramNumbers(size_t max_order);

  // items: words or characters as numbers that are not negative.
  Ngrams Of(absl::Span<const int32_t> items);

 private:
  // By order from 2: the number of the n-gram without its last item, and the
  // last item.
  std::vector<absl::flat_hash_map<uint64_t, int32_t>> numbers_;
};

// How many of `a` can be matched with one of `b`. Both ascending.
int64_t CountCommon(absl::Span<const int32_t> a, absl::Span<const int32_t> b);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_NGRAMS_H_
