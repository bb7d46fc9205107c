#include "worker/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/ngrams.h"

namespace attune::worker {
namespace {

struct CodePointRange {
  char32_t first;
  char32_t last;
};

// What sacrebleu's zh tokenizer separates. Its bounds \u20000 and \u2a6d6 are
// strings of two characters in Python, so they take in U+2001 to U+2A6D, where
// dashes, quotation marks and arrows are, and leave out the ideographs beyond
// U+FFFF that they were meant for. The same with \u2f800, which adds nothing.
constexpr CodePointRange kChinese[] = {
    {0x2001, 0x2A6D}, {0x2E80, 0x2EFF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x303F},
    {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0x31C0, 0x31EF}, {0x3200, 0x33FF},
    {0x3400, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A},
    {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F}, {0xFF00, 0xFFEF},
};

bool IsChinese(char32_t code_point) {
  return std::any_of(std::begin(kChinese), std::end(kChinese),
                     [&](const CodePointRange& range) {
                       return range.first <= code_point &&
                              code_point <= range.last;
                     });
}

std::string SeparateChinese(std::string_view text) {
  std::string separated;
  while (!text.empty()) {
    const std::string_view before = text;
    const bool is_chinese = IsChinese(TakeCodePoint(text));
    if (is_chinese) separated += ' ';
    separated += before.substr(0, before.size() - text.size());
    if (is_chinese) separated += ' ';
  }
  return separated;
}

// What mteval-v13a does to any language.
std::string Unescape(std::string text) {
  absl::StrReplaceAll({{"<skipped>", ""}}, &text);
  absl::StrReplaceAll({{"-\n", ""}}, &text);
  absl::StrReplaceAll({{"\n", " "}}, &text);
  // One after the other: "&amp;lt;" becomes "<".
  absl::StrReplaceAll({{"&quot;", "\""}}, &text);
  absl::StrReplaceAll({{"&amp;", "&"}}, &text);
  absl::StrReplaceAll({{"&lt;", "<"}}, &text);
  absl::StrReplaceAll({{"&gt;", ">"}}, &text);
  return text;
}

bool IsPeriodOrComma(char c) { return c == '.' || c == ','; }

// Puts a space in front of and behind ASCII punctuation other than ' , - and .
std::string SeparatePunctuation(std::string_view text) {
  std::string separated;
  for (const char c : text) {
    const bool apart =
        absl::ascii_ispunct(c) && c != '\'' && c != '-' && !IsPeriodOrComma(c);
    if (apart) separated += ' ';
    separated += c;
    if (apart) separated += ' ';
  }
  return separated;
}

// Goes over `text` once: puts `before`, the pair's space and `after` around the
// characters of each pair that `matches`. A character is in one pair at most.
// The pairs below differ in bytes of ASCII only, so bytes do for characters.
template <typename Matches>
std::string SeparatePairs(std::string_view text, std::string_view before,
                          std::string_view after, Matches matches) {
  std::string separated;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && matches(text[i], text[i + 1])) {
      separated += before;
      separated += text[i];
      separated += ' ';
      separated += text[++i];
      separated += after;
    } else {
      separated += text[i];
    }
  }
  return separated;
}

// Periods and commas are part of a word only between digits; a dash behind a
// digit is a word.
std::string SeparateNumbers(std::string text) {
  text = SeparatePairs(text, "", " ", [](char a, char b) {
    return !absl::ascii_isdigit(a) && IsPeriodOrComma(b);
  });
  text = SeparatePairs(text, " ", "", [](char a, char b) {
    return IsPeriodOrComma(a) && !absl::ascii_isdigit(b);
  });
  return SeparatePairs(text, "", " ", [](char a, char b) {
    return absl::ascii_isdigit(a) && b == '-';
  });
}

struct BleuText {
  int64_t num_words = 0;
  Ngrams ngrams;
};

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (size_t i = 0; i < kMaxOrder; ++i) {
    matches[i] += other.matches[i];
    totals[i] += other.totals[i];
  }
  given_words += other.given_words;
  right_words += other.right_words;
  return *this;
}

std::vector<std::string> BleuWords(std::string_view text,
                                   BleuTokenizer tokenizer) {
  std::string line;
  if (tokenizer == BleuTokenizer::kZh) {
    line = SeparateChinese(Strip(text));
  } else {
    line = " ";
    line += Unescape(std::string(StripRight(text)));
    line += " ";
  }
  line = SeparateNumbers(SeparatePunctuation(line));
  const std::vector<std::string_view> words = SplitWords(line);
  return {words.begin(), words.end()};
}

BleuCounts CountForBleu(absl::Span<const std::string> right,
                        std::string_view given, BleuTokenizer tokenizer) {
  WordNumbers word_numbers;
  NgramNumbers ngram_numbers(BleuCounts::kMaxOrder);
  const auto read = [&](std::string_view text) {
    const std::vector<std::string> words = BleuWords(text, tokenizer);
    const std::vector<int32_t> numbers = word_numbers.Of(
        std::vector<std::string_view>(words.begin(), words.end()));
    return BleuText{static_cast<int64_t>(words.size()),
                    ngram_numbers.Of(numbers)};
  };

  const BleuText answer = read(given);
  BleuCounts counts;
  counts.given_words = answer.num_words;
  // An n-gram matches as often as the right answer with most of it has it.
  Ngrams all(BleuCounts::kMaxOrder);
  for (size_t r = 0; r < right.size(); ++r) {
    const BleuText one = read(right[r]);
    const int64_t distance = std::abs(one.num_words - answer.num_words);
    const int64_t least = std::abs(counts.right_words - answer.num_words);
    if (r == 0 || distance < least ||
        (distance == least && one.num_words < counts.right_words)) {
      counts.right_words = one.num_words;
    }
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<int32_t> most;
      std::set_union(all[i].begin(), all[i].end(), one.ngrams[i].begin(),
                     one.ngrams[i].end(), std::back_inserter(most));
      all[i] = std::move(most);
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    counts.totals[i] = static_cast<int64_t>(answer.ngrams[i].size());
    counts.matches[i] = CountCommon(answer.ngrams[i], all[i]);
  }
  return counts;
}

double BleuOf(const BleuCounts& sum) {
  double log_precisions = 0;
  double smoothing = 1;
  // Without a word that matches none of the others can.
  if (sum.matches[0] == 0) return 0;
  for (size_t i = 0; i < BleuCounts::kMaxOrder; ++i) {
    if (sum.totals[i] == 0) return 0;
    const auto total = static_cast<double>(sum.totals[i]);
    if (sum.matches[i] > 0) {
      log_precisions += std::log(static_cast<double>(sum.matches[i]) / total);
    } else {
      smoothing *= 2;
      log_precisions -= std::log(smoothing * total);
    }
  }
  double log_brevity = 0;
  if (sum.given_words < sum.right_words) {
    log_brevity = 1 - static_cast<double>(sum.right_words) /
                          static_cast<double>(sum.given_words);
  }
  return std::exp(log_brevity + log_precisions / BleuCounts::kMaxOrder);
}

}  // namespace attune::worker
