#ifndef ATTUNE_CLIENT_OUTPUT_FIGURES_H_
#define ATTUNE_CLIENT_OUTPUT_FIGURES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

// Numbers as people read them. Pure functions; the same everywhere, whatever
// the locale.
namespace attune::client {

std::string FormatCount(int64_t count);                         // 1,234,567
std::string CountedWord(int64_t count, std::string_view word);  // 1,234 rows
std::string FormatBytes(int64_t bytes);   // 999 B, 1.5 KiB, 20 MiB
std::string FormatPercent(double share);  // 0.9133 -> 91.3%
std::string FormatNumber(double number);  // three digits: 0.412, 12.3, 1.2e-05
// Two units at most: 8s, 1m 12s, 3h 5m, 2d 4h.
std::string ShortDuration(absl::Duration duration);
// "5m ago"; "-" when `time` is not set.
std::string FormatAge(const google::protobuf::Timestamp& time, absl::Time now);
// 2026-01-31 12:00:05 UTC; "-" when not set.
std::string FormatTime(const google::protobuf::Timestamp& time);

absl::Time ToTime(const google::protobuf::Timestamp& time);

// Whether a metric is a share of rows, 0 to 1, and reads best in per cent.
bool IsShare(std::string_view metric);
// A metric's value: 91.3% or 0.412.
std::string FormatMetric(std::string_view metric, double value);
// A difference with its sign: +82.6 points or -1.92.
std::string FormatChange(std::string_view metric, double before, double after);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_FIGURES_H_
