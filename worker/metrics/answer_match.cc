#include "worker/metrics/answer_match.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/ascii.h"

namespace attune::worker {
namespace {

bool IsArticle(std::string_view word) {
  return word == "a" || word == "an" || word == "the";
}

std::vector<std::string> WordsToCompare(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty() && !IsArticle(word)) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    if (absl::ascii_isspace(c)) {
      end_word();
    } else if (!absl::ascii_ispunct(c)) {
      word += absl::ascii_tolower(c);
    }
  }
  end_word();
  return words;
}

AnswerMatch MatchWords(const std::vector<std::string>& right,
                       const std::vector<std::string>& given) {
  AnswerMatch match;
  match.exact = right == given ? 1 : 0;
  if (right.empty() || given.empty()) {
    match.f1 = match.exact;
    return match;
  }
  std::vector<std::string> a = right;
  std::vector<std::string> b = given;
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::vector<std::string> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::back_inserter(both));
  match.f1 = 2.0 * static_cast<double>(both.size()) /
             static_cast<double>(a.size() + b.size());
  return match;
}

}  // namespace

AnswerMatch MatchAnswers(absl::Span<const std::string> right,
                         std::string_view given) {
  const std::vector<std::string> given_words = WordsToCompare(given);
  if (right.empty()) return MatchWords({}, given_words);
  AnswerMatch best;
  for (const std::string& answer : right) {
    const AnswerMatch match = MatchWords(WordsToCompare(answer), given_words);
    best.exact = std::max(best.exact, match.exact);
    best.f1 = std::max(best.f1, match.f1);
  }
  return best;
}

}  // namespace attune::worker
