#include "worker/tasks/plain_text.h"

#include <gtest/gtest.h>

namespace attune::worker {
namespace {

TEST(OneSpaced, HasOneSpaceForAnyWhiteSpace) {
  EXPECT_EQ(OneSpaced("a b"), "a b");
  EXPECT_EQ(OneSpaced(" a\tb\nc \r\n d\n"), "a b c d");
  EXPECT_EQ(OneSpaced(" \n\t"), "");
}

TEST(BeginningOf, HasWholeCharacters) {
  EXPECT_EQ(BeginningOf("abc", 3), "abc");
  EXPECT_EQ(BeginningOf("abc", 2), "ab");
  EXPECT_EQ(BeginningOf("a\xc3\xa9", 2), "a");
  EXPECT_EQ(BeginningOf("\xe4\xb8\xad", 2), "");
}

}  // namespace
}  // namespace attune::worker
