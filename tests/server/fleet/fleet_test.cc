#include "server/fleet/fleet.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

worker::v1::WorkerState MakeWorker(const std::string& id,
                                   const std::string& instance = "i1",
                                   const std::string& model = "models/m",
                                   const std::string& fingerprint = "f1") {
  worker::v1::WorkerState worker;
  worker.set_id(id);
  worker.set_instance_id(instance);
  worker.set_engine_address(Concat(id, ":1"));
  worker.set_accepts_jobs(true);
  v1::Model& held = *worker.add_models();
  held.set_name(model);
  held.set_fingerprint(fingerprint);
  held.add_holders()->set_device("cpu");
  return worker;
}

class FleetTest : public testing::Test {
 protected:
  // The id of the worker that would get a request now.
  std::string Choose(const std::string& artifact = "") {
    auto loan = fleet_.Choose("models/m", "f1", artifact);
    return loan.ok() ? loan->id() : loan.status().ToString();
  }

  FakeClock clock_;
  Fleet fleet_{Fleet::Options(), clock_};
};

TEST_F(FleetTest, WithoutWorkersARequestIsUnavailable) {
  EXPECT_THAT(fleet_.Choose("models/m", "", ""),
              ReasonIs(Reason::kNoWorker, HasSubstr("models/m")));
  EXPECT_THAT(fleet_.Choose("models/m", "", ""),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
}

TEST_F(FleetTest, AWorkerIsChosenForItsModelsOnly) {
  fleet_.Update(MakeWorker("w1"));

  auto loan = fleet_.Choose("models/m", "f1", "");
  ASSERT_OK(loan);
  EXPECT_EQ(loan->id(), "w1");
  EXPECT_EQ(loan->engine_address(), "w1:1");
  EXPECT_THAT(fleet_.Choose("models/other", "", ""),
              ReasonIs(Reason::kNoWorker, HasSubstr("models/other")));
}

TEST_F(FleetTest, ARequestForSeveralModelsGoesToAWorkerThatHoldsThemAll) {
  worker::v1::WorkerState both = MakeWorker("w2");
  v1::Model& second = *both.add_models();
  second.set_name("models/n");
  second.set_fingerprint("f2");
  const Fleet::Need m = {"models/m", "f1", ""};
  const Fleet::Need n = {"models/n", "f2", ""};
  fleet_.Update(MakeWorker("w1"));
  fleet_.Update(MakeWorker("w3", "i1", "models/n", "f2"));

  EXPECT_THAT(fleet_.ChooseForAll({m, n}),
              ReasonIs(Reason::kNoWorker, HasSubstr("models/m and models/n")));

  fleet_.Update(both);
  {
    const auto loan = fleet_.ChooseForAll({m, n});
    ASSERT_OK(loan);
    EXPECT_EQ(loan->id(), "w2");
  }
  EXPECT_THAT(fleet_.ChooseForAll({m, {"models/n", "f3", ""}}),
              ReasonIs(Reason::kModelMismatch, HasSubstr("models/n")));
}

TEST_F(FleetTest, AWorkerThatIsSilentForTwentySecondsIsGone) {
  fleet_.Update(MakeWorker("w1"));
  clock_.Advance(absl::Milliseconds(19'999));
  EXPECT_EQ(Choose(), "w1");
  EXPECT_EQ(fleet_.Count().live, 1);

  clock_.Advance(absl::Milliseconds(1));

  EXPECT_THAT(fleet_.Choose("models/m", "", ""),
              ReasonIs(Reason::kNoWorker, HasSubstr("models/m")));
  EXPECT_EQ(fleet_.Count().live, 0);
  EXPECT_TRUE(fleet_.Models().empty());
}

TEST_F(FleetTest, AWorkerThatWaitsForAnAnswerIsNotSilent) {
  fleet_.Update(MakeWorker("w1"), /*wait=*/absl::Seconds(30));
  clock_.Advance(absl::Seconds(49));
  EXPECT_EQ(Choose(), "w1");

  clock_.Advance(absl::Seconds(1));

  EXPECT_EQ(fleet_.Count().live, 0);
}

TEST_F(FleetTest, AWaitThatEndsEarlyIsNoLongerCounted) {
  const absl::Duration mark =
      fleet_.Update(MakeWorker("w1"), /*wait=*/absl::Seconds(30));
  clock_.Advance(absl::Seconds(1));
  fleet_.EndWait("w1", mark);
  clock_.Advance(absl::Milliseconds(19'999));
  EXPECT_EQ(Choose(), "w1");

  clock_.Advance(absl::Milliseconds(1));

  EXPECT_EQ(fleet_.Count().live, 0);
}

TEST_F(FleetTest, TheEndOfAnEarlierWaitDoesNotEndALaterOne) {
  const absl::Duration earlier =
      fleet_.Update(MakeWorker("w1"), /*wait=*/absl::Seconds(30));
  clock_.Advance(absl::Seconds(1));
  const absl::Duration later =
      fleet_.Update(MakeWorker("w1"), /*wait=*/absl::Seconds(30));
  fleet_.EndWait("w1", earlier);
  fleet_.EndWait("gone", later);
  clock_.Advance(absl::Seconds(49));

  EXPECT_EQ(Choose(), "w1");
}

TEST_F(FleetTest, AJumpOfTheWallClockChangesNothing) {
  fleet_.Update(MakeWorker("w1"));

  clock_.JumpWallClock(absl::Hours(24));

  EXPECT_EQ(Choose(), "w1");
}

TEST_F(FleetTest, OtherWeightsAreAMismatchNotAnAbsence) {
  fleet_.Update(MakeWorker("w1", "i1", "models/m", "other"));

  EXPECT_THAT(fleet_.Choose("models/m", "f1", ""),
              ReasonIs(Reason::kModelMismatch, HasSubstr("other weights")));
  EXPECT_OK(fleet_.Choose("models/m", "", ""));
  fleet_.Update(MakeWorker("w2"));
  EXPECT_EQ(Choose(), "w2");
}

TEST_F(FleetTest, AnUnknownFingerprintIsLeftToTheWorker) {
  fleet_.Update(MakeWorker("w1", "i1", "models/m", ""));

  EXPECT_EQ(Choose(), "w1");
}

TEST_F(FleetTest, LoansMakeAWorkerBusyUntilTheyEnd) {
  fleet_.Update(MakeWorker("w1"));
  fleet_.Update(MakeWorker("w2"));
  {
    auto first = fleet_.Choose("models/m", "f1", "").value();
    EXPECT_EQ(first.id(), "w1");
    WorkerLoan moved = std::move(first);
    EXPECT_EQ(Choose(), "w2");
  }
  EXPECT_EQ(Choose(), "w1");
}

TEST_F(FleetTest, AWarmWorkerIsPreferred) {
  fleet_.Update(MakeWorker("w1"));
  worker::v1::WorkerState warm = MakeWorker("w2");
  warm.add_warm_artifacts("artifact");
  fleet_.Update(warm);

  EXPECT_EQ(Choose("artifact"), "w2");
  EXPECT_EQ(Choose(""), "w1");
}

TEST_F(FleetTest, ASuspectIsAvoidedUntilItSynchronises) {
  fleet_.Update(MakeWorker("w1"));
  fleet_.Update(MakeWorker("w2"));
  fleet_.Choose("models/m", "f1", "").value().MarkSuspect();
  EXPECT_EQ(Choose(), "w2");

  fleet_.Update(MakeWorker("w1"));

  EXPECT_EQ(Choose(), "w1");
}

TEST_F(FleetTest, AReplacedProcessIsIgnored) {
  fleet_.Update(MakeWorker("w1", "old"));
  worker::v1::WorkerState renewed = MakeWorker("w1", "new");
  renewed.set_engine_address("elsewhere:2");
  fleet_.Update(renewed);

  fleet_.Update(MakeWorker("w1", "old"));

  EXPECT_EQ(fleet_.Choose("models/m", "f1", "")->engine_address(),
            "elsewhere:2");
}

TEST_F(FleetTest, ALoanOfAReplacedProcessDoesNotFreeTheNewOne) {
  fleet_.Update(MakeWorker("w1", "old"));
  fleet_.Update(MakeWorker("w2"));
  auto old_loan =
      std::make_unique<WorkerLoan>(fleet_.Choose("models/m", "f1", "").value());
  ASSERT_EQ(old_loan->id(), "w1");
  fleet_.Update(MakeWorker("w1", "new"));
  auto new_loan = fleet_.Choose("models/m", "f1", "").value();
  ASSERT_EQ(new_loan.id(), "w1");

  old_loan->MarkSuspect();
  old_loan.reset();

  EXPECT_EQ(Choose(), "w2");  // w1 still has one request
  auto second = fleet_.Choose("models/m", "f1", "").value();
  EXPECT_EQ(Choose(), "w1");  // and is not suspect
}

TEST_F(FleetTest, AWorkerThatLeavesIsGoneAtOnce) {
  fleet_.Update(MakeWorker("w1", "new"));
  fleet_.Remove("w1", "old");
  EXPECT_EQ(Choose(), "w1");

  fleet_.Remove("w1", "new");

  EXPECT_EQ(fleet_.Count().live, 0);
}

TEST_F(FleetTest, ModelsAreMergedWithTheirHolders) {
  fleet_.Update(MakeWorker("w1", "i", "models/b", ""));
  fleet_.Update(MakeWorker("w2", "i", "models/b", "f1"));
  fleet_.Update(MakeWorker("w3", "i", "models/a"));

  std::vector<v1::Model> models = fleet_.Models();

  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name(), "models/a");
  EXPECT_EQ(models[1].name(), "models/b");
  EXPECT_EQ(models[1].fingerprint(), "f1");
  ASSERT_EQ(models[1].holders_size(), 2);
  EXPECT_EQ(models[1].holders(0).worker(), "w1");
  EXPECT_EQ(models[1].holders(1).worker(), "w2");
  EXPECT_EQ(fleet_.GetModel("models/b")->holders_size(), 2);
  EXPECT_THAT(fleet_.GetModel("models/c"),
              ReasonIs(Reason::kResourceNotFound, HasSubstr("models/c")));
}

TEST_F(FleetTest, AModelTakesItsOwnMemoryWithEachHolder) {
  const std::pair<const char*, int64_t> holders[] = {{"w1", 400}, {"w2", 200}};
  for (const auto& [id, bytes] : holders) {
    worker::v1::WorkerState worker = MakeWorker(id);
    v1::Model& held = *worker.mutable_models(0);
    held.set_kind(v1::MODEL_KIND_ENCODER);
    held.mutable_holders(0)->set_memory_bytes(bytes);
    held.mutable_holders(0)->set_loaded(bytes == 200);
    fleet_.Update(worker);
  }

  const v1::Model model = fleet_.GetModel("models/m").value();

  EXPECT_EQ(model.kind(), v1::MODEL_KIND_ENCODER);
  ASSERT_EQ(model.holders_size(), 2);
  EXPECT_EQ(model.holders(0).memory_bytes(), 400);
  EXPECT_FALSE(model.holders(0).loaded());
  EXPECT_EQ(model.holders(1).memory_bytes(), 200);
  EXPECT_TRUE(model.holders(1).loaded());
}

TEST_F(FleetTest, ListsModelsByPages) {
  PageTokens tokens("key");
  for (const char* model : {"models/c", "models/a", "models/b"}) {
    fleet_.Update(MakeWorker(model, "i", model));
  }

  auto first = fleet_.ListModels({2, "", ""}, tokens).value();
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[1].name(), "models/b");
  auto second = fleet_.ListModels({2, first.next_page_token, ""}, tokens);
  ASSERT_EQ(second->items.size(), 1u);
  EXPECT_EQ(second->items[0].name(), "models/c");
  EXPECT_EQ(second->next_page_token, "");
  EXPECT_THAT(fleet_.ListModels({2, "x", ""}, tokens),
              ReasonIs(Reason::kInvalidPageToken, HasSubstr("page_token")));
}

TEST_F(FleetTest, AJobMayWaitForAFirstWorkerButNotForAnUnknownModel) {
  EXPECT_OK(fleet_.CheckModelForJob("models/x"));
  fleet_.Update(MakeWorker("w1"));

  EXPECT_OK(fleet_.CheckModelForJob("models/m"));
  EXPECT_THAT(fleet_.CheckModelForJob("models/x"),
              ReasonIs(Reason::kUnknownBaseModel,
                       AllOf(HasSubstr("models/x"), HasSubstr("models/m"))));
}

TEST_F(FleetTest, AWorkerThatDrainsGetsNoRequestsAndHoldsNothing) {
  worker::v1::WorkerState draining = MakeWorker("w1");
  draining.set_accepts_jobs(false);
  fleet_.Update(draining);

  EXPECT_THAT(fleet_.Choose("models/m", "f1", ""),
              ReasonIs(Reason::kNoWorker, HasSubstr("models/m")));
  EXPECT_TRUE(fleet_.Models().empty());
  EXPECT_OK(fleet_.CheckModelForJob("models/x"));  // waits for the next worker

  fleet_.Update(MakeWorker("w2"));

  EXPECT_EQ(Choose(), "w2");
}

TEST(Fleet, WaitsForLoansThatAreOut) {
  FakeClock clock;
  auto fleet = std::make_unique<Fleet>(Fleet::Options(), clock);
  fleet->Update(MakeWorker("w1"));
  std::optional<WorkerLoan> loan(fleet->Choose("models/m", "f1", "").value());
  fleet->Remove("w1", "i1");
  std::atomic<bool> given_back = false;
  std::thread call([&] {
    given_back = true;
    loan.reset();
  });
  fleet.reset();

  EXPECT_TRUE(given_back);
  call.join();
}

TEST_F(FleetTest, CountsThoseThatTakeJobs) {
  fleet_.Update(MakeWorker("w1"));
  worker::v1::WorkerState draining = MakeWorker("w2");
  draining.set_accepts_jobs(false);
  fleet_.Update(draining);

  EXPECT_EQ(fleet_.Count().live, 2);
  EXPECT_EQ(fleet_.Count().accepting_jobs, 1);
}

}  // namespace
}  // namespace attune::server
