#include "worker/inference/row_augmentation.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_bert.h"
#include "tests/testing/tiny_t5.h"
#include "tests/worker/inference/inference_fixture.h"
#include "worker/inference/item_answers.h"
#include "worker/inference/work_item.h"

namespace attune::worker {
namespace {

using attune::v1::AugmentationCounts;
using attune::v1::AugmentDatasetResponse;
using attune::v1::RejectedText;
using google::protobuf::util::MessageDifferencer;
using testing::AllOf;
using testing::HasSubstr;

int64_t SumOfFates(const AugmentationCounts& counts) {
  return counts.num_kept() + counts.num_empty() + counts.num_unfinished() +
         counts.num_duplicate() + counts.num_other_label() +
         counts.num_unsure();
}

class RowAugmentationTest : public InferenceFixture {
 protected:
  // A classifier that answers "good" whatever it reads: surely, or with less
  // than nine tenths.
  static InferenceTarget SaysGood(bool surely = true) {
    InferenceTarget target = Classification({"good", "bad"});
    attune::v1::LabelCalibration& calibration =
        *target.task.mutable_calibration();
    calibration.add_log_priors(0);
    calibration.add_log_priors(surely ? 50 : 20);
    if (!surely) calibration.mutable_temperature()->set_value(20);
    return target;
  }

  static std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    for (const char* text : {"a fine film", "so good", "the best of all"}) {
      rows.push_back(Row(text, "good", "train"));
    }
    for (const char* text : {"a poor film", "so bad", "never again"}) {
      rows.push_back(Row(text, "bad", ""));
    }
    rows.push_back(Row("not for training", "good", "test"));
    return rows;
  }
  static std::string Row(const std::string& text, const std::string& label,
                         const std::string& split) {
    nlohmann::json row = {{"text", text}, {"label", label}};
    if (!split.empty()) row["split"] = split;
    return row.dump();
  }

  // Three rows of "good", written by the tiny model: its texts end soon at one
  // of the stop texts.
  static AugmentationCall Call() {
    AugmentationCall call;
    call.classifier = SaysGood();
    call.generator = "models/tiny";
    call.labels = {"good"};
    call.rows_per_label = 3;
    call.max_attempts_per_row = 20;
    call.min_score = 0.9;
    call.decoding.set_max_new_tokens(24);
    call.decoding.set_temperature(2);
    for (const char* stop : {"e", "t", "a", "o", "n", "i", "s"}) {
      call.decoding.add_stop(stop);
    }
    call.seed = 5;
    call.rows = Rows();
    return call;
  }

  absl::StatusOr<AugmentDatasetResponse> Augment(const AugmentationCall& call) {
    rows_.clear();
    return AugmentRows(
        call, resolver_,
        {.pause = [this] { return pause_ ? pause_() : absl::OkStatus(); },
         .on_progress =
             [this](const AugmentDatasetResponse& progress,
                    std::vector<std::string> rows) {
               progress_ = progress;
               rows_.insert(rows_.end(), rows.begin(), rows.end());
             }});
  }

  static std::string FieldOf(const std::string& row, const std::string& field) {
    return nlohmann::json::parse(row).at(field).get<std::string>();
  }
  static std::string TextOf(const std::string& row) {
    return FieldOf(row, "text");
  }

