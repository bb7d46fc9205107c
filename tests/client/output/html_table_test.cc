#include "client/output/html_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;

TEST(HtmlTable, HasHeadingsOfColumnsAndRows) {
  HtmlTable table({{"label"}, {"F1", HtmlTable::Kind::kNumber}});
  table.Add({Markup::Text("a"), Markup::Text("91.3%")});

  const std::string text = table.Make().text();

  EXPECT_EQ(WellFormedError(text), "");
  EXPECT_THAT(text, HasSubstr("<th class=\"name\" scope=\"col\">label</th>"));
  EXPECT_THAT(text, HasSubstr("<tr><th class=\"name\" scope=\"row\">a</th>"
                              "<td class=\"number\">91.3%</td></tr>"));
}

TEST(HtmlTable, FillsMissingCells) {
  HtmlTable table({{"a"}, {"b"}, {"c"}});
  EXPECT_TRUE(table.empty());

  table.Add({Markup::Text("1")});

  EXPECT_FALSE(table.empty());
  EXPECT_EQ(CountOf(table.Make().text(), "<td"), 2);
}

TEST(HtmlTable, ALongOneScrollsInItsFrame) {
  EXPECT_THAT(HtmlTable({{"a"}}, HtmlTable::Height::kLimited).Make().text(),
              HasSubstr("class=\"frame limited\""));
}

TEST(HtmlDetails, ListsKeysAndValues) {
  EXPECT_EQ(HtmlDetails({{"rank", "8"}, {"<k>", "<v>"}}).text(),
            "<dl><dt>rank</dt><dd>8</dd>"
            "<dt>&lt;k&gt;</dt><dd>&lt;v&gt;</dd></dl>");
  EXPECT_TRUE(HtmlDetails({}).empty());
}

}  // namespace
}  // namespace attune::client
