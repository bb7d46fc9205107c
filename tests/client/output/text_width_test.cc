#include "client/output/text_width.h"

#include "gtest/gtest.h"

namespace attune::client {
namespace {

TEST(FirstCharacter, ReadsOneToFourBytes) {
  EXPECT_EQ(FirstCharacter("a")->code, U'a');
  EXPECT_EQ(FirstCharacter("é")->code, U'é');
  EXPECT_EQ(FirstCharacter("語x")->code, U'語');
  EXPECT_EQ(FirstCharacter("😀")->code, U'😀');
  EXPECT_EQ(FirstCharacter("😀")->num_bytes, 4);
  EXPECT_FALSE(FirstCharacter("").has_value());
}

TEST(IsValidUtf8, RefusesWhatUtf8Forbids) {
  EXPECT_TRUE(IsValidUtf8("Grüße, 世界 😀"));
  EXPECT_FALSE(IsValidUtf8("\xFF"));
  EXPECT_FALSE(IsValidUtf8("a\x80"));
  EXPECT_FALSE(IsValidUtf8("\xC0\xAF"));          // overlong '/'
  EXPECT_FALSE(IsValidUtf8("\xE0\x80\xAF"));      // overlong '/'
  EXPECT_FALSE(IsValidUtf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(IsValidUtf8("\xF4\x90\x80\x80"));  // beyond Unicode
  EXPECT_FALSE(IsValidUtf8("\xE8\xAA"));          // cut
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("Grüße"), 5);
  EXPECT_EQ(DisplayWidth("世界"), 4);
  EXPECT_EQ(DisplayWidth("😀"), 2);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);  // e and a combining accent
  EXPECT_EQ(DisplayWidth("\xFF"), 1);
}

TEST(OneLine, RemovesWhatSteersATerminal) {
  EXPECT_EQ(OneLine("a\nb\tc"), "a b c");
  EXPECT_EQ(OneLine("\x1b[31mred"), "�[31mred");
  EXPECT_EQ(OneLine("\xC2\x9B"
                    "31m"),
            "�31m");  // C1 CSI
  EXPECT_EQ(OneLine("\xE2\x80\xAE"
                    "abc"),
            "�abc");  // right-to-left
  EXPECT_EQ(OneLine("\xFFz"), "�z");
}

TEST(Harmless, KeepsLineBreaksAndTabs) {
  EXPECT_EQ(Harmless("a\nb\tc\r\x07"), "a\nb\tc��");
}

TEST(CutTo, EndsWithAnEllipsis) {
  EXPECT_EQ(CutTo("abcdef", 6), "abcdef");
  EXPECT_EQ(CutTo("abcdefg", 6), "abcde…");
  EXPECT_EQ(CutTo("abc", 0), "");
}

TEST(CutTo, NeverCutsAWideCharacterInHalf) {
  EXPECT_EQ(CutTo("世界世界", 5), "世界…");
  EXPECT_EQ(CutTo("世界世界", 4), "世…");
}

TEST(Pad, FillsByColumns) {
  EXPECT_EQ(PadRight("世", 4), "世  ");
  EXPECT_EQ(PadLeft("世", 4), "  世");
  EXPECT_EQ(PadRight("too long", 3), "too long");
}

}  // namespace
}  // namespace attune::client