  std::function<absl::Status()> pause_;
  std::vector<std::string> rows_;    // that were kept
  AugmentDatasetResponse progress_;  // the last one
};

TEST_F(RowAugmentationTest, KeptTextsAreTrainingRowsOfTheirLabel) {
  const auto result = Augment(Call());

  ASSERT_OK(result);
  ASSERT_EQ(rows_.size(), 3u);
  std::set<std::string> texts;
  for (const std::string& row : rows_) {
    EXPECT_EQ(nlohmann::json::parse(row).size(), 4u);
    EXPECT_EQ(FieldOf(row, "label"), "good");
    EXPECT_EQ(FieldOf(row, "origin"), "generated");
    EXPECT_EQ(FieldOf(row, "split"), "train");
    EXPECT_NE(TextOf(row), "");
    texts.insert(absl::AsciiStrToLower(TextOf(row)));
  }
  EXPECT_EQ(texts.size(), 3u);
  ASSERT_EQ(result->labels_size(), 1);
  EXPECT_EQ(result->labels(0).label(), "good");
  EXPECT_EQ(result->labels(0).num_wanted(), 3);
  EXPECT_EQ(result->labels(0).counts().num_kept(), 3);
  EXPECT_EQ(SumOfFates(result->counts()), result->counts().num_generated());
  EXPECT_EQ(result->num_rows_wanted(), 3);
  EXPECT_TRUE(MessageDifferencer::Equals(result->counts(), progress_.counts()));
  EXPECT_TRUE(progress_.labels().empty());
}

TEST_F(RowAugmentationTest, TheSameSeedWritesTheSameRows) {
  AugmentationCall call = Call();
  const auto first = Augment(call);
  const std::vector<std::string> rows = rows_;
  const auto again = Augment(call);
  const std::vector<std::string> rows_again = rows_;
  call.seed = 6;
  const auto other = Augment(call);

  ASSERT_OK(first);
  ASSERT_OK(again);
  ASSERT_OK(other);
  EXPECT_EQ(rows, rows_again);
  EXPECT_TRUE(MessageDifferencer::Equals(*first, *again));
  EXPECT_NE(rows, rows_);
}

TEST_F(RowAugmentationTest, KeptRowsAreThoseThatTheClassifierIsSureOf) {
  AugmentationCall call = Call();
  call.classifier = Classification({"good", "bad"});
  call.labels = {"good", "bad"};
  call.min_score = 0.6;

  ASSERT_OK(Augment(call));

  ASSERT_FALSE(rows_.empty());
  const auto target = resolver_.Resolve(call.classifier);
  ASSERT_OK(target);
  std::vector<std::unique_ptr<WorkItem>> items;
  items.reserve(rows_.size());
  for (const std::string& row : rows_) {
    auto item = PrepareWork(*target, Text(TextOf(row)), inference_metrics_);
    ASSERT_OK(item);
    items.push_back(*std::move(item));
  }
  const auto answers = AnswerItems(std::move(items), {}, clock_,
                                   [] { return absl::OkStatus(); });
  ASSERT_OK(answers);
  for (size_t i = 0; i < rows_.size(); ++i) {
    const attune::v1::LabelAnswer& answer = (*answers)[i].answer().label();
    EXPECT_EQ(FieldOf(rows_[i], "label"), answer.label());
    EXPECT_GE(answer.score(), 0.6 - 1e-4);  // another batch rounds otherwise
  }
}

TEST_F(RowAugmentationTest, TextsOfAnotherLabelAreRejectedUntilAttemptsEnd) {
  AugmentationCall call = Call();
  call.labels = {"bad"};
  call.max_attempts_per_row = 4;

  const auto result = Augment(call);

  ASSERT_OK(result);
  EXPECT_TRUE(rows_.empty());
  const AugmentationCounts& counts = result->labels(0).counts();
  EXPECT_EQ(counts.num_generated(), 12);
  EXPECT_EQ(SumOfFates(counts), 12);
  EXPECT_GT(counts.num_other_label(), 0);
  int others = 0;
  for (const RejectedText& text : result->rejected_texts()) {
    EXPECT_EQ(text.label(), "bad");
    if (text.reason() != RejectedText::REASON_OTHER_LABEL) continue;
    ++others;
    EXPECT_EQ(text.likeliest_label(), "good");
    EXPECT_GT(text.score(), 0.9);
    EXPECT_NE(text.text(), "");
  }
  EXPECT_EQ(others, std::min<int64_t>(4, counts.num_other_label()));
}

TEST_F(RowAugmentationTest, UnsureTextsAreRejected) {
  AugmentationCall call = Call();
  call.classifier = SaysGood(/*surely=*/false);
  call.max_attempts_per_row = 4;
  const auto result = Augment(call);
  ASSERT_OK(result);
  EXPECT_TRUE(rows_.empty());
  EXPECT_GT(result->counts().num_unsure(), 0);

  // It would do, but the classifier does not answer.
  call.min_score = 0;
  call.classifier.task.mutable_calibration()->set_abstain_below(0.9);
  const auto abstained = Augment(call);
  ASSERT_OK(abstained);
  EXPECT_TRUE(rows_.empty());
  EXPECT_GT(abstained->counts().num_unsure(), 0);

  call.classifier.task.mutable_calibration()->clear_abstain_below();
  ASSERT_OK(Augment(call));
  EXPECT_FALSE(rows_.empty());
}

TEST_F(RowAugmentationTest, WhatTheSourceHasIsNotKeptAgain) {
  AugmentationCall call = Call();
  const auto first = Augment(call);
  ASSERT_OK(first);
  std::set<std::string> known;
  for (const std::string& row : rows_) {
    known.insert(TextOf(row));
    // Of another split, so that the same rows are shown as before.
    call.rows.push_back(
        Row(absl::StrCat("  ", absl::AsciiStrToUpper(TextOf(row))), "good",
            "test"));
  }

  const auto again = Augment(call);

  ASSERT_OK(again);
  EXPECT_GT(again->counts().num_duplicate(), first->counts().num_duplicate());
  for (const std::string& row : rows_) {
    EXPECT_FALSE(known.contains(TextOf(row)));
  }
}

TEST_F(RowAugmentationTest, UnfinishedTextsAreRejected) {
  AugmentationCall call = Call();
  call.decoding.clear_stop();
  call.decoding.set_max_new_tokens(6);
  call.max_attempts_per_row = 8;

  const auto result = Augment(call);

  ASSERT_OK(result);
  EXPECT_GT(result->counts().num_unfinished(), 0);
  EXPECT_EQ(SumOfFates(result->counts()), result->counts().num_generated());
}

TEST_F(RowAugmentationTest, AnEncoderDecoderMayWriteForACausalClassifier) {
  ASSERT_OK(WriteTinyT5(directory_ / "t5"));
  AugmentationCall call = Call();
  call.generator = "models/t5";
  call.max_attempts_per_row = 4;

  const auto result = Augment(call);

  ASSERT_OK(result);
  EXPECT_GE(result->counts().num_generated(), 3);
  EXPECT_EQ(SumOfFates(result->counts()), result->counts().num_generated());
}

TEST_F(RowAugmentationTest, WhatCannotJudgeOrWriteIsRefused) {
  AugmentationCall call = Call();
  call.classifier = Generation(4);
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("classifier"),
                             HasSubstr("TASK_TYPE_TEXT_GENERATION"))));
  call = Call();
  call.labels = {"good", "odd"};
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidField, HasSubstr("'odd'")));
  ASSERT_OK(WriteTinyBert(directory_ / "encoder"));
  call = Call();
  call.generator = "models/encoder";
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidField, HasSubstr("is an encoder")));
}

