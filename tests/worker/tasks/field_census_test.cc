#include "worker/tasks/field_census.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attune::worker {
namespace {

TEST(FieldCensus, CountsTypesOfEachField) {
  const std::vector<std::string> rows = {R"({"a": "x", "b": 1})", "no row",
                                         R"({"a": 2, "b": 1.5})",
                                         R"({"a": "y"})", "[1]"};

  const FieldCensus census = TakeFieldCensus(rows);

  ASSERT_EQ(census.size(), 2u);
  EXPECT_EQ(census.at("a").at("string").num_rows, 2);
  EXPECT_EQ(census.at("a").at("string").first_row, 1);
  EXPECT_EQ(census.at("a").at("number").num_rows, 1);
  EXPECT_EQ(census.at("a").at("number").first_row, 3);
  EXPECT_EQ(census.at("b").size(), 1u);
  EXPECT_EQ(census.at("b").at("number").num_rows, 2);
}

}  // namespace
}  // namespace attune::worker
