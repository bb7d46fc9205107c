#include "worker/tasks/instruction_writer.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_llama.h"
#include "tests/worker/tasks/tiny_model.h"
#include "worker/tasks/template_patterns.h"

namespace attune::worker {
namespace {

using attune::v1::TaskSpec;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Texts "it is 0", "it is 1", ... whose labels take turns.
std::vector<Example> RowsInTurns(int count,
                                 const std::vector<std::string>& labels) {
  std::vector<Example> rows;
  rows.reserve(count);
  for (int i = 0; i < count; ++i) {
    rows.push_back({.row = i + 1,
                    .fields = absl::StrCat(R"({"text": "it is )", i, "\"}"),
                    .answer = labels[i % labels.size()]});
  }
  return rows;
}

std::vector<std::string> PairsOf(const TaskSpec& task,
                                 const std::vector<Example>& rows,
                                 int count = 1, uint64_t seed = 0) {
  const auto drawn = DrawPairs(*CompileTask(task), rows, count, seed);
  EXPECT_OK(drawn);
  return drawn.value_or(std::vector<std::string>());
}

size_t CountIn(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// The tiny model, which writes the same behind every text, over and over, and
// remembers what it reads.
class ScriptedModel : public CausalModel {
 public:
  explicit ScriptedModel(std::vector<int64_t> script)
      : model_(TinyModel("plain")->causal()), script_(std::move(script)) {}

  const ModelConfig& config() const override { return model_.config(); }
  at::Device device() const override { return model_.device(); }
  at::ScalarType dtype() const override { return model_.dtype(); }
  at::Tensor Embed(const at::Tensor& ids) const override {
    const at::Tensor plain = ids.to(at::kCPU).contiguous();
    const auto* const first = plain.const_data_ptr<int64_t>();
    read_.insert(read_.end(), first, first + plain.numel());
    return model_.Embed(ids);
  }
  absl::StatusOr<at::Tensor> Forward(const PackedRows& rows) const override {
    return model_.Forward(rows);
  }
  absl::StatusOr<std::shared_ptr<const KvBlock>> BuildPrefix(
      const at::Tensor& rows) const override {
    return model_.BuildPrefix(rows);
  }
  at::Tensor Logits(const at::Tensor& hidden) const override {
    at::Tensor logits = model_.Logits(hidden);
    logits.select(1, script_[num_passes_++ % script_.size()]).fill_(1e9);
    return logits;
  }
  at::Tensor LogitsFor(const at::Tensor& hidden,
                       const at::Tensor& ids) const override {
    return model_.LogitsFor(hidden, ids);
  }

  const std::vector<int64_t>& read() const { return read_; }
  size_t num_passes() const { return num_passes_; }

 private:
  const CausalModel& model_;
  const std::vector<int64_t> script_;
  mutable size_t num_passes_ = 0;
  mutable std::vector<int64_t> read_;
};

// A model that writes `text`, which ends in a line break, and what it has read.
class Scripted {
 public:
  explicit Scripted(const std::string& text)
      : loaded_(std::make_shared<LoadedModel>()) {
    loaded_->info = TinyModel("plain")->info;
    loaded_->tokenizer = *Tokenizer::FromJson(TinyTokenizerJson());
    loaded_->eos_token = TinyModel("plain")->eos_token;
    loaded_->stop_token_ids = TinyModel("plain")->stop_token_ids;
    const Encoding script =
        *loaded_->tokenizer->Encode(text, /*add_special_tokens=*/false);
    size_ = script.ids.size();
    auto model = std::make_unique<ScriptedModel>(script.ids);
    model_ = model.get();
    loaded_->model = std::move(model);
  }

  void SetChatTemplate(const std::string& text) {
    loaded_->chat_template = *Template::CompileChat(text);
  }

  absl::StatusOr<std::vector<std::string>> Write(
      const TaskSpec& task, const std::vector<Example>& rows,
      const InstructionOptions& options) const {
    const auto program =
        *TaskProgram::Compile(task, loaded_, /*num_prompt_rows=*/0);
    return WriteInstructions(*program, loaded_, rows, options);
  }

  std::string ReadText() const {
    return *loaded_->tokenizer->Decode(model_->read(),
                                       /*skip_special_tokens=*/false);
  }
  // Passes that one text takes.
  size_t size() const { return size_; }
  size_t num_passes() const { return model_->num_passes(); }

 private:
  const std::shared_ptr<LoadedModel> loaded_;
  const ScriptedModel* model_ = nullptr;  // part of loaded_
  size_t size_ = 0;
};

TaskSpec SideOfText() { return LabelTask({"left", "right"}); }

TEST(DrawPairs, ShowTheFieldAndTheLabelsFirstWord) {
  TaskSpec task = SideOfText();
  task.mutable_labels(0)->add_words("to the left");
  task.mutable_labels(0)->add_words("port");

  EXPECT_THAT(PairsOf(task, {{.row = 1,
                              .fields = R"({"text": " it\n is  1", "x": 2})",
                              .answer = "left"}}),
              ElementsAre("Input: it is 1\nOutput: to the left"));
}

TEST(DrawPairs, FieldsHaveLinesInTheTemplatesOrder) {
  TaskSpec task = TextTask(4);
  task.set_template_("{{ b }} {{ a }} {{ c }} {{ d }}");

  EXPECT_THAT(
      PairsOf(task, {{.row = 1,
                      .fields = R"({"a": ["x", {"y": 1}], "b": 5.0, "d": "e"})",
                      .answer = "the\n1"}}),
      ElementsAre("Input:\nb: 5\na: [\"x\",{\"y\":1}]\nd: e\nOutput: the 1"));
}

TEST(DrawPairs, ShowTheRightChoice) {
  EXPECT_THAT(
      PairsOf(ChoiceTask(),
              {{.row = 1,
                .fields = R"({"text": "a", "choices": ["it", "the 1"]})",
                .answer = "the 1"}}),
      ElementsAre("Input: a\nOutput: the 1"));
}

TEST(DrawPairs, LongValuesAreCutBehindACharacter) {
  std::string text = "a";
  for (int i = 0; i < 400; ++i) text += "é";

  EXPECT_THAT(PairsOf(TextTask(4),
                      {{.row = 1,
                        .fields = absl::StrCat(R"({"text": ")", text, "\"}"),
                        .answer = text}}),
              ElementsAre(absl::StrCat("Input: ", text.substr(0, 299),
                                       "\nOutput: ", text.substr(0, 299))));
}

TEST(DrawPairs, HaveAsManyLabelsAsThereAre) {
  const std::vector<std::string> labels = {"a", "b", "c", "d", "e"};

  for (const std::string& text :
       PairsOf(LabelTask(labels), RowsInTurns(60, labels), 20)) {
    EXPECT_EQ(CountIn(text, "Input: "), 4u) << text;
    for (const std::string& label : labels) {
      EXPECT_LE(CountIn(text, "Output: " + label), 1u) << text;
    }
  }
  for (const std::string& text :
       PairsOf(SideOfText(), RowsInTurns(60, {"left", "right"}), 20)) {
    EXPECT_EQ(CountIn(text, "Output: left"), 2u) << text;
    EXPECT_EQ(CountIn(text, "Output: right"), 2u) << text;
  }
}

TEST(DrawPairs, NoRowStandsTwiceInADraw) {
  for (const std::string& text :
       PairsOf(SideOfText(), RowsInTurns(3, {"left", "right"}), 20)) {
    EXPECT_THAT(text, AllOf(HasSubstr("it is 0\nOutput: left"),
                            HasSubstr("it is 1\nOutput: right"),
                            HasSubstr("it is 2\nOutput: left")));
    EXPECT_EQ(CountIn(text, "Input: "), 3u) << text;
  }
}

TEST(DrawPairs, TheSeedDecides) {
  const std::vector<Example> rows = RowsInTurns(60, {"left", "right"});

  const std::vector<std::string> texts = PairsOf(SideOfText(), rows, 8, 1);

  EXPECT_THAT(texts, SizeIs(8));
  EXPECT_THAT(std::set<std::string>(texts.begin(), texts.end()), SizeIs(8));
  EXPECT_EQ(texts, PairsOf(SideOfText(), rows, 8, 1));
  EXPECT_NE(texts, PairsOf(SideOfText(), rows, 8, 2));
}

TEST(DrawPairs, ThereAreNoneWithoutRowsOrFields) {
  TaskSpec task = SideOfText();
  EXPECT_THAT(PairsOf(task, {}, 4), IsEmpty());
  EXPECT_THAT(PairsOf(task, RowsInTurns(4, {"left"}), 0), IsEmpty());
  task.set_template_("it is");
  EXPECT_THAT(PairsOf(task, RowsInTurns(4, {"left"}), 4), IsEmpty());
}

TEST(DrawPairs, NameARowThatIsNoObject) {
  const auto program = CompileTask(SideOfText());

  EXPECT_THAT(DrawPairs(*program,
                        std::vector<Example>{
                            {.row = 3, .fields = "[1]", .answer = "left"}},
                        /*count=*/1, /*seed=*/0),
              ReasonIs(Reason::kInvalidData, HasSubstr("row 3")));
}

TEST(CleanInstruction, IsOneLineThatBeginsWithACapital) {
  EXPECT_EQ(CleanInstruction("  classify\tthe \x01 text. "),
            "Classify the text.");
  EXPECT_EQ(CleanInstruction("\xc3\xa9 is\xef\xbf\xbd"), "\xc3\xa9 is");
}

TEST(CleanInstruction, LosesQuotesAroundIt) {
  EXPECT_EQ(CleanInstruction(" \"tell it.\" "), "Tell it.");
  EXPECT_EQ(CleanInstruction("'tell it.'"), "Tell it.");
  EXPECT_EQ(CleanInstruction("\xe2\x80\x9ctell it.\xe2\x80\x9d"), "Tell it.");
  // Where the model's room ended.
  EXPECT_EQ(CleanInstruction("\"tell it and"), "Tell it and");
}

TEST(CleanInstruction, KeepsOtherQuotes) {
  EXPECT_EQ(CleanInstruction("answer \"yes\" or \"no\""),
            "Answer \"yes\" or \"no\"");
  EXPECT_EQ(CleanInstruction("\"yes\" or \"no\""), "\"yes\" or \"no\"");
}

TEST(CleanInstruction, HasAtMost200BytesInWholeCharacters) {
  std::string text(151, 'a');
  for (int i = 0; i < 100; ++i) text += "é";

  const std::optional<std::string> clean = CleanInstruction(text);

  ASSERT_TRUE(clean.has_value());
  EXPECT_EQ(*clean, absl::StrCat("A", text.substr(1, 198)));
}

TEST(CleanInstruction, NeedsLettersAndNoCode) {
  EXPECT_EQ(CleanInstruction(""), std::nullopt);
  EXPECT_EQ(CleanInstruction(" 12. "), std::nullopt);
  EXPECT_EQ(CleanInstruction("''"), std::nullopt);
  EXPECT_EQ(CleanInstruction("tell {{ it }}"), std::nullopt);
}

TEST(WriteInstructions, WhatIsWrittenIsCleanedAndCountsOnce) {
  const Scripted scripted(" classify  \"it\". \n");

  const auto written =
      scripted.Write(SideOfText(), RowsInTurns(40, {"left", "right"}),
                     {.count = 4, .seed = 3});

  ASSERT_OK(written);
  EXPECT_THAT(*written, ElementsAre("Classify \"it\"."));
  EXPECT_THAT(scripted.ReadText(),
              AllOf(HasSubstr("One instruction led from"),
                    HasSubstr("\nOutput: left"), HasSubstr("\nOutput: right"),
                    HasSubstr("\n\nThe instruction was to")));
}

TEST(WriteInstructions, AskAChatModelInATurnOfItsOwn) {
  Scripted scripted(" tell it.\n");
  scripted.SetChatTemplate("<user>{{ messages[0]['content'] }}</user>");

  const auto written = scripted.Write(
      SideOfText(), RowsInTurns(40, {"left", "right"}), {.count = 1});

  ASSERT_OK(written);
  EXPECT_THAT(*written, ElementsAre("Tell it."));
  EXPECT_THAT(scripted.ReadText(),
              AllOf(HasSubstr("<user>One instruction"),
                    HasSubstr("Answer in one sentence.</user>"),
                    Not(HasSubstr("The instruction was to"))));
}

TEST(WriteInstructions, LongRowsLosePairsAndNotTheQuestion) {
  std::vector<Example> rows = RowsInTurns(8, {"left", "right"});
  for (Example& row : rows) {
    row.fields = absl::StrCat(R"({"text": ")", std::string(2000, '7'), "\"}");
  }
  const Scripted scripted(" tell it.\n");

