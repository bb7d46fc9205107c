#include "client/commands/document.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using Kind = DocumentNode::Kind;
using testing::HasSubstr;
using testing::StartsWith;

TEST(ParseDocument, ReadsYamlWithItsLines) {
  const auto root = ParseDocument("a: 1\nb:\n  - 'x'\n  - y\n  - ~\n", "f");

  ASSERT_OK(root);
  ASSERT_EQ(root->kind, Kind::kMap);
  ASSERT_EQ(root->fields.size(), 2u);
  EXPECT_EQ(root->fields[0].key, "a");
  EXPECT_EQ(root->fields[0].value.kind, Kind::kPlain);
  EXPECT_EQ(root->fields[0].value.scalar, "1");
  const DocumentNode& list = root->fields[1].value;
  ASSERT_EQ(list.items.size(), 3u);
  EXPECT_EQ(list.items[0].kind, Kind::kString);
  EXPECT_EQ(list.items[1].kind, Kind::kPlain);
  EXPECT_EQ(list.items[1].line, 4);
  EXPECT_EQ(list.items[2].kind, Kind::kNull);
}

TEST(ParseDocument, ReadsYamlBlocksAsText) {
  const auto root = ParseDocument("t: |\n  one\n  two\n", "f");

  ASSERT_OK(root);
  EXPECT_EQ(root->fields[0].value.kind, Kind::kString);
  EXPECT_EQ(root->fields[0].value.scalar, "one\ntwo\n");
}

TEST(ParseDocument, ReadsJsonWithItsLines) {
  const auto root = ParseDocument(
      "\n{\"a\": [1, -2.5e3, true, null, \"\\ud83d\\ude00\\/\"],\n \"b\": {}}",
      "f");

  ASSERT_OK(root);
  const DocumentNode& list = root->fields[0].value;
  ASSERT_EQ(list.items.size(), 5u);
  EXPECT_EQ(list.items[0].kind, Kind::kNumber);
  EXPECT_EQ(list.items[1].scalar, "-2.5e3");
  EXPECT_EQ(list.items[2].kind, Kind::kBool);
  EXPECT_EQ(list.items[3].kind, Kind::kNull);
  EXPECT_EQ(list.items[4].scalar, "😀/");
  EXPECT_EQ(root->fields[0].line, 2);
  EXPECT_EQ(root->fields[1].line, 3);
}

TEST(ParseDocument, NamesTheLineOfWrongYaml) {
  EXPECT_THAT(
      ParseDocument("a: 1\nb: [1, 2\n", "job.yaml"),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("job.yaml:")));
  EXPECT_THAT(
      ParseDocument("a:\n\tb: 1\n", "job.yaml"),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("job.yaml:2: ")));
}

TEST(ParseDocument, NamesTheLineOfWrongJson) {
  EXPECT_THAT(ParseDocument("{\n \"a\": }", "job.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith("job.json:2: is not JSON")));
  EXPECT_THAT(
      ParseDocument("{\"a\": 1} x", "job.json"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not JSON")));
}

TEST(ParseDocument, RefusesAKeyThatComesTwice) {
  EXPECT_EQ(ParseDocument("a: 1\nb: 2\na: 3\n", "f").status().message(),
            "f:3: 'a' comes twice");
  EXPECT_EQ(ParseDocument("{\"a\": 1, \"a\": 2}", "f").status().message(),
            "f:1: 'a' comes twice");
}

TEST(ParseDocument, RefusesWhatMultiplies) {
  EXPECT_EQ(ParseDocument("a: &x [1]\nb: *x\n", "f").status().message(),
            "f:1: anchors (&name) are not supported");
  EXPECT_EQ(ParseDocument("a: &x\nb: 1\n", "f").status().message(),
            "f:1: anchors (&name) are not supported");
  EXPECT_THAT(ParseDocument("a: *x\n", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
}

TEST(ParseDocument, RefusesTags) {
  EXPECT_EQ(ParseDocument("a: !!binary aGk=\n", "f").status().message(),
            "f:1: tags (!name) are not supported");
}

TEST(ParseDocument, RefusesAnEmptyFileAndASecondDocument) {
  EXPECT_EQ(ParseDocument("", "f").status().message(), "f: is empty");
  EXPECT_EQ(ParseDocument("# nothing\n", "f").status().message(),
            "f: is empty");
  EXPECT_EQ(ParseDocument("a: 1\n---\nb: 2\n", "f").status().message(),
            "f: has more than one YAML document");
}

TEST(ParseDocument, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(ParseDocument("a: \xFF\n", "f").status().message(),
            "f: is not UTF-8 text");
}

TEST(ParseDocument, RefusesWhatIsTooLarge) {
  const std::string text = "a: " + std::string(kMaxDocumentBytes, 'x');

  EXPECT_THAT(ParseDocument(text, "f"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("at most 4194304")));
}

// Each is as large as a file may be. They must end quickly and without a deep
// stack; what they say is the same for all.
TEST(ParseDocument, SurvivesDeepNesting) {
  for (const std::string unit : {"[", "{\"a\":", "{", "- ", "? "}) {
    std::string text;
    while (text.size() + unit.size() <= 100000) text += unit;

    const auto root = ParseDocument(text, "f");

    EXPECT_THAT(root,
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("f:")))
        << unit;
  }
  EXPECT_EQ(
      ParseDocument("{\"a\":" + std::string(64, '['), "f").status().message(),
      "f:1: more than 64 levels inside each other");
}

TEST(ParseDocument, AllowsSixtyFourLevels) {
  EXPECT_OK(ParseDocument(std::string(64, '[') + std::string(64, ']'), "f"));
}

TEST(ParseDocument, ManyKeysTakeNoQuadraticTime) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "k" + std::to_string(i) + ": 1\n";

  const auto root = ParseDocument(text, "f");

  ASSERT_OK(root);
  EXPECT_EQ(root->fields.size(), 100000u);
}

}  // namespace
}  // namespace attune::client
