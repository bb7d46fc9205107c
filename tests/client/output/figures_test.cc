#include "client/output/figures.h"

#include <limits>

#include "gtest/gtest.h"

namespace attune::client {
namespace {

google::protobuf::Timestamp At(int64_t seconds) {
  google::protobuf::Timestamp time;
  time.set_seconds(seconds);
  return time;
}

TEST(FormatCount, GroupsByThousands) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(-123456), "-123,456");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
}

TEST(CountedWord, IsOneOrMany) {
  EXPECT_EQ(CountedWord(1, "row"), "1 row");
  EXPECT_EQ(CountedWord(0, "row"), "0 rows");
  EXPECT_EQ(CountedWord(1234, "row"), "1,234 rows");
}

TEST(FormatBytes, TakesTheLargestUnit) {
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(20 << 20), "20 MiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
}

TEST(FormatNumber, KeepsThreeDigits) {
  EXPECT_EQ(FormatNumber(0.4123), "0.412");
  EXPECT_EQ(FormatNumber(12.345), "12.35");
  EXPECT_EQ(FormatNumber(123.45), "123.5");
  EXPECT_EQ(FormatNumber(0), "0.000");
  EXPECT_EQ(FormatNumber(0.0000123), "1.23e-05");
  EXPECT_EQ(FormatNumber(std::numeric_limits<double>::quiet_NaN()), "nan");
}

TEST(ShortDuration, HasTwoUnitsAtMost) {
  EXPECT_EQ(ShortDuration(absl::Milliseconds(400)), "0s");
  EXPECT_EQ(ShortDuration(absl::Seconds(59)), "59s");
  EXPECT_EQ(ShortDuration(absl::Milliseconds(59600)), "1m");
  EXPECT_EQ(ShortDuration(absl::Seconds(72)), "1m 12s");
  EXPECT_EQ(ShortDuration(absl::Minutes(185)), "3h 5m");
  EXPECT_EQ(ShortDuration(absl::Hours(52)), "2d 4h");
}

TEST(FormatAge, HasOneUnit) {
  const absl::Time now = absl::FromUnixSeconds(1000000);
  EXPECT_EQ(FormatAge(At(999995), now), "5s ago");
  EXPECT_EQ(FormatAge(At(999700), now), "5m ago");
  EXPECT_EQ(FormatAge(At(1000000 - 7200), now), "2h ago");
  EXPECT_EQ(FormatAge(At(1000000 - 3 * 86400), now), "3d ago");
  EXPECT_EQ(FormatAge(At(1000010), now), "0s ago");  // the server's clock
  EXPECT_EQ(FormatAge({}, now), "-");
}

TEST(FormatTime, IsUtc) {
  EXPECT_EQ(FormatTime(At(1704067205)), "2024-01-01 00:00:05 UTC");
  EXPECT_EQ(FormatTime({}), "-");
}

TEST(FormatMetric, SharesAreInPerCent) {
  EXPECT_EQ(FormatMetric("accuracy", 0.9133), "91.3%");
  EXPECT_EQ(FormatMetric("macro_f1", 0.5), "50.0%");
  EXPECT_EQ(FormatMetric("exact_match", 1), "100.0%");
  EXPECT_EQ(FormatMetric("macro_precision", 0.25), "25.0%");
  EXPECT_EQ(FormatMetric("weighted_recall", 0.75), "75.0%");
  EXPECT_EQ(FormatMetric("bleu", 0.274), "27.4%");
  EXPECT_EQ(FormatMetric("rouge_l", 0.5), "50.0%");
  EXPECT_EQ(FormatMetric("loss", 0.5), "0.500");
  EXPECT_EQ(FormatMetric("mcc", 0.5), "0.500");
}

TEST(FormatChange, HasASign) {
  EXPECT_EQ(FormatChange("accuracy", 0.087, 0.913), "+82.6 points");
  EXPECT_EQ(FormatChange("accuracy", 0.5, 0.25), "-25.0 points");
  EXPECT_EQ(FormatChange("loss", 2.5, 0.5), "-2.000");
}

}  // namespace
}  // namespace attune::client
