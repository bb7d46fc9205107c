#include "server/datasets/row_reader.h"

#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

// Makes one row of a whole file.
class WholeFileReader : public RowReader {
 public:
  using RowReader::RowReader;

 private:
  absl::Status Read(std::string_view bytes) override {
    file_ += bytes;
    return absl::OkStatus();
  }
  absl::Status ReadEnd() override {
    return Emit(7, MakeRow({{"file", file_}}, default_split()),
                "begins a file that ");
  }

  std::string file_;
};

// What a reader gives for a file in chunks of one byte.
absl::StatusOr<std::string> ReadByBytes(const std::string& file) {
  std::string row_json;
  WholeFileReader reader("train", [&](int64_t line, Row row) {
    EXPECT_EQ(line, 7);
    row_json = std::move(row.json);
    return absl::OkStatus();
  });
  for (const char byte : file) {
    EXPECT_OK(reader.Append(std::string(1, byte)));
  }
  const absl::Status status = reader.Finish();
  if (!status.ok()) return status;
  return row_json;
}

TEST(RowReader, SkipsAByteOrderMarkAtTheBeginningOnly) {
  EXPECT_EQ(ReadByBytes("\xEF\xBB\xBFx").value(),
            R"({"file":"x","split":"train"})");
  EXPECT_EQ(ReadByBytes("xy").value(), R"({"file":"xy","split":"train"})");
  EXPECT_EQ(ReadByBytes("\xEF\xBB\xBF\xEF\xBB\xBF").value(),
            "{\"file\":\"\xEF\xBB\xBF\",\"split\":\"train\"}");
  EXPECT_EQ(ReadByBytes("").value(), R"({"file":"","split":"train"})");
}

TEST(RowReader, NamesTheLineOfAWrongRow) {
  EXPECT_THAT(ReadByBytes("\xEF\xBB"),
              ReasonIs(Reason::kInvalidData,
                       "line 7 begins a file that has a string that is not "
                       "UTF-8; nothing was stored"));
}

TEST(RowReader, ReturnsTheErrorOfTheSink) {
  WholeFileReader reader("", [](int64_t, Row) {
    return MakeError(Reason::kLimitExceeded, "full");
  });
  ASSERT_OK(reader.Append("{}"));

  EXPECT_THAT(reader.Finish(), ReasonIs(Reason::kLimitExceeded, "full"));
}

}  // namespace
}  // namespace attune::server
