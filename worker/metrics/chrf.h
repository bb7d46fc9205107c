#ifndef ATTUNE_WORKER_METRICS_CHRF_H_
#define ATTUNE_WORKER_METRICS_CHRF_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace attune::worker {

// chrF2 of a corpus (Popović 2015) as sacrebleu 2 computes it by default:
// n-grams of characters up to 6, white space left out, recall counted twice.

// What chrF needs to know of rows; those of several rows add up.
struct ChrfCounts {
  static constexpr size_t kMaxOrder = 6;

  ChrfCounts& operator+=(const ChrfCounts& other);

  // n-grams of order n at [n - 1]: of the given answer (0 where the right one
  // has none), of the right one, and of both.
  std::array<int64_t, kMaxOrder> given{};
  std::array<int64_t, kMaxOrder> right{};
  std::array<int64_t, kMaxOrder> both{};
};

// Of one row: against the right answer that agrees best. None counts as an
// empty one.
ChrfCounts CountForChrf(absl::Span<const std::string> right,
                        std::string_view given);

// 0 to 1: 0.512 is what others call 51.2. Orders that one side has no n-gram of
// are left out; 0 without any.
double ChrfOf(const ChrfCounts& sum);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_METRICS_CHRF_H_
