#include "client/output/progress_bar.h"

#include <sstream>

#include "client/output/text_width.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace attune::client {
namespace {

ProgressView Training() {
  return {"training",
          0.42,
          {"step 63/150", "loss 0.412", "accuracy 88.0%", "1m 12s left",
           "1,234 tokens/s"}};
}

TEST(ProgressFrame, ShowsAllWhereThereIsRoom) {
  EXPECT_EQ(ProgressFrame(Training(), 120, /*unicode=*/false),
            "training    [############------------------]  42%  step 63/150  "
            "loss 0.412  accuracy 88.0%  1m 12s left  1,234 tokens/s");
}

TEST(ProgressFrame, DropsTheLeastImportantFirst) {
  EXPECT_EQ(ProgressFrame(Training(), 80, /*unicode=*/false),
            "training    [#####-------]  42%  step 63/150  loss 0.412  "
            "accuracy 88.0%");
  EXPECT_EQ(ProgressFrame(Training(), 40, /*unicode=*/false),
            "training    [###-----]  42%  step 63/150");
}

TEST(ProgressFrame, NeverExceedsTheTerminal) {
  for (int columns = 1; columns < 130; ++columns) {
    EXPECT_LE(DisplayWidth(ProgressFrame(Training(), columns, true)), columns);
  }
}

TEST(ProgressFrame, DrawsBlocksWithUnicode) {
  EXPECT_EQ(ProgressFrame({"base test", 0.5, {}}, 60, /*unicode=*/true),
            "base test   ████░░░░  50%");
}

TEST(ProgressFrame, StaysWithinTheBar) {
  EXPECT_EQ(ProgressFrame({"x", 1.7, {}}, 60, false),
            "x           [########] 100%");
  EXPECT_EQ(ProgressFrame({"x", -1, {}}, 60, false),
            "x           [--------]   0%");
}

TEST(ProgressFrame, WithoutAShareHasNoBar) {
  EXPECT_EQ(ProgressFrame({"queued", std::nullopt, {"waiting for a worker"}},
                          60, false),
            "queued      waiting for a worker");
}

class ProgressBarTest : public testing::Test {
 protected:
  // What was written since the last call.
  std::string Written() {
    std::string text = stream_.str();
    stream_.str("");
    return text;
  }

  std::ostringstream stream_;
  Stream terminal_{&stream_, true, false, [] { return 41; }};
  FakeClock clock_;
};

TEST_F(ProgressBarTest, DrawsOverItself) {
  ProgressBar bar(terminal_, false, clock_);

  bar.Show({"training", 0.25, {}});
  EXPECT_EQ(Written(), "\r\x1b[Ktraining    [##------]  25%");
  clock_.Advance(absl::Seconds(1));
  bar.Show({"training", 0.5, {}});
  EXPECT_EQ(Written(), "\r\x1b[Ktraining    [####----]  50%");
}

TEST_F(ProgressBarTest, DrawsTenTimesASecondAtMost) {
  ProgressBar bar(terminal_, false, clock_);
  bar.Show({"training", 0.25, {}});
  Written();

  clock_.Advance(absl::Milliseconds(99));
  bar.Show({"training", 0.3, {}});
  EXPECT_EQ(Written(), "");
  clock_.Advance(absl::Milliseconds(1));
  bar.Show({"training", 0.375, {}});
  EXPECT_EQ(Written(), "\r\x1b[Ktraining    [###-----]  37%");
}

TEST_F(ProgressBarTest, ShowsANewPhaseAtOnce) {
  ProgressBar bar(terminal_, false, clock_);
  bar.Show({"training", 1, {}});
  Written();

  bar.Show({"tuned test", 0, {}});

  EXPECT_EQ(Written(), "\r\x1b[Ktuned test  [--------]   0%");
}

TEST_F(ProgressBarTest, KeepsLinesAboveItself) {
  ProgressBar bar(terminal_, false, clock_);
  bar.Show({"training", 0.5, {}});
  Written();

  bar.PrintAbove("running on w, attempt 2");

  EXPECT_EQ(Written(),
            "\r\x1b[Krunning on w, attempt 2\n"
            "\r\x1b[Ktraining    [####----]  50%");
}

TEST_F(ProgressBarTest, LeavesACleanLine) {
  {
    ProgressBar bar(terminal_, false, clock_);
    bar.Show({"training", 0.5, {}});
    Written();
  }
  EXPECT_EQ(Written(), "\r\x1b[K");
}

TEST_F(ProgressBarTest, WritesNothingThatWasNotShown) {
  { ProgressBar bar(terminal_, false, clock_); }
  EXPECT_EQ(Written(), "");
}

}  // namespace
}  // namespace attune::client
