#include "worker/metrics/number_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace attune::worker {
namespace {

TEST(NumberMetrics, EqualScipys) {
  std::ifstream file("tests/golden/head_metrics.json");
  ASSERT_TRUE(file.is_open());
  const nlohmann::json cases = nlohmann::json::parse(file)["numbers"];
  ASSERT_EQ(cases.size(), 1000u);
  for (const nlohmann::json& golden : cases) {
    attune::v1::EvaluationReport report;
    AddNumberMetrics(golden["right"].get<std::vector<double>>(),
                     golden["given"].get<std::vector<double>>(), report);

    EXPECT_EQ(report.metrics().size(), golden["metrics"].size());
    for (const auto& [name, value] : golden["metrics"].items()) {
      // The numbers of the file have 14 digits; sums take another order.
      EXPECT_NEAR(report.metrics().at(name), value.get<double>(), 1e-9)
          << name << " of " << golden.dump();
    }
  }
}

TEST(NumberMetrics, ThatAreNoneAreNone) {
  const std::vector<double> right(20, 1.0);
  std::vector<double> given(20, 2.0);
  given[3] = std::nan("");
  given[17] = std::numeric_limits<double>::infinity();
  attune::v1::EvaluationReport report;

  AddNumberMetrics(right, given, report);

  for (const auto& [name, value] : report.metrics()) {
    EXPECT_TRUE(std::isnan(value)) << name;
  }
}

TEST(NumberMetrics, OfNumbersThatDoNotVaryHaveNoCorrelation) {
  attune::v1::EvaluationReport report;

  // Their means are not exactly any of them.
  AddNumberMetrics(std::vector<double>(6, 3.3), std::vector<double>(6, 1.1),
                   report);

  EXPECT_EQ(report.metrics().at("pearson"), 0);
  EXPECT_EQ(report.metrics().at("spearman"), 0);
}

}  // namespace
}  // namespace attune::worker
