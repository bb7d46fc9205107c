#include "server/datasets/line_reader.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Keeps lines with their numbers and ends.
class LineKeeper : public LineReader {
 public:
  LineKeeper()
      : LineReader("", [](int64_t, Row) { return absl::OkStatus(); }) {}

  std::vector<std::string> lines;
  bool ended = false;

 private:
  absl::Status ReadLine(std::string_view line,
                        std::string_view line_end) override {
    lines.push_back(Concat(line_number(), ":", line, "|", line_end));
    return absl::OkStatus();
  }
  absl::Status ReadLast() override {
    ended = true;
    return absl::OkStatus();
  }
};

absl::StatusOr<std::vector<std::string>> Lines(const std::string& file,
                                               size_t size) {
  LineKeeper keeper;
  for (size_t i = 0; i < file.size(); i += size) {
    const absl::Status status = keeper.Append(file.substr(i, size));
    if (!status.ok()) return status;
  }
  const absl::Status status = keeper.Finish();
  if (!status.ok()) return status;
  EXPECT_TRUE(keeper.ended);
  return keeper.lines;
}

TEST(LineReader, CountsLinesAndTellsTheirEnds) {
  for (const size_t size : {1, 2, 3, 100}) {
    EXPECT_THAT(Lines("a\r\n\nb\rc\n d", size).value(),
                ElementsAre("1:a|\r\n", "2:|\n", "3:b\rc|\n", "4: d|"));
    EXPECT_THAT(Lines("a\n", size).value(), ElementsAre("1:a|\n"));
    EXPECT_THAT(Lines("", size).value(), ElementsAre());
  }
}

TEST(LineReader, ALineMayBeAsLongAsARow) {
  const std::string longest(kMaxRowBytes, 'x');
  for (const size_t size : {size_t{1000}, size_t{1} << 18, size_t{1} << 20}) {
    EXPECT_EQ(Lines(longest + "\r\n" + longest, size)->size(), 2u);
    EXPECT_THAT(Lines("\n" + longest + "x\n", size),
                ReasonIs(Reason::kInvalidData,
                         "line 2 has more than 262144 bytes; nothing was "
                         "stored"));
  }
}

TEST(LineReader, ALineWithoutEndIsRefusedBeforeItFillsTheMemory) {
  LineKeeper keeper;

  EXPECT_THAT(keeper.Append(std::string(1 << 20, 'x')),
              ReasonIs(Reason::kInvalidData,
                       AllOf(HasSubstr("line 1"), HasSubstr("262144"))));
}

TEST(LineReader, ANulByteIsRefused) {
  for (const size_t size : {1, 100}) {
    EXPECT_THAT(Lines(std::string("a\nb\0c", 5), size),
                ReasonIs(Reason::kInvalidData,
                         AllOf(HasSubstr("line 2"), HasSubstr("NUL"))));
  }
}

}  // namespace
}  // namespace attune::server
