#include "client/output/figures.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/cc/text.h"

namespace attune::client {

std::string FormatCount(int64_t count) {
  const std::string digits = absl::StrCat(count);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    const size_t left = digits.size() - i;
    if (left % 3 == 0 && i > 0 && digits[i - 1] != '-') {
      grouped += ',';
    }
    grouped += digits[i];
  }
  return grouped;
}

std::string CountedWord(int64_t count, std::string_view word) {
  return Concat(FormatCount(count), " ", word, count == 1 ? "" : "s");
}

std::string FormatBytes(int64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(bytes);
  size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  if (unit == 0) return absl::StrCat(bytes, " B");
  return absl::StrFormat("%.*f %s", amount < 10 ? 1 : 0, amount, kUnits[unit]);
}

std::string FormatPercent(double share) {
  return absl::StrFormat("%.1f%%", share * 100);
}

std::string FormatNumber(double number) {
  const double size = std::abs(number);
  if (!std::isfinite(number) || (size > 0 && size < 0.001) || size >= 1e6) {
    return absl::StrFormat("%.3g", number);
  }
  return absl::StrFormat("%.*f", size < 10 ? 3 : size < 100 ? 2 : 1, number);
}

std::string ShortDuration(absl::Duration duration) {
  const int64_t seconds =
      absl::ToInt64Seconds(duration + absl::Milliseconds(500));
  const auto two = [](int64_t large, const char* large_unit, int64_t small,
                      const char* small_unit) {
    return small == 0 ? absl::StrCat(large, large_unit)
                      : absl::StrCat(large, large_unit, " ", small, small_unit);
  };
  if (seconds < 60) return absl::StrCat(seconds, "s");
  const int64_t minutes = seconds / 60;
  if (minutes < 60) return two(minutes, "m", seconds % 60, "s");
  const int64_t hours = minutes / 60;
  if (hours < 24) return two(hours, "h", minutes % 60, "m");
  return two(hours / 24, "d", hours % 24, "h");
}

std::string FormatAge(const google::protobuf::Timestamp& time, absl::Time now) {
  if (time.seconds() == 0) return "-";
  const absl::Duration age = std::max(absl::ZeroDuration(), now - ToTime(time));
  // One unit is enough to find a row again.
  if (age < absl::Minutes(1))
    return absl::StrCat(age / absl::Seconds(1), "s ago");
  if (age < absl::Hours(1))
    return absl::StrCat(age / absl::Minutes(1), "m ago");
  if (age < absl::Hours(24)) return absl::StrCat(age / absl::Hours(1), "h ago");
  return absl::StrCat(age / absl::Hours(24), "d ago");
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", ToTime(time),
                          absl::UTCTimeZone());
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

bool IsShare(std::string_view metric) {
  for (const std::string_view name :
       {"accuracy", "answered_accuracy", "coverage", "exact_match", "f1", "auc",
        "ece", "bleu", "chrf"}) {
    if (metric == name) return true;
  }
  return metric.ends_with("_f1") || metric.ends_with("_precision") ||
         metric.ends_with("_recall") || metric.starts_with("rouge_") ||
         metric.starts_with("distinct_");
}

std::string FormatMetric(std::string_view metric, double value) {
  return IsShare(metric) ? FormatPercent(value) : FormatNumber(value);
}

std::string FormatChange(std::string_view metric, double before, double after) {
  const double change = after - before;
  const char* sign = change < 0 ? "" : "+";
  if (IsShare(metric)) {
    return absl::StrFormat("%s%.1f points", sign, change * 100);
  }
  return absl::StrCat(sign, FormatNumber(change));
}

}  // namespace attune::client
