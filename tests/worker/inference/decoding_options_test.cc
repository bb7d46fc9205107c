#include "worker/inference/decoding_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "proto/cc/status.h"

namespace attune::worker {
namespace {

using attune::v1::Decoding;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ResolveDecoding, HasDefaults) {
  const auto options = ResolveDecoding({}, {});

  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->max_new_tokens, 64);
  EXPECT_EQ(options->sampling.temperature, 0);
  EXPECT_EQ(options->sampling.top_k, 0);
  EXPECT_EQ(options->sampling.top_p, 1);
  EXPECT_EQ(options->sampling.seed, 0u);
  EXPECT_THAT(options->stop, IsEmpty());
}

TEST(ResolveDecoding, TheRequestWinsFieldByField) {
  Decoding task;
  task.set_max_new_tokens(10);
  task.set_temperature(0.5);
  task.set_top_k(5);
  task.add_stop("a");
  Decoding request;
  request.set_temperature(1.5);
  request.mutable_top_p()->set_value(0.9);
  request.set_seed(3);

  const auto options = ResolveDecoding(task, request);

  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->max_new_tokens, 10);
  EXPECT_EQ(options->sampling.temperature, 1.5);
  EXPECT_EQ(options->sampling.top_k, 5);
  EXPECT_EQ(options->sampling.top_p, 0.9);
  EXPECT_EQ(options->sampling.seed, 3u);
  EXPECT_THAT(options->stop, ElementsAre("a"));
}

TEST(ResolveDecoding, ARequestMayTakeTheLikeliestWhereTheTaskSamples) {
  Decoding task;
  task.set_temperature(0.5);
  task.set_top_k(5);
  task.mutable_top_p()->set_value(0.9);
  Decoding request;
  request.set_temperature(0);

  const auto options = ResolveDecoding(task, request);

  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->sampling.temperature, 0);
  EXPECT_EQ(options->sampling.top_k, 0);
  EXPECT_EQ(options->sampling.top_p, 1);
}

TEST(ResolveDecoding, ARequestMaySearchByBeamsWhereTheTaskSamples) {
  Decoding task;
  task.set_temperature(0.5);
  task.set_top_k(5);
  Decoding request;
  request.set_num_beams(4);
  EXPECT_FALSE(ResolveDecoding(task, request).ok());
  request.set_temperature(0);

  EXPECT_EQ(ResolveDecoding(task, request)->num_beams, 4);
}

TEST(ResolveDecoding, ARequestMaySampleAmongAllTokens) {
  Decoding task;
  task.set_temperature(0.5);
  task.set_top_k(5);
  Decoding request;
  request.set_top_k(0);

  EXPECT_EQ(ResolveDecoding(task, request)->sampling.top_k, 0);
  EXPECT_EQ(ResolveDecoding(task, request)->sampling.temperature, 0.5);
}

TEST(ResolveDecoding, StopTextsOfTheRequestReplaceTheTasks) {
  Decoding task;
  task.add_stop("a");
  task.add_stop("b");
  Decoding request;
  request.add_stop("c");

  EXPECT_THAT(ResolveDecoding(task, request)->stop, ElementsAre("c"));
}

// Sets a field to what is refused.
struct BadField {
  const char* path;
  void (*set)(Decoding&);
};

class BadDecoding : public testing::TestWithParam<BadField> {};

TEST_P(BadDecoding, IsRefusedByName) {
  Decoding request;
  request.set_temperature(1);
  GetParam().set(request);

  const absl::Status status = ResolveDecoding({}, request).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().path));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, BadDecoding,
    testing::Values(
        BadField{"decoding.max_new_tokens",
                 [](Decoding& d) { d.set_max_new_tokens(-1); }},
        BadField{"decoding.temperature",
                 [](Decoding& d) { d.set_temperature(2.5); }},
        BadField{"decoding.temperature",
                 [](Decoding& d) {
                   d.set_temperature(std::numeric_limits<double>::quiet_NaN());
                 }},
        BadField{"decoding.top_k", [](Decoding& d) { d.set_top_k(-1); }},
        BadField{"decoding.top_k",
                 [](Decoding& d) {
                   d.set_temperature(0);
                   d.set_top_k(5);
                 }},
        BadField{"decoding.top_p",
                 [](Decoding& d) { d.mutable_top_p()->set_value(0); }},
        BadField{"decoding.top_p",
                 [](Decoding& d) { d.mutable_top_p()->set_value(1.1); }},
        BadField{"decoding.stop",
                 [](Decoding& d) { d.add_stop(std::string()); }},
        BadField{"decoding.stop",
                 [](Decoding& d) { d.add_stop(std::string(65, 'x')); }},
        BadField{"decoding.stop",
                 [](Decoding& d) {
                   for (int i = 0; i < 9; ++i) d.add_stop(std::string(1, 'x'));
                 }},
        BadField{"decoding.num_beams",
                 [](Decoding& d) { d.set_num_beams(-1); }},
        BadField{"decoding.num_beams",
                 [](Decoding& d) {
                   d.set_temperature(0);
                   d.set_num_beams(17);
                 }},
        BadField{"decoding.num_beams",  // beside a temperature
                 [](Decoding& d) { d.set_num_beams(2); }},
        BadField{"decoding.length_penalty",
                 [](Decoding& d) {
                   d.set_temperature(0);
                   d.set_num_beams(2);
                   d.mutable_length_penalty()->set_value(4.5);
                 }},
        BadField{"decoding.length_penalty",
                 [](Decoding& d) {
                   d.set_temperature(0);
                   d.set_num_beams(2);
                   d.mutable_length_penalty()->set_value(
                       std::numeric_limits<double>::quiet_NaN());
                 }},
        BadField{"decoding.length_penalty",  // without beams
                 [](Decoding& d) {
                   d.set_temperature(0);
                   d.mutable_length_penalty()->set_value(0);
                 }}));

TEST(ResolveDecoding, ATopPOfZeroIsRefusedWhateverTheTaskSays) {
  Decoding task;
  task.set_temperature(1);
  task.mutable_top_p()->set_value(0.9);
  Decoding request;
  request.mutable_top_p()->set_value(0);

  EXPECT_EQ(ReasonOf(ResolveDecoding(task, request).status()),
            Reason::kInvalidField);
}

TEST(ResolveDecoding, BeamsAreOffByDefaultAndThePenaltyIsOne) {
  const DecodingOptions options = *ResolveDecoding({}, {});

  EXPECT_EQ(options.num_beams, 1);
  EXPECT_EQ(options.length_penalty, 1);
}

TEST(ResolveDecoding, ARequestChangesTheBeamsOfATask) {
  Decoding task;
  task.set_num_beams(4);
  task.mutable_length_penalty()->set_value(2);
  Decoding wider;
  wider.set_num_beams(16);
  Decoding flat;
  flat.mutable_length_penalty()->set_value(0);
  Decoding none;
  none.set_num_beams(1);

  EXPECT_EQ(ResolveDecoding(task, {})->num_beams, 4);
  EXPECT_EQ(ResolveDecoding(task, {})->length_penalty, 2);
  EXPECT_EQ(ResolveDecoding(task, wider)->num_beams, 16);
  EXPECT_EQ(ResolveDecoding(task, wider)->length_penalty, 2);
  EXPECT_EQ(ResolveDecoding(task, flat)->length_penalty, 0);
  EXPECT_EQ(ResolveDecoding(task, none)->num_beams, 1);
}

}  // namespace
}  // namespace attune::worker
