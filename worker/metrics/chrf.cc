#include "worker/metrics/chrf.h"

#include <vector>

#include "worker/metrics/class_quality.h"
#include "worker/metrics/code_points.h"
#include "worker/metrics/ngrams.h"

namespace attune::worker {
namespace {

// Beta squared: how much more recall counts than precision.
constexpr double kRecallWeight = 4;

std::vector<int32_t> CharactersOf(std::string_view text) {
  std::vector<int32_t> characters;
  while (!text.empty()) {
    const char32_t code_point = TakeCodePoint(text);
    if (!IsSpace(code_point)) {
      characters.push_back(static_cast<int32_t>(code_point));
    }
  }
  return characters;
}

ChrfCounts CountPair(const Ngrams& right, const Ngrams& given) {
  ChrfCounts counts;
  for (size_t i = 0; i < ChrfCounts::kMaxOrder; ++i) {
    counts.right[i] = static_cast<int64_t>(right[i].size());
    if (right[i].empty()) continue;
    counts.given[i] = static_cast<int64_t>(given[i].size());
    counts.both[i] = CountCommon(right[i], given[i]);
  }
  return counts;
}

}  // namespace

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  for (size_t i = 0; i < kMaxOrder; ++i) {
    given[i] += other.given[i];
    right[i] += other.right[i];
    both[i] += other.both[i];
  }
  return *this;
}

ChrfCounts CountForChrf(absl::Span<const std::string> right,
                        std::string_view given) {
  NgramNumbers numbers(ChrfCounts::kMaxOrder);
  const Ngrams answer = numbers.Of(CharactersOf(given));
  ChrfCounts best;
  double best_score = -1;
  for (const std::string& one : right) {
    const ChrfCounts counts = CountPair(numbers.Of(CharactersOf(one)), answer);
    const double score = ChrfOf(counts);
    if (score > best_score) {
      best = counts;
      best_score = score;
    }
  }
  return best;
}

double ChrfOf(const ChrfCounts& sum) {
  double precision = 0;
  double recall = 0;
  int num_orders = 0;
  for (size_t i = 0; i < ChrfCounts::kMaxOrder; ++i) {
    if (sum.given[i] == 0 || sum.right[i] == 0) continue;
    const auto both = static_cast<double>(sum.both[i]);
    precision += both / static_cast<double>(sum.given[i]);
    recall += both / static_cast<double>(sum.right[i]);
    ++num_orders;
  }
  precision = Ratio(precision, num_orders);
  recall = Ratio(recall, num_orders);
  return Ratio((1 + kRecallWeight) * precision * recall,
               kRecallWeight * precision + recall);
}

}  // namespace attune::worker
