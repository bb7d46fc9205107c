#include "proto/cc/metrics.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::HasSubstr;

std::string Page(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.Collect());
}

TEST(Metrics, SeriesBeginAtZeroAndAreTheSameForTheSameLabels) {
  Metrics metrics;
  prometheus::Counter& first = metrics.Counter("a_total", "A.", {{"x", "1"}});
  prometheus::Counter& again = metrics.Counter("a_total", "A.", {{"x", "1"}});

  EXPECT_EQ(&first, &again);
  EXPECT_THAT(Page(metrics), HasSubstr("a_total{x=\"1\"} 0"));
}

TEST(Metrics, ValuesThatAreNotFiniteAreRefusedAndCounted) {
  Metrics metrics;
  auto gauge = metrics.MakeGauge("g", "G.");
  auto histogram = metrics.MakeHistogram("h", "H.", {1, 2});
  gauge.Set(3);
  gauge.Set(std::numeric_limits<double>::quiet_NaN());
  gauge.Add(std::numeric_limits<double>::infinity());
  histogram.Observe(1.5);
  histogram.Observe(-std::numeric_limits<double>::infinity());
  const std::string page = Page(metrics);

  EXPECT_THAT(page, HasSubstr("\ng 3\n"));
  EXPECT_THAT(page, HasSubstr("h_sum 1.5"));
  EXPECT_THAT(page, HasSubstr("h_count 1"));
  EXPECT_THAT(page, HasSubstr("attune_metrics_refused_total 3"));
}

TEST(Metrics, HelpStaysOnOneLine) {
  Metrics metrics;
  metrics.Counter("a_total", "First\nsecond.");

  EXPECT_THAT(Page(metrics), HasSubstr("# HELP a_total First second.\n"));
}

TEST(Metrics, RefreshesGaugesBeforeAScrape) {
  Metrics metrics;
  auto gauge = metrics.MakeGauge("depth", "Depth.");
  metrics.OnScrape([gauge]() mutable { gauge.Add(1); });
  Page(metrics);

  EXPECT_THAT(Page(metrics), HasSubstr("\ndepth 2\n"));
}

TEST(Metrics, ShowsTheProcess) {
  Metrics metrics;
  const std::string page = Page(metrics);

  for (const char* name :
       {"process_cpu_seconds_total", "process_resident_memory_bytes",
        "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
        "process_start_time_seconds"}) {
    EXPECT_THAT(page, HasSubstr(std::string("# TYPE ") + name));
    EXPECT_THAT(page, testing::Not(HasSubstr(std::string(name) + " 0\n")));
  }
}

TEST(MetricsEndpoint, TakesAFreePortAndRefusesATakenOne) {
  const auto metrics = std::make_shared<Metrics>();
  const auto first = MetricsEndpoint::Start("127.0.0.1:0", metrics);
  ASSERT_OK(first);

  EXPECT_THAT((*first)->address(), testing::StartsWith("127.0.0.1:"));
  EXPECT_THAT((*first)->address(), testing::Not(testing::EndsWith(":0")));
  EXPECT_THAT(
      MetricsEndpoint::Start((*first)->address(), metrics),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr((*first)->address())));
}

}  // namespace
}  // namespace attune
