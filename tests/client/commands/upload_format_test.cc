#include "client/commands/upload_format.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::client {
namespace {

using Header = v1::UploadExamplesHeader;

TEST(FindUploadFormat, GoesByTheSuffix) {
  EXPECT_EQ(*FindUploadFormat("", "a.jsonl"), Header::UPLOAD_FORMAT_JSON_LINES);
  EXPECT_EQ(*FindUploadFormat("", "a.ndjson"),
            Header::UPLOAD_FORMAT_JSON_LINES);
  EXPECT_EQ(*FindUploadFormat("", "a.json"), Header::UPLOAD_FORMAT_JSON_ARRAY);
  EXPECT_EQ(*FindUploadFormat("", "d.x/a.b.CSV"), Header::UPLOAD_FORMAT_CSV);
  EXPECT_EQ(*FindUploadFormat("", "a.tsv"), Header::UPLOAD_FORMAT_TSV);
  for (const char* file : {"a.conll", "a.bio", "a.bioes", "a.iob"}) {
    EXPECT_EQ(*FindUploadFormat("", file), Header::UPLOAD_FORMAT_CONLL);
  }
}

TEST(FindUploadFormat, TheFlagWins) {
  EXPECT_EQ(*FindUploadFormat("tsv", "a.csv"), Header::UPLOAD_FORMAT_TSV);
  EXPECT_EQ(*FindUploadFormat("json", "-"), Header::UPLOAD_FORMAT_JSON_ARRAY);
}

TEST(FindUploadFormat, StandardInputIsJsonLines) {
  EXPECT_EQ(*FindUploadFormat("", "-"), Header::UPLOAD_FORMAT_JSON_LINES);
}

TEST(FindUploadFormat, NamesTheChoices) {
  EXPECT_THAT(FindUploadFormat("bio", "a.bio"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--format 'bio' is not known: it is jsonl, json, csv, "
                       "tsv or conll"));
  for (const std::string file : {"rows.txt", "rows", "d.csv/rows", ".csv"}) {
    EXPECT_THAT(FindUploadFormat("", file),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "the name of " + file +
                             " does not tell its format; say --format: jsonl, "
                             "json, csv, tsv or conll"));
  }
}

}  // namespace
}  // namespace attune::client
