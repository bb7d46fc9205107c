#include "client/commands/dataset_augmentation.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/cc/status.h"
#include "tests/client/fake_attune.h"

namespace attune::client {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using v1::AugmentDatasetResponse;
using WriteAugmented = std::function<bool(const AugmentDatasetResponse&)>;

// 20 rows for "card", 3 for "loan".
AugmentDatasetResponse AugmentationResult() {
  AugmentDatasetResponse result;
  result.set_num_rows_wanted(40);
  result.mutable_counts()->set_num_generated(190);
  result.mutable_counts()->set_num_kept(23);
  v1::LabelAugmentation& card = *result.add_labels();
  card.set_label("card");
  card.set_num_wanted(20);
  card.mutable_counts()->set_num_generated(30);
  card.mutable_counts()->set_num_kept(20);
  card.mutable_counts()->set_num_duplicate(10);
  v1::LabelAugmentation& loan = *result.add_labels();
  loan.set_label("loan");
  loan.set_num_wanted(20);
  loan.mutable_counts()->set_num_generated(160);
  loan.mutable_counts()->set_num_kept(3);
  loan.mutable_counts()->set_num_other_label(157);
  v1::RejectedText& text = *result.add_rejected_texts();
  text.set_label("loan");
  text.set_text("where is my card");
  text.set_reason(v1::RejectedText::REASON_OTHER_LABEL);
  text.set_likeliest_label("card");
  text.set_score(0.913);
  result.set_classifier_version("prompts/p/versions/2");
  return result;
}

class DatasetAugmentationTest : public testing::Test {
 protected:
  DatasetAugmentationTest() {
    result_.mutable_dataset()->set_name("datasets/more");
    result_.mutable_dataset()->set_num_rows(23);
    fake_.scripts.augment = [this](const auto& request,
                                   const WriteAugmented& write) {
      request_ = request;
      AugmentDatasetResponse progress;
      write(progress);
      progress.set_num_rows_wanted(40);
      progress.mutable_counts()->set_num_generated(32);
      progress.mutable_counts()->set_num_kept(10);
      write(progress);
      write(result_);
      return absl::OkStatus();
    };
  }

  RunResult Run(std::vector<std::string> arguments, RunOptions options = {}) {
    arguments.insert(arguments.begin(), {std::string("datasets"), "augment"});
    return RunClient(fake_.address(), std::move(arguments), options);
  }
  RunResult RunLeast(std::vector<std::string> more = {},
                     RunOptions options = {}) {
    more.insert(more.begin(), {"d", "--into", "more", "--classifier", "p"});
    return Run(std::move(more), options);
  }

