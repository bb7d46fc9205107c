#include "worker/models/config_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ConfigReader ReaderOf(const std::string& members) {
  return *ConfigReader::Parse("{\"model_type\": \"llama\"" + members + "}");
}

auto IsBad(const std::string& what) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
}

TEST(ConfigReader, NullCountsAsAbsent) {
  const ConfigReader reader = ReaderOf(R"(, "a": null, "b": 3)");

  EXPECT_FALSE(reader.Has("a"));
  EXPECT_EQ(*reader.SizeOr("a", 7), 7);
  EXPECT_EQ(*reader.SizeOr("b", 7), 3);
  EXPECT_THAT(reader.Size("a"), IsBad("'a' is missing"));
}

TEST(ConfigReader, ATokenIdIsTheFirstOfAList) {
  const ConfigReader reader = ReaderOf(R"(, "a": 5, "b": [4, 2], "c": 9)");

  EXPECT_EQ(*reader.TokenIdOr("a", /*vocab_size=*/9, -1), 5);
  EXPECT_EQ(*reader.TokenIdOr("b", /*vocab_size=*/9, -1), 4);
  EXPECT_EQ(*reader.TokenIdOr("missing", /*vocab_size=*/9, -1), -1);
  EXPECT_THAT(reader.TokenIdOr("c", /*vocab_size=*/9, -1),
              IsBad("'c' = 9 is outside the vocabulary of 9"));
}

TEST(ConfigReader, NamesTheKeyOfAWrongKind) {
  const ConfigReader reader = ReaderOf(
      R"(, "size": 1.5, "text": 1, "flag": 0, "list": [1], "object": 2,
         "number": "x")");

  EXPECT_THAT(reader.Size("size"), IsBad("size"));
  EXPECT_THAT(reader.TextOr("text", ""), IsBad("text"));
  EXPECT_THAT(reader.BoolOr("flag", true), IsBad("flag"));
  EXPECT_THAT(reader.Texts("list"), IsBad("list"));
  EXPECT_THAT(reader.Object("object"), IsBad("object"));
  EXPECT_THAT(reader.NumKeys("object"), IsBad("object"));
  EXPECT_THAT(reader.PositiveOr("number", 1), IsBad("number"));
}

TEST(ConfigReader, ErrorsInsideAnObjectNameThePath) {
  const ConfigReader reader = ReaderOf(R"(, "rope_scaling": {"factor": -1})");

  const auto object = reader.Object("rope_scaling");

  ASSERT_OK(object);
  EXPECT_THAT(object->PositiveOr("factor", 1), IsBad("'rope_scaling.factor'"));
}

TEST(ConfigReader, RefusesArithmeticThatIsAskedFor) {
  const ConfigReader reader = ReaderOf(R"(, "off": false, "on": 50.0)");

  EXPECT_OK(reader.Refuse({"off", "absent"}));
  EXPECT_THAT(reader.Refuse({"off", "on"}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("'on'"), HasSubstr("50"))));
}

TEST(ConfigReader, WindowsBelongToTheLayersThatAreNamed) {
  const ConfigReader named =
      ReaderOf(R"(, "layer_types": ["full_attention", "sliding_attention"])");

  EXPECT_THAT(*named.WindowLayers(2, 0), ElementsAre(false, true));
  EXPECT_THAT(*ReaderOf("").WindowLayers(3, 1), ElementsAre(false, true, true));
  EXPECT_THAT(named.WindowLayers(3, 0), IsBad("layer_types"));
}

TEST(ConfigReader, AnObjectWithoutAFamilyIsNoConfig) {
  EXPECT_THAT(ConfigReader::Parse("{}"), IsBad("model_type"));
  EXPECT_THAT(ConfigReader::Parse("[]"), IsBad("not an object"));
}

}  // namespace
}  // namespace attune::worker
