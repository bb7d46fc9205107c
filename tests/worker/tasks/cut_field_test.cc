#include "worker/tasks/cut_field.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

attune::v1::Truncation TruncationOf(const std::string& field) {
  attune::v1::Truncation truncation;
  truncation.set_side(attune::v1::TRUNCATION_SIDE_RIGHT);
  truncation.set_field(field);
  return truncation;
}

// What is left of `fields`, of which the template reads a, b and c.
std::string CutOnce(const std::string& field, size_t excess, json fields,
                    bool* cut) {
  *cut = CutField(TruncationOf(field), {"a", "b", "c"}, *TinyModel()->tokenizer,
                  excess, fields);
  return fields.dump();
}

TEST(CutField, TakesFromTheFieldWithTheMostTokens) {
  bool cut = false;

  // A digit is a token.
  EXPECT_EQ(CutOnce("", 2, {{"a", "1234"}, {"b", "12345"}}, &cut),
            R"({"a":"1234","b":"123"})");
  EXPECT_TRUE(cut);
}

TEST(CutField, TakesFromTheFieldThatIsNamedOnly) {
  bool cut = false;

  EXPECT_EQ(CutOnce("a", 2, {{"a", "1234"}, {"b", "12345"}}, &cut),
            R"({"a":"12","b":"12345"})");
  EXPECT_TRUE(cut);
  EXPECT_EQ(CutOnce("a", 9, {{"a", "1234"}, {"b", "12345"}}, &cut),
            R"({"a":"","b":"12345"})");
  EXPECT_TRUE(cut);
}

TEST(CutField, FindsNothingToTakeInEmptyFieldsAndOtherValues) {
  bool cut = true;

  EXPECT_EQ(CutOnce("a", 2, {{"a", ""}, {"b", "12345"}}, &cut),
            R"({"a":"","b":"12345"})");
  EXPECT_FALSE(cut);
  cut = true;
  EXPECT_EQ(CutOnce("", 2, {{"a", 12345}, {"d", "12345"}}, &cut),
            R"({"a":12345,"d":"12345"})");
  EXPECT_FALSE(cut);
}

// Two texts, the second of which is longer than the first in all tests.
attune::v1::TaskSpec TaskThatCuts(const std::string& field, int limit) {
  attune::v1::TaskSpec task = LabelTask({"yes", "no"});
  task.set_template_("<{{ a }}> {{ b }}:");
  task.mutable_truncation()->set_field(field);
  task.mutable_truncation()->set_side(attune::v1::TRUNCATION_SIDE_RIGHT);
  task.mutable_truncation()->set_max_input_tokens(limit);
  return task;
}

constexpr char kLongFields[] = R"({"a": "0123456789", "b": "01234567890123"})";

TEST(TaskProgram, CutsTheFieldThatItsTaskNames) {
  const auto program = CompileTask(TaskThatCuts("a", 24));

  const absl::StatusOr<TaskInput> input = program->PrepareInput(kLongFields, 1);

  ASSERT_OK(input);
  EXPECT_TRUE(input->truncated);
  EXPECT_LE(input->ids.size(), 24u);
  EXPECT_THAT(*program->model().tokenizer->Decode(input->ids, false),
              AllOf(StartsWith("<0123"), EndsWith("> 01234567890123:")));
}

TEST(TaskProgram, NamesTheFieldThatIsNotEnoughToCut) {
  const auto program = CompileTask(TaskThatCuts("a", 12));

  EXPECT_THAT(
      program->PrepareInput(kLongFields, 1),
      ReasonIs(Reason::kInputTooLong,
               AllOf(HasSubstr("12 fit"),
                     HasSubstr("lets no other field than 'a' be cut"))));
}

TEST(TaskProgram, RefusesToCutAFieldThatTheTemplateDoesNotRead) {
  EXPECT_THAT(TaskProgram::Compile(TaskThatCuts("other", 12), TinyModel(), 0),
              ReasonIs(Reason::kInvalidField,
                       AllOf(HasSubstr("task.truncation.field"),
                             HasSubstr("does not read 'other'"))));
}

}  // namespace
}  // namespace attune::worker