TEST_F(RowAugmentationTest, TheTextFieldMustBeAllThatTheClassifierReads) {
  AugmentationCall call = Call();
  call.classifier.task.set_template_("{{ title }}: {{ text }}");
  EXPECT_THAT(Augment(call), ReasonIs(Reason::kInvalidField,
                                      AllOf(HasSubstr("text_field"),
                                            HasSubstr("'text', 'title'"))));
  call.text_field = "text";
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("title")));
  call = Call();
  call.text_field = "query";
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("'query'"), HasSubstr("'text'"))));
  call = Call();
  call.classifier.task.set_template_("{{ origin }}");
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidField, HasSubstr("'origin'")));
}

TEST_F(RowAugmentationTest, RowsThatDoNotFitAreRefused) {
  AugmentationCall call = Call();
  call.rows.push_back(R"({"text":"x","label":"odd"})");
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("row 8"), HasSubstr("'odd'"))));
  call = Call();
  call.rows.resize(3);  // of "good"
  call.labels = {"good", "bad"};
  EXPECT_THAT(Augment(call),
              ReasonIs(Reason::kIllegalState, HasSubstr("'bad'")));
}

TEST_F(RowAugmentationTest, AnErrorOfThePauseEndsItMidway) {
  int pauses = 0;
  pause_ = [&pauses] {
    return ++pauses == 9 ? MakeError(Reason::kCancelled, "gone")
                         : absl::OkStatus();
  };

  EXPECT_THAT(Augment(Call()), ReasonIs(Reason::kCancelled, HasSubstr("gone")));
  EXPECT_EQ(pauses, 9);
}

}  // namespace
}  // namespace attune::worker
