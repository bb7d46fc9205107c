#include "server/datasets/upload_format.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/server/datasets/read_file.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using FormatHeader = v1::UploadExamplesHeader;

TEST(MakeRowReader, KnowsEveryFormatOfTheProto) {
  const auto* formats = FormatHeader::UploadFormat_descriptor();
  ASSERT_EQ(formats->value_count(), 6);
  for (int i = 0; i < formats->value_count(); ++i) {
    const auto format = static_cast<UploadFormat>(formats->value(i)->number());

    EXPECT_THAT(ReadFile(format, "").value(), ElementsAre())
        << formats->value(i)->name();
    EXPECT_FALSE(RowsOfFormat(format).empty());
  }
}

TEST(MakeRowReader, UnsetMeansJsonLines) {
  EXPECT_THAT(
      ReadFile(FormatHeader::UPLOAD_FORMAT_UNSPECIFIED, "{\"a\":1}\n").value(),
      ElementsAre("1 {\"a\":1}"));
}

TEST(MakeRowReader, OtherFormatsAreRefused) {
  EXPECT_THAT(MakeRowReader(static_cast<UploadFormat>(9), "", nullptr),
              ReasonIs(Reason::kInvalidField, HasSubstr("header.format")));
}

}  // namespace
}  // namespace attune::server