  AugmentDatasetResponse result_ = AugmentationResult();
  FakeAttune fake_;
  v1::AugmentDatasetRequest request_;
};

TEST_F(DatasetAugmentationTest, AsksForWhatIsNamed) {
  const RunResult run =
      RunLeast({"--generator",       "m",     "--rows-per-label", "7",
                "--label",           "a",     "--label",          "b",
                "--text-field",      "query", "--demonstrations", "3",
                "--min-score",       "0",     "--max-attempts",   "9",
                "--temperature",     "1.2",   "--top-p",          "0.5",
                "--max-new-tokens",  "30",    "--seed",           "4",
                "--with-source-rows"});

  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(request_.dataset(), "datasets/d");
  EXPECT_EQ(request_.new_dataset_id(), "more");
  EXPECT_EQ(request_.classifier().prompt(), "prompts/p");
  EXPECT_EQ(request_.generator().base().model(), "models/m");
  EXPECT_FALSE(request_.generator().base().has_task());
  EXPECT_EQ(request_.rows_per_label(), 7);
  EXPECT_THAT(request_.labels(), ElementsAre("a", "b"));
  EXPECT_EQ(request_.text_field(), "query");
  EXPECT_EQ(request_.num_demonstrations(), 3);
  EXPECT_TRUE(request_.has_min_score());
  EXPECT_EQ(request_.min_score().value(), 0);
  EXPECT_EQ(request_.max_attempts_per_row(), 9);
  EXPECT_EQ(request_.decoding().temperature(), 1.2);
  EXPECT_EQ(request_.decoding().top_p().value(), 0.5);
  EXPECT_EQ(request_.decoding().max_new_tokens(), 30);
  EXPECT_EQ(request_.seed(), 4u);
  EXPECT_TRUE(request_.include_source_rows());
}

TEST_F(DatasetAugmentationTest, WhatIsNotNamedIsLeftToTheServer) {
  EXPECT_EQ(RunLeast().exit_code, 0);

  v1::AugmentDatasetRequest least;
  least.set_dataset("datasets/d");
  least.set_new_dataset_id("more");
  least.mutable_classifier()->set_prompt("prompts/p");
  EXPECT_EQ(request_.SerializeAsString(), least.SerializeAsString());
}

TEST_F(DatasetAugmentationTest, PrintsLabelsAndWhatWasNotKept) {
  const RunResult run = RunLeast();

  EXPECT_THAT(
      run.out,
      AllOf(HasSubstr("datasets/more, 23 rows, 23 new"),
            HasSubstr("prompts/p/versions/2"),
            HasSubstr("LABEL  WANTED  KEPT  WRITTEN  EMPTY  UNFINISHED  "
                      "DUPLICATE  OTHER LABEL  UNSURE\n"
                      "card       20    20       30      0           0         "
                      "10            0       0\n"),
            HasSubstr("other label  loan         card       91.3%  where is "
                      "my card\n")));
  EXPECT_EQ(run.err,
            "1 label got fewer rows than wanted: lower --min-score, raise "
            "--max-attempts, or name a larger --generator\n");
}

TEST_F(DatasetAugmentationTest, TheNextStepsAreThoseThatAJobCanTake) {
  EXPECT_THAT(RunLeast().out,
              AllOf(HasSubstr("attune datasets upload more ROWS.jsonl"),
                    HasSubstr("--set spec.data.dataset=datasets/more")));

  EXPECT_THAT(RunLeast({"--with-source-rows"}).out,
              AllOf(Not(HasSubstr("upload")),
                    HasSubstr("--set spec.data.dataset=datasets/more")));
}

TEST_F(DatasetAugmentationTest, WithoutADatasetItFails) {
  result_.clear_dataset();

  const RunResult run = RunLeast();

  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, AllOf(HasSubstr("WRITTEN"), Not(HasSubstr("attune "))));
  EXPECT_THAT(run.err, HasSubstr("no text was kept, so no dataset was made"));
}

TEST_F(DatasetAugmentationTest, ATerminalSeesTheProgress) {
  RunOptions options;
  options.terminal = true;

  const RunResult run = RunLeast({}, options);

  EXPECT_THAT(run.err, AllOf(HasSubstr("for its turn on the worker"),
                             HasSubstr("writing"), HasSubstr("kept 10/40")));
}

TEST_F(DatasetAugmentationTest, AsJsonPrintsTheResult) {
  const RunResult run = RunLeast({"-o", "json"});

  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(
      run.out,
      AllOf(HasSubstr("\"rejectedTexts\""), HasSubstr("\"REASON_OTHER_LABEL\""),
            Not(HasSubstr("WANTED")), Not(HasSubstr("attune "))));
}

TEST_F(DatasetAugmentationTest, WrongUseIsToldBeforeAnyCall) {
  EXPECT_EQ(Run({"d", "--into", "more"}).exit_code, 2);
  EXPECT_EQ(Run({"d", "--classifier", "p"}).exit_code, 2);
  EXPECT_EQ(Run({"--into", "more", "--classifier", "p"}).exit_code, 2);
  EXPECT_EQ(request_.dataset(), "");
}

TEST_F(DatasetAugmentationTest, TheServersErrorIsShown) {
  fake_.scripts.augment = [](const auto&, const WriteAugmented&) {
    return InvalidField("generator", "a bert model generates no text");
  };

  const RunResult run = RunLeast();

  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("a bert model generates no text"));
}

}  // namespace
}  // namespace attune::client