  ASSERT_OK(scripted.Write(SideOfText(), rows, {.count = 1}));

  EXPECT_THAT(scripted.ReadText(),
              AllOf(HasSubstr("One instruction led from"), HasSubstr("777"),
                    HasSubstr("\n\nThe instruction was to")));
  EXPECT_EQ(CountIn(scripted.ReadText(), "Output: "), 1u);
  for (const char* model : {"tiny", "t5"}) {
    const auto program =
        CompileTask(SideOfText(), /*num_prompt_rows=*/0, model);
    EXPECT_OK(WriteInstructions(*program, TinyModel(model), rows, {.count = 2}))
        << model;
  }
}

TEST(WriteInstructions, TextsOfAnyModelAreDistinctShortAndPlain) {
  const std::vector<Example> rows = RowsInTurns(40, {"left", "right"});
  size_t num_written = 0;
  for (const char* model : {"plain", "tiny", "other", "t5"}) {
    const auto program =
        CompileTask(SideOfText(), /*num_prompt_rows=*/0, model);
    const std::string task = program->task().SerializeAsString();
    const InstructionOptions options = {.count = 12, .seed = 5};

    const auto written =
        WriteInstructions(*program, TinyModel(model), rows, options);

    ASSERT_OK(written) << model;
    EXPECT_LE(written->size(), 12u) << model;
    EXPECT_THAT(std::set<std::string>(written->begin(), written->end()),
                SizeIs(written->size()));
    for (const std::string& one : *written) {
      EXPECT_LE(one.size(), kMaxInstructionBytes) << one;
      EXPECT_EQ(CountIn(one, "\n"), 0u) << one;
      EXPECT_TRUE(WithInstruction(one, "{{ text }}").has_value()) << one;
    }
    EXPECT_EQ(*WriteInstructions(*program, TinyModel(model), rows, options),
              *written);
    EXPECT_EQ(program->task().SerializeAsString(), task);
    num_written += written->size();
  }
  EXPECT_GT(num_written, 0u);
}

