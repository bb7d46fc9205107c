#include "client/output/markup.h"

#include "gtest/gtest.h"

namespace attune::client {
namespace {

TEST(Markup, EscapesText) {
  EXPECT_EQ(Markup::Text("<script>alert(\"1\") && 'x'</script>").text(),
            "&lt;script&gt;alert(\"1\") &amp;&amp; 'x'&lt;/script&gt;");
}

TEST(Markup, EscapesAttributes) {
  EXPECT_EQ(Markup::Element("a", {{"title", "\"><b>"}}).text(),
            "<a title=\"&quot;&gt;&lt;b&gt;\"></a>");
}

TEST(Markup, ReplacesWhatIsNoText) {
  EXPECT_EQ(Markup::Text("a\x01\xFF\x1B[31m\tb\n").text(),
            "a\uFFFD\uFFFD\uFFFD[31m\tb\n");
}

TEST(Markup, ClosesWhatItOpens) {
  const Markup content = Markup::Text("1 < 2") + Markup::Leaf("br", {});

  EXPECT_EQ(Markup::Element("p", {{"class", "x"}}, content).text(),
            "<p class=\"x\">1 &lt; 2<br/></p>");
}

TEST(Markup, IsEmptyUntilSomethingIsPutIn) {
  Markup markup;
  EXPECT_TRUE(markup.empty());

  markup += Markup::Text("x");

  EXPECT_FALSE(markup.empty());
}

}  // namespace
}  // namespace attune::client
