#include "worker/metrics/rouge.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "worker/metrics/class_quality.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/ngrams.h"

namespace attune::worker {
namespace {

constexpr size_t kMaxRougeOrder = 2;

// The only letters beyond ASCII that become ASCII in lower case. What the first
// one leaves besides the i, a combining dot, is no part of a word.
constexpr char32_t kCapitalIWithDot = 0x130;
constexpr char32_t kKelvinSign = 0x212A;

std::vector<std::string> RougeWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  while (!text.empty()) {
    const char32_t code_point = TakeCodePoint(text);
    if (code_point < 0x80 &&
        absl::ascii_isalnum(static_cast<unsigned char>(code_point))) {
      word += absl::ascii_tolower(static_cast<unsigned char>(code_point));
    } else if (code_point == kKelvinSign) {
      word += 'k';
    } else {
      if (code_point == kCapitalIWithDot) word += 'i';
      end_word();
    }
  }
  end_word();
  return words;
}

struct RougeText {
  std::vector<int32_t> words;
  Ngrams ngrams;
};

// The length of the longest sequence of words that both have, in this order but
// not necessarily side by side.
int64_t LongestCommon(const std::vector<int32_t>& a,
                      const std::vector<int32_t>& b) {
  // Of what of `a` was read and the first j words of `b`.
  std::vector<int64_t> longest(b.size() + 1, 0);
  for (const int32_t word : a) {
    int64_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t above = longest[j];
      longest[j] =
          b[j - 1] == word ? diagonal + 1 : std::max(above, longest[j - 1]);
      diagonal = above;
    }
  }
  return longest.back();
}

// F of what both have, from the sizes of both: 2 both / (a + b).
double FMeasure(int64_t both, size_t a, size_t b) {
  return Ratio(2 * static_cast<double>(both), static_cast<double>(a + b));
}

}  // namespace

RougeScores ScoreRouge(absl::Span<const std::string> right,
                       std::string_view given) {
  WordNumbers word_numbers;
  NgramNumbers ngram_numbers(kMaxRougeOrder);
  const auto read = [&](std::string_view text) {
    const std::vector<std::string> words = RougeWords(text);
    RougeText read;
    read.words = word_numbers.Of(
        std::vector<std::string_view>(words.begin(), words.end()));
    read.ngrams = ngram_numbers.Of(read.words);
    return read;
  };
  const auto f_of = [](const RougeText& a, const RougeText& b, size_t order) {
    const std::vector<int32_t>& in_a = a.ngrams[order - 1];
    const std::vector<int32_t>& in_b = b.ngrams[order - 1];
    return FMeasure(CountCommon(in_a, in_b), in_a.size(), in_b.size());
  };

  const RougeText answer = read(given);
  RougeScores best;
  for (const std::string& one : right) {
    const RougeText text = read(one);
    best.rouge_1 = std::max(best.rouge_1, f_of(text, answer, 1));
    best.rouge_2 = std::max(best.rouge_2, f_of(text, answer, 2));
    best.rouge_l = std::max(best.rouge_l,
                            FMeasure(LongestCommon(text.words, answer.words),
                                     text.words.size(), answer.words.size()));
  }
  return best;
}

}  // namespace attune::worker