TEST(WriteInstructions, ManyAreWrittenInSeveralBatches) {
  const Scripted scripted(" tell it.\n");
  size_t passes = 0;

  const auto written =
      scripted.Write(SideOfText(), RowsInTurns(40, {"left", "right"}),
                     {.count = 40, .before_pass = [&passes] {
                        ++passes;
                        return absl::OkStatus();
                      }});

  ASSERT_OK(written);
  EXPECT_THAT(*written, ElementsAre("Tell it."));
  EXPECT_EQ(passes, scripted.num_passes());
  EXPECT_GT(passes, scripted.size());
  EXPECT_EQ(passes % scripted.size(), 0u);
}

TEST(WriteInstructions, EndWithTheErrorOfTheCaller) {
  for (const size_t allowed : {size_t{0}, size_t{3}}) {
    const Scripted scripted(" tell it.\n");
    size_t left = allowed;

    EXPECT_THAT(scripted.Write(SideOfText(), RowsInTurns(40, {"left", "right"}),
                               {.count = 2,
                                .before_pass =
                                    [&left] {
                                      if (left == 0) {
                                        return MakeError(Reason::kCancelled,
                                                         "enough");
                                      }
                                      --left;
                                      return absl::OkStatus();
                                    }}),
                ReasonIs(Reason::kCancelled, HasSubstr("enough")));
    EXPECT_EQ(scripted.num_passes(), allowed);
  }
}

TEST(WriteInstructions, NobodyIsAskedWithoutRows) {
  const Scripted scripted(" tell it.\n");

  const auto written = scripted.Write(SideOfText(), {}, {});

  ASSERT_OK(written);
  EXPECT_THAT(*written, IsEmpty());
  EXPECT_EQ(scripted.num_passes(), 0u);
}

TEST(WriteInstructions, AnEncoderWritesNone) {
  const auto program =
      CompileTask(SideOfText(), /*num_prompt_rows=*/0, "encoder");

  EXPECT_THAT(WriteInstructions(*program, TinyModel("encoder"),
                                RowsInTurns(4, {"left", "right"}), {}),
              ReasonIs(Reason::kInvalidField, HasSubstr("generate")));
}

}  // namespace
}  // namespace attune::worker
