#include "server/jobs/job_filter.h"

#include <iterator>
#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using Field = JobCondition::Field;
using Operator = JobCondition::Operator;

TEST(ParseJobFilter, NothingIsNoCondition) {
  EXPECT_THAT(ParseJobFilter("").value(), IsEmpty());
  EXPECT_THAT(ParseJobFilter(" \t\n").value(), IsEmpty());
}

TEST(ParseJobFilter, ReadsEveryField) {
  auto conditions = ParseJobFilter(
      "state = \"RUNNING\" AND prompt != \"prompts/x\" AND base_model=\"m\" "
      "AND worker = \"w\" AND create_time > \"2024-01-01T00:00:00Z\" AND "
      "create_time<\"2024-01-01T01:00:00.5+01:00\"");

  ASSERT_OK(conditions);
  ASSERT_EQ(conditions->size(), 6u);
  EXPECT_EQ((*conditions)[0].field, Field::kState);
  EXPECT_EQ((*conditions)[0].op, Operator::kEqual);
  EXPECT_EQ((*conditions)[0].number, v1::TuningJob::STATE_RUNNING);
  EXPECT_EQ((*conditions)[1].field, Field::kPrompt);
  EXPECT_EQ((*conditions)[1].op, Operator::kNotEqual);
  EXPECT_EQ((*conditions)[1].text, "prompts/x");
  EXPECT_EQ((*conditions)[2].field, Field::kBaseModel);
  EXPECT_EQ((*conditions)[3].field, Field::kWorker);
  EXPECT_EQ((*conditions)[4].field, Field::kCreateTime);
  EXPECT_EQ((*conditions)[4].op, Operator::kGreater);
  EXPECT_EQ((*conditions)[4].number, 1704067200'000000);
  EXPECT_EQ((*conditions)[5].op, Operator::kLess);
  EXPECT_EQ((*conditions)[5].number, 1704067200'500000);
}

TEST(ParseJobFilter, StringsMayHoldQuotesAndBackslashes) {
  EXPECT_EQ(ParseJobFilter(R"(worker = "a\"b\\c' OR 1")").value()[0].text,
            R"(a"b\c' OR 1)");
  EXPECT_EQ(ParseJobFilter("worker = \"\"").value()[0].text, "");
}

TEST(ParseJobFilter, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {"name = \"x\"", "'name'"},
      {"STATE = \"RUNNING\"", "'STATE'"},
      {"state", "= or !="},
      {"state \"RUNNING\"", "= or !="},
      {"state < \"RUNNING\"", "= or !="},
      {"create_time >= \"2024-01-01T00:00:00Z\"", "double quotes"},
      {"create_time ~ \"x\"", "=, !=, < or >"},
      {"state = RUNNING", "double quotes"},
      {"state = 'RUNNING'", "double quotes"},
      {"state = \"running\"", "'running'"},
      {"state = \"STATE_UNSPECIFIED\"", "not a state"},
      {"create_time > \"yesterday\"", "'yesterday'"},
      {"create_time > \"infinite-future\"", "not a time"},
      {"worker = \"a", "closing"},
      {"worker = \"a\\n\"", "backslash"},
      {"worker = \"a\\", "backslash"},
      {"worker = \"a\" worker = \"b\"", "AND"},
      {"worker = \"a\" OR worker = \"b\"", "AND"},
      {"worker = \"a\" and worker = \"b\"", "AND"},
      {"worker = \"a\" AND", "''"},
      {"(worker = \"a\")", "''"},
      {"NOT worker = \"a\"", "'NOT'"},
      {"worker = \"a\"; DROP TABLE jobs", "AND"},
  };
  for (const auto& [filter, message] : wrong) {
    EXPECT_THAT(ParseJobFilter(filter),
                ReasonIs(Reason::kInvalidFilter,
                         AllOf(HasSubstr(message), HasSubstr("at byte"))))
        << filter;
  }
}

TEST(ParseJobFilter, HasLimits) {
  std::string sixteen = "worker = \"a\"";
  for (int i = 1; i < 16; ++i) sixteen += " AND worker = \"a\"";

  EXPECT_EQ(ParseJobFilter(sixteen).value().size(), 16u);
  EXPECT_THAT(ParseJobFilter(sixteen + " AND worker = \"a\""),
              ReasonIs(Reason::kInvalidFilter, HasSubstr("16 conditions")));
  EXPECT_THAT(ParseJobFilter(std::string(5000, ' ')),
              ReasonIs(Reason::kInvalidFilter, HasSubstr("4096 bytes")));
}

TEST(ParseJobFilter, AnyBytesAreAnsweredWithoutHarm) {
  std::mt19937 random(1);
  const std::string pieces[] = {"state", "=",  "!=", "\"",     "RUNNING", " ",
                                "AND",   "\\", "<",  "worker", "\xff",    "("};
  for (int i = 0; i < 5000; ++i) {
    std::string filter;
    for (unsigned n = random() % 12; n > 0; --n) {
      filter += pieces[random() % std::size(pieces)];
    }
    auto conditions = ParseJobFilter(filter);
    if (!conditions.ok()) {
      EXPECT_EQ(ReasonOf(conditions.status()), Reason::kInvalidFilter);
    }
  }
}

}  // namespace
}  // namespace attune::server
