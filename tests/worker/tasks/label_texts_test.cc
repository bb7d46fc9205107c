#include "worker/tasks/label_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class LabelTextsTest : public testing::Test {
 protected:
  absl::StatusOr<LabelTexts> Read(const std::vector<std::string>& rows,
                                  const std::vector<std::string>& labels = {
                                      "yes", "no"}) {
    return ReadLabelTexts(*program_, rows, labels, "text", [this] {
      ++num_pauses_;
      return pause_;
    });
  }

  const std::unique_ptr<const TaskProgram> program_ =
      CompileTask(LabelTask({"no", "yes"}));
  absl::Status pause_;
  int num_pauses_ = 0;
};

TEST_F(LabelTextsTest, TrainingRowsAreSortedByLabel) {
  const auto read = Read({R"({"label":"yes","text":"a"})",
                          R"({"label":"no","text":" b \n c ","split":"train"})",
                          R"({"label":"yes","text":"d"})",
                          R"({"label":"yes","text":"e","split":"test"})",
                          R"({"label":"yes","text":"  "})"});

  ASSERT_OK(read);
  EXPECT_THAT(read->texts,
              ElementsAre(ElementsAre("a", "d"), ElementsAre("b c")));
  EXPECT_GT(num_pauses_, 0);
}

TEST_F(LabelTextsTest, LongTextsAreCutBehindACharacter) {
  std::string text = "a";
  for (int i = 0; i < 3000; ++i) text += "é";

  const auto read =
      Read({R"({"label":"yes","text":")" + text + "\"}"}, {"yes"});

  ASSERT_OK(read);
  EXPECT_EQ(read->texts[0][0].size(), 4095u);
  EXPECT_TRUE(read->keys.contains(TextKey(text)));
}

TEST_F(LabelTextsTest, RowsOfEverySplitAreKnown) {
  const auto read =
      Read({R"({"label":"yes","text":"a"})", R"({"label":"no","text":"b"})",
            R"({"text":"Held  OUT","split":"test"})",
            R"({"other":1,"split":"validation"})"});

  ASSERT_OK(read);
  EXPECT_TRUE(read->keys.contains(TextKey("a")));
  EXPECT_TRUE(read->keys.contains(TextKey("held out")));
  EXPECT_FALSE(read->keys.contains(TextKey("c")));
}

TEST_F(LabelTextsTest, LabelsThatNobodyAskedForNeedNoText) {
  const auto read = Read(
      {R"({"label":"yes","text":"a"})", R"({"label":"no","text":7})"}, {"yes"});

  ASSERT_OK(read);
  EXPECT_THAT(read->texts, ElementsAre(ElementsAre("a")));
}

TEST_F(LabelTextsTest, RowsThatDoNotFitAreNamed) {
  EXPECT_THAT(Read({R"({"label":"yes","text":"a"})",
                    R"({"label":"maybe","text":"b"})"}),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("row 2"), HasSubstr("'maybe'"))));
  EXPECT_THAT(Read({R"({"label":"yes"})"}),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("row 1"), HasSubstr("'text'"))));
  EXPECT_THAT(Read({R"({"text":"a"})"}),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("row 1"), HasSubstr("'label'"))));
}

TEST_F(LabelTextsTest, ALabelWithoutTextsIsNamed) {
  EXPECT_THAT(Read({R"({"label":"yes","text":"a"})",
                    R"({"label":"no","text":"b","split":"test"})"}),
              ReasonIs(Reason::kIllegalState, HasSubstr("label 'no': name")));
  EXPECT_THAT(
      Read({R"({"label":"yes","text":"a","split":"test"})"}),
      ReasonIs(Reason::kIllegalState, HasSubstr("of the split 'train'")));
}

TEST_F(LabelTextsTest, AnErrorOfThePauseEndsIt) {
  pause_ = MakeError(Reason::kCancelled, "gone");

  EXPECT_THAT(Read({R"({"label":"yes","text":"a"})"}),
              ReasonIs(Reason::kCancelled, HasSubstr("gone")));
  EXPECT_EQ(num_pauses_, 1);
}

}  // namespace
}  // namespace attune::worker
