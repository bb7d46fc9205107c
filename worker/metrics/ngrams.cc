#include "worker/metrics/ngrams.h"

#include <algorithm>
#include <utility>

namespace attune::worker {

std::vector<int32_t> WordNumbers::Of(absl::Span<const std::string_view> words) {
  std::vector<int32_t> numbers;
  numbers.reserve(words.size());
  for (const std::string_view word : words) {
    const auto next = static_cast<int32_t>(numbers_.size());
    numbers.push_back(
        numbers_.try_emplace(std::string(word), next).first->second);
  }
  return numbers;
}

NgramNumbers::NgramNumbers(size_t max_order) : numbers_(max_order - 1) {}

Ngrams NgramNumbers::Of(absl::Span<const int32_t> items) {
  Ngrams ngrams;
  ngrams.emplace_back(items.begin(), items.end());
  for (size_t order = 2; order <= numbers_.size() + 1; ++order) {
    auto& numbers = numbers_[order - 2];
    const std::vector<int32_t>& shorter = ngrams.back();
    std::vector<int32_t> longer;
    for (size_t i = 0; i + order <= items.size(); ++i) {
      const uint64_t key = static_cast<uint64_t>(shorter[i]) << 32 |
                           static_cast<uint32_t>(items[i + order - 1]);
      const auto next = static_cast<int32_t>(numbers.size());
      longer.push_back(numbers.try_emplace(key, next).first->second);
    }
    ngrams.push_back(std::move(longer));
  }
  for (std::vector<int32_t>& of_order : ngrams) {
    std::sort(of_order.begin(), of_order.end());
  }
  return ngrams;
}

int64_t CountCommon(absl::Span<const int32_t> a, absl::Span<const int32_t> b) {
  int64_t count = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) ++count;
    const bool step_a = a[i] <= b[j];
    const bool step_b = b[j] <= a[i];
    if (step_a) ++i;
    if (step_b) ++j;
  }
  return count;
}

}  // namespace attune::worker
