#include "server/store/request_ids.h"

#include <soci/soci.h>

#include <set>
#include <string>

#include "attune/v1/tuning_service.pb.h"
#include "gtest/gtest.h"
#include "server/store/database.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using testing::HasSubstr;

constexpr char kId[] = "5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d10";
const absl::Time kRequestTime = absl::FromUnixSeconds(1704067200);

class RequestIdsTest : public testing::Test {
 protected:
  absl::StatusOr<std::optional<std::string>> Find(const std::string& id,
                                                  const std::string& hash,
                                                  absl::Time now) {
    absl::StatusOr<std::optional<std::string>> found;
    absl::Status status = database_->Read([&](soci::session& sql) {
      found = RequestIds(sql).Find("Create", id, hash, now);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return found;
  }
  void Remember(const std::string& id, const std::string& hash,
                const std::string& uid, absl::Time now) {
    ASSERT_OK(database_->Transact([&](soci::session& sql) {
      RequestIds(sql).Remember("Create", id, hash, uid, now);
      return absl::OkStatus();
    }));
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_ =
      Database::Open({directory_.path(), {}}).value();
};

TEST_F(RequestIdsTest, ARepeatedRequestFindsWhatTheFirstMade) {
  Remember(kId, "h", "uid-1", kRequestTime);

  EXPECT_EQ(Find(kId, "h", kRequestTime + absl::Hours(23)).value(), "uid-1");
}

TEST_F(RequestIdsTest, UpperAndLowerCaseAreTheSameId) {
  Remember(kId, "h", "uid-1", kRequestTime);

  EXPECT_EQ(
      Find("5D1C8E52-9B3C-4C0E-8A54-0E4A2C3F9D10", "h", kRequestTime).value(),
      "uid-1");
}

TEST_F(RequestIdsTest, AnotherRequestWithTheIdIsRefused) {
  Remember(kId, "h", "uid-1", kRequestTime);

  EXPECT_THAT(Find(kId, "other", kRequestTime),
              ReasonIs(Reason::kRequestIdReused, HasSubstr(kId)));
}

TEST_F(RequestIdsTest, IsForgottenAfterADay) {
  Remember(kId, "h", "uid-1", kRequestTime);

  EXPECT_EQ(Find(kId, "other", kRequestTime + absl::Hours(24)).value(),
            std::nullopt);
  Remember(kId, "other", "uid-2", kRequestTime + absl::Hours(24));
  EXPECT_EQ(Find(kId, "other", kRequestTime + absl::Hours(25)).value(),
            "uid-2");
}

TEST_F(RequestIdsTest, AnEmptyIdIsNeverRemembered) {
  Remember("", "h", "uid-1", kRequestTime);
  Remember("", "h", "uid-2", kRequestTime);

  EXPECT_EQ(Find("", "h", kRequestTime).value(), std::nullopt);
}

TEST(CheckRequestId, OnlyUuidsPass) {
  EXPECT_OK(CheckRequestId("", "request_id"));
  EXPECT_OK(CheckRequestId(kId, "request_id"));
  for (const char* id :
       {"x", "5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d1",
        "5d1c8e52-9b3c-4c0e-8a54-0e4a2c3f9d1g",
        "5d1c8e529b3c-4c0e-8a54-0e4a2c3f9d10-", "' OR 1 = 1; --"}) {
    EXPECT_THAT(CheckRequestId(id, "header.request_id"),
                ReasonIs(Reason::kInvalidField, HasSubstr("header.request_id")))
        << id;
  }
}

TEST(RequestHash, DoesNotDependOnTheOrderOfMaps) {
  v1::TuningJob one;
  v1::TuningJob two;
  const std::string value = "some value";
  for (int i = 0; i < 50; ++i) {
    (*one.mutable_annotations())[std::to_string(i)] = value;
    (*two.mutable_annotations())[std::to_string(49 - i)] = value;
  }

  EXPECT_EQ(RequestHash(one), RequestHash(two));
}

TEST(RequestHash, DiffersByContentAndByType) {
  v1::GetTuningJobRequest get;
  v1::CancelTuningJobRequest cancel;
  get.set_name("tuningJobs/a");
  cancel.set_name("tuningJobs/a");
  std::string hash = RequestHash(get);
  get.set_name("tuningJobs/b");

  EXPECT_NE(RequestHash(get), hash);
  EXPECT_NE(RequestHash(cancel), hash);
}

TEST(NewUuid, MakesDifferentUuidsOfVersionFour) {
  std::set<std::string> uuids;
  for (int i = 0; i < 100; ++i) {
    std::string uuid = NewUuid();
    EXPECT_OK(CheckRequestId(uuid, "x"));
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    uuids.insert(uuid);
  }
  EXPECT_EQ(uuids.size(), 100u);
}

}  // namespace
}  // namespace attune::server
