#ifndef ATTUNE_WORKER_METRICS_BLEU_H_
#define ATTUNE_WORKER_METRICS_BLEU_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace attune::worker {

// BLEU of a corpus (Papineni et al. 2002) as sacrebleu 2 computes it by
// default: n-grams up to 4, case kept, orders without a match smoothed
// exponentially (Chen and Cherry 2014, method 3).

// How a text becomes words.
enum class BleuTokenizer {
  k13a,  // of mteval-v13a: white space and ASCII punctuation separate words
  kZh,   // every Chinese character is a word of its own
};

// What BLEU needs to know of rows; those of several rows add up.
struct BleuCounts {
  static constexpr size_t kMaxOrder = 4;

  BleuCounts& operator+=(const BleuCounts& other);

  // n-grams of order n at [n - 1]: that match one of a right answer, and of the
  // given answer.
  std::array<int64_t, kMaxOrder> matches{};
  std::array<int64_t, kMaxOrder> totals{};
  // Words: of the given answer, and of the right one whose length is nearest.
  int64_t given_words = 0;
  int64_t right_words = 0;
};

std::vector<std::string> BleuWords(std::string_view text,
                                   BleuTokenizer tokenizer);

// Of one row. Any of `right` is a right answer; none is one without words.
BleuCounts CountForBleu(absl::Span<const std::string> right,
                        std::string_view given, BleuTokenizer tokenizer);

// 0 to 1: 0.274 is what others call 27.4. 0 of no rows, and if no given answer
// has four words.
double BleuOf(const BleuCounts& sum);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_BLEU_H_
