#include "worker/inference/text_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_bert.h"
#include "tests/testing/tiny_t5.h"
#include "tests/worker/inference/inference_fixture.h"

namespace attune::worker {
namespace {

using testing::_;
using testing::HasSubstr;

class TextWriterTest : public InferenceFixture {
 protected:
  // What a model without wisdom writes ends soon at one of `stops`.
  static attune::v1::Decoding Sampling(
      int max_new_tokens, const std::vector<std::string>& stops = {}) {
    attune::v1::Decoding decoding;
    decoding.set_max_new_tokens(max_new_tokens);
    decoding.set_temperature(2);
    for (const std::string& stop : stops) decoding.add_stop(stop);
    return decoding;
  }
  static std::vector<WritingOrder> Orders(int count, int num_shown = 3) {
    std::vector<WritingOrder> orders(count);
    for (int i = 0; i < count; ++i) {
      orders[i].kind = "complaint";
      orders[i].shown.assign(num_shown, "the card is late");
      orders[i].seed = 100 + i;
    }
    return orders;
  }

  absl::StatusOr<std::vector<WrittenText>> Write(
      const std::vector<WritingOrder>& orders,
      const attune::v1::Decoding& decoding,
      const std::string& model = "models/tiny") {
    const auto writer =
        TextWriter::Create(model, decoding, resolver_, inference_metrics_);
    if (!writer.ok()) return writer.status();
    return writer->Write(orders, [] { return absl::OkStatus(); });
  }
};

TEST_F(TextWriterTest, EveryOrderGetsItsText) {
  const std::vector<WritingOrder> orders = Orders(40);

  const auto texts = Write(orders, Sampling(6));
  const auto again = Write(orders, Sampling(6));

  ASSERT_OK(texts);
  ASSERT_OK(again);
  ASSERT_EQ(texts->size(), 40u);
  int others = 0;
  for (size_t i = 0; i < texts->size(); ++i) {
    EXPECT_EQ((*texts)[i].text, (*again)[i].text);
    EXPECT_EQ((*texts)[i].finished, (*again)[i].finished);
    others += (*texts)[i].text != texts->front().text ? 1 : 0;
  }
  EXPECT_GT(others, 20) << "each has a seed of its own";
}

TEST_F(TextWriterTest, ATextEndsAtItsLineOrIsUnfinished) {
  const auto texts =
      Write(Orders(32), Sampling(24, {"e", "t", "a", "o", "n", "i", "s"}));

  ASSERT_OK(texts);
  int finished = 0;
  for (const WrittenText& one : *texts) {
    EXPECT_EQ(one.text.find_first_of("\netaonis"), std::string::npos)
        << one.text;
    finished += one.finished ? 1 : 0;
  }
  EXPECT_GT(finished, 0);

  // A token or two hardly ever end a line.
  const auto cut = Write(Orders(32), Sampling(1));
  ASSERT_OK(cut);
  finished = 0;
  for (const WrittenText& one : *cut) finished += one.finished ? 1 : 0;
  EXPECT_LT(finished, 16);
}

TEST_F(TextWriterTest, AListThatDoesNotFitLosesItsBeginning) {
  EXPECT_OK(Write(Orders(2, /*num_shown=*/60), Sampling(4)));
}

TEST_F(TextWriterTest, AnEncoderDecoderWritesToo) {
  ASSERT_OK(WriteTinyT5(directory_ / "t5"));

  const auto texts = Write(Orders(3), Sampling(4), "models/t5");

  ASSERT_OK(texts);
  EXPECT_EQ(texts->size(), 3u);
}

TEST_F(TextWriterTest, AModelThatGeneratesNoTextIsRefused) {
  ASSERT_OK(WriteTinyBert(directory_ / "encoder"));

  EXPECT_THAT(Write(Orders(1), Sampling(4), "models/encoder"),
              ReasonIs(Reason::kInvalidField,
                       testing::AllOf(HasSubstr("generator"),
                                      HasSubstr("is an encoder"))));
  EXPECT_THAT(Write(Orders(1), Sampling(4), "models/none"),
              ReasonIs(Reason::kUnknownBaseModel, _));
}

TEST_F(TextWriterTest, AnErrorOfThePauseEndsIt) {
  const auto writer = TextWriter::Create("models/tiny", Sampling(64), resolver_,
                                         inference_metrics_);
  ASSERT_OK(writer);
  int pauses = 0;

  EXPECT_THAT(writer->Write(Orders(40),
                            [&pauses] {
                              return ++pauses == 5
                                         ? MakeError(Reason::kCancelled, "gone")
                                         : absl::OkStatus();
                            }),
              ReasonIs(Reason::kCancelled, HasSubstr("gone")));
  EXPECT_EQ(pauses, 5);
}

}  // namespace
}  // namespace attune::worker
