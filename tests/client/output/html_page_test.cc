#include "client/output/html_page.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/well_formed.h"

namespace attune::client {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(HtmlPage, IsAWholeDocument) {
  const std::string page = HtmlPage("a <title>", HtmlParagraph("text"));

  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>\n<html lang=\"en\"><head>"));
  EXPECT_THAT(page, HasSubstr("<title>a &lt;title&gt;</title>"));
  EXPECT_THAT(page, HasSubstr("<main><p>text</p></main>"));
  EXPECT_EQ(WellFormedError(page), "");
}

TEST(HtmlPage, AsksNoOtherPlaceForAnything) {
  const std::string page = HtmlPage("t", {});

  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  for (const char* part : {"http:", "https:", "url(", "@import",
                           "src=", "href=", "<script", "@font-face"}) {
    EXPECT_THAT(page, Not(HasSubstr(part)));
  }
}

TEST(HtmlPage, FitsDarkRoomsPhonesAndPaper) {
  const std::string page = HtmlPage("t", {});

  EXPECT_THAT(page, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(page, HasSubstr("width=device-width"));
  EXPECT_THAT(page, HasSubstr("@media print"));
}

// Escaping would break selectors and strings.
TEST(HtmlPage, ItsStyleNeedsNoEscapes) {
  const std::string page = HtmlPage("t", {});
  const size_t begin = page.find("<style>");

  EXPECT_EQ(page.substr(begin, page.find("</style>") - begin).find('&'),
            std::string::npos);
}

TEST(HtmlSection, IsLeftOutWithoutContent) {
  EXPECT_TRUE(HtmlSection("Loss", {}).empty());
  EXPECT_EQ(HtmlSection("A & B", Markup::Text("x")).text(),
            "<section><h2>A &amp; B</h2>x</section>");
}

TEST(HtmlColumns, LeaveOutEmptyItems) {
  EXPECT_TRUE(HtmlColumns({{}, {}}).empty());
  EXPECT_EQ(HtmlColumns({{}, Markup::Text("x")}).text(),
            "<div class=\"columns\">x</div>");
}

TEST(HtmlParagraph, MayHaveAClass) {
  EXPECT_EQ(HtmlParagraph("a<b", "note").text(),
            "<p class=\"note\">a&lt;b</p>");
}

}  // namespace
}  // namespace attune::client
