#include "server/store/page.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::HasSubstr;

TEST(CheckPageSize, ZeroMeansFiftyAndMoreThanAThousandMeansAThousand) {
  EXPECT_EQ(CheckPageSize(0).value(), 50);
  EXPECT_EQ(CheckPageSize(1).value(), 1);
  EXPECT_EQ(CheckPageSize(1000).value(), 1000);
  EXPECT_EQ(CheckPageSize(1001).value(), 1000);
}

TEST(CheckPageSize, NegativeIsRefusedByName) {
  EXPECT_THAT(CheckPageSize(-1),
              ReasonIs(Reason::kInvalidField, HasSubstr("page_size")));
}

TEST(PageTokens, GiveBackThePosition) {
  PageTokens tokens("key");
  const std::string position("a\0b\xff", 4);

  std::string token = tokens.Make("jobs", "state = \"RUNNING\"", position);

  EXPECT_EQ(tokens.Read("jobs", "state = \"RUNNING\"", token).value(),
            position);
}

TEST(PageTokens, AnEmptyTokenIsTheBeginning) {
  EXPECT_EQ(PageTokens("key").Read("jobs", "", "").value(), "");
}

TEST(PageTokens, AreSafeInUrls) {
  std::string token = PageTokens("key").Make("jobs", "", "\xff\xfe\xfd\xfc");

  EXPECT_EQ(token.find_first_of("+/"), std::string::npos);
}

TEST(PageTokens, ChangedFilterOrListIsRefused) {
  PageTokens tokens("key");
  std::string token = tokens.Make("jobs", "f", "7");

  EXPECT_THAT(tokens.Read("jobs", "g", token),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("another list")));
  EXPECT_THAT(tokens.Read("prompts", "f", token),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("another list")));
  // List and filter are not merely put together.
  EXPECT_THAT(tokens.Read("job", "sf", token),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("another list")));
}

TEST(PageTokens, EveryChangedByteIsRefused) {
  PageTokens tokens("key");
  std::string token = tokens.Make("jobs", "", "12345");

  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_THAT(tokens.Read("jobs", "", changed),
                ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")))
        << "byte " << i;
  }
}

TEST(PageTokens, CutAndForeignTokensAreRefused) {
  PageTokens tokens("key");
  std::string token = tokens.Make("jobs", "", "1");

  for (size_t size = 1; size < token.size(); ++size) {
    EXPECT_THAT(tokens.Read("jobs", "", token.substr(0, size)),
                ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
  }
  EXPECT_THAT(PageTokens("other").Read("jobs", "", token),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
  EXPECT_THAT(tokens.Read("jobs", "", "not base64 !"),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
  EXPECT_THAT(tokens.Read("jobs", "", std::string(5000, 'A')),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
}

}  // namespace
}  // namespace attune::server
