#include "proto/cc/status.h"

#include <set>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::HasSubstr;

google::rpc::BadRequest FieldsIn(const grpc::Status& status) {
  google::rpc::Status rpc;
  EXPECT_TRUE(rpc.ParseFromString(status.error_details()));
  google::rpc::BadRequest fields;
  for (const auto& detail : rpc.details()) {
    if (detail.Is<google::rpc::BadRequest>()) detail.UnpackTo(&fields);
  }
  return fields;
}

TEST(Status, TheTableHasEachReasonOnceAndInOrder) {
  std::set<std::string> names;
  for (size_t i = 0; i < AllReasons().size(); ++i) {
    const ReasonRow& row = AllReasons()[i];
    EXPECT_EQ(static_cast<size_t>(row.reason), i);
    EXPECT_TRUE(names.insert(std::string(row.name)).second) << row.name;
    EXPECT_NE(row.code, absl::StatusCode::kOk);
  }
  EXPECT_EQ(AllReasons().back().reason, Reason::kInternal);
}

TEST(Status, EveryReasonSurvivesTheWire) {
  for (const ReasonRow& row : AllReasons()) {
    const absl::Status sent = MakeError(row.reason, "why");
    const absl::Status received = FromGrpcStatus(ToGrpcStatus(sent));

    EXPECT_EQ(ReasonOf(received), row.reason);
    EXPECT_EQ(received, sent);
  }
}

TEST(Status, OkStaysOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_OK(FromGrpcStatus(grpc::Status::OK));
}

TEST(Status, ErrorsFromElsewhereGetAReasonOnTheWire) {
  const absl::Status received =
      FromGrpcStatus(ToGrpcStatus(absl::NotFoundError("gone")));

  EXPECT_THAT(received, ReasonIs(Reason::kResourceNotFound, "gone"));
  EXPECT_EQ(ReasonOf(absl::NotFoundError("gone")), Reason::kInternal);
}

TEST(Status, AnErrorWithoutDetailsKeepsCodeAndMessage) {
  EXPECT_THAT(FromGrpcStatus(
                  grpc::Status(grpc::StatusCode::UNAVAILABLE, "no connection")),
              StatusIs(absl::StatusCode::kUnavailable, "no connection"));
}

TEST(Status, ContextKeepsTheReason) {
  const absl::Status status =
      WithContext(MakeError(Reason::kQueueFull, "full"), "worker 'a'");

  EXPECT_THAT(status, ReasonIs(Reason::kQueueFull, "worker 'a': full"));
}

TEST(Status, ViolationsAreNamedTogether) {
  FieldViolations violations;
  violations.Add("a.b", "is missing");
  violations.AddUnsupported("c", "is not built");
  violations.AddAll("p", InvalidField("[2].q", "is wrong"));
  violations.AddAll("p", absl::InternalError("odd"));
  const auto fields = FieldsIn(ToGrpcStatus(violations.ToStatus()));

  EXPECT_THAT(violations.ToStatus(),
              ReasonIs(Reason::kInvalidField, "a.b: is missing (and 3 more)"));
  ASSERT_EQ(fields.field_violations_size(), 4);
  EXPECT_EQ(fields.field_violations(2).field(), "p[2].q");
  EXPECT_EQ(fields.field_violations(3).field(), "p");
}

TEST(Status, OnlyUnsupportedFieldsAreUnimplemented) {
  EXPECT_THAT(UnsupportedField("a", "later"),
              ReasonIs(Reason::kUnsupportedField, "a: later"));
  EXPECT_EQ(UnsupportedField("a", "later").code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_OK(FieldViolations().ToStatus());
}

TEST(Status, AtMostSixteenFieldsAndFourKilobytesTravel) {
  FieldViolations violations;
  for (int i = 0; i < 40; ++i) {
    violations.Add(Concat("field", i, std::string(300, 'x')),
                   std::string(2000, 'y'));
  }
  const grpc::Status status = ToGrpcStatus(violations.ToStatus());

  EXPECT_LE(status.error_details().size() * 4 / 3, 4096u);
  EXPECT_GE(FieldsIn(status).field_violations_size(), 1);
  EXPECT_LE(status.error_message().size(), 1027u);
}

TEST(Status, TextThatIsNotUtf8IsMended) {
  const std::string bad = "a\xFF\xC0\xAF\xED\xA0\x80z\xF0\x9F\x98\x80";
  const absl::Status received =
      FromGrpcStatus(ToGrpcStatus(InvalidField("f", bad)));

  EXPECT_THAT(received,
              ReasonIs(Reason::kInvalidField, HasSubstr("z\xF0\x9F\x98\x80")));
  EXPECT_THAT(std::string(received.message()), HasSubstr("a???"));
}

TEST(Status, NotFoundNamesKindAndName) {
  EXPECT_THAT(NotFound("dataset", "datasets/x"),
              StatusIs(absl::StatusCode::kNotFound,
                       "dataset 'datasets/x' does not exist"));
}

}  // namespace
}  // namespace attune
