#include "worker/tasks/row_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using testing::HasSubstr;

TEST(ParseFields, GivesEqualNumbersOneSpelling) {
  const auto fields =
      ParseFields(R"({"a": 1.0, "b": [5e-1, 9007199254740993], "c": "1.0"})");

  ASSERT_OK(fields);
  EXPECT_EQ(DumpFields(*fields),
            R"({"a":1,"b":[0.5,9.007199254740992e+15],"c":"1.0"})");
}

TEST(ParseFields, RefusesWhatIsNoObject) {
  EXPECT_THAT(ParseFields("[1]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("not a JSON object")));
}

TEST(FieldsToJson, KeepsTypes) {
  google::protobuf::Struct fields;
  (*fields.mutable_fields())["n"].set_number_value(3);

  EXPECT_EQ(*FieldsToJson(fields), R"({"n":3})");
}

TEST(FieldsToJson, RefusesNumbersThatJsonCannotSay) {
  google::protobuf::Struct fields;
  google::protobuf::Value deep;
  deep.mutable_list_value()->add_values()->set_number_value(
      std::numeric_limits<double>::infinity());
  (*(*fields.mutable_fields())["n"]
        .mutable_struct_value()
        ->mutable_fields())["list"] = deep;

  EXPECT_THAT(FieldsToJson(fields),
              ReasonIs(Reason::kInvalidField, HasSubstr("fields.n")));
}

TEST(FieldsFromJson, GivesWhatFieldsToJsonWrites) {
  const std::string json = R"({"a":"é\n","list":[1,null,true,{"b":0.5}]})";

  const auto fields = FieldsFromJson(json);

  ASSERT_OK(fields);
  // A message's fields have no order.
  EXPECT_EQ(nlohmann::json::parse(*FieldsToJson(*fields)),
            nlohmann::json::parse(json));
}

TEST(FieldsFromJson, RefusesWhatIsNoObject) {
  EXPECT_THAT(FieldsFromJson("[1]"),
              ReasonIs(Reason::kInvalidData, HasSubstr("not a JSON object")));
}

}  // namespace
}  // namespace attune::worker
