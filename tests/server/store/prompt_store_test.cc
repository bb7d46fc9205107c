#include "server/store/prompt_store.h"

#include <soci/soci.h>

#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/store/database.h"
#include "server/store/job_store.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_directory.h"

namespace attune::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

const absl::Time kNow = absl::FromUnixSeconds(1704067200);

class PromptStoreTest : public testing::Test {
 protected:
  absl::Status Transact(absl::FunctionRef<void(PromptStore&)> body) {
    return database_->Transact([&](soci::session& sql) {
      PromptStore store(sql);
      body(store);
      return absl::OkStatus();
    });
  }

  static int64_t AddPrompt(PromptStore& store, const std::string& id) {
    PromptRecord prompt{0, id, Concat("uid-", id), kNow, kNow};
    store.Insert(prompt);
    return prompt.number;
  }

  static int64_t AddVersion(PromptStore& store, int64_t prompt,
                            const std::string& job) {
    VersionRecord record;
    record.number = store.TakeVersionNumber("p");
    record.version.set_artifact_digest(Concat("artifact-", job));
    store.InsertVersion(prompt, job, record);
    return record.number;
  }

  TempDirectory directory_;
  std::unique_ptr<Database> database_ =
      Database::Open({directory_.path(), {}}).value();
};

TEST_F(PromptStoreTest, KeepsPrompts) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t number = AddPrompt(store, "p");
    store.SetUpdateTime(number, kNow + absl::Microseconds(5));

    auto found = store.Find("p");
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->number, number);
    EXPECT_EQ(found->uid, "uid-p");
    EXPECT_EQ(found->create_time, kNow);
    EXPECT_EQ(found->update_time, kNow + absl::Microseconds(5));
    EXPECT_FALSE(store.Find("q").has_value());
  }));
}

TEST_F(PromptStoreTest, ListsPromptsByIdFromAPosition) {
  ASSERT_OK(Transact([](PromptStore& store) {
    for (const char* id : {"b", "c", "a"}) AddPrompt(store, id);

    EXPECT_EQ(store.List("", 2)[0].id, "a");
    EXPECT_EQ(store.List("", 2)[1].id, "b");
    EXPECT_EQ(store.List("b", 2).size(), 1u);
  }));
}

TEST_F(PromptStoreTest, VersionNumbersOutliveVersionsAndPrompts) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t prompt = AddPrompt(store, "p");
    EXPECT_EQ(AddVersion(store, prompt, "j1"), 1);
    EXPECT_EQ(AddVersion(store, prompt, "j2"), 2);
    store.DeleteVersion(prompt, 2);
    EXPECT_EQ(AddVersion(store, prompt, "j3"), 3);
    store.Delete(prompt);
    prompt = AddPrompt(store, "p");
    EXPECT_EQ(AddVersion(store, prompt, "j4"), 4);
    EXPECT_EQ(store.TakeVersionNumber("other"), 1);
  }));
}

TEST_F(PromptStoreTest, CountsAndListsVersionsNewestFirst) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t prompt = AddPrompt(store, "p");
    EXPECT_EQ(store.NewestVersion(prompt), 0);
    for (const char* job : {"j1", "j2", "j3"}) AddVersion(store, prompt, job);

    EXPECT_EQ(store.CountVersions(prompt), 3);
    EXPECT_EQ(store.NewestVersion(prompt), 3);
    std::vector<VersionRecord> page = store.ListVersions(prompt, 3, 10);
    ASSERT_EQ(page.size(), 2u);
    EXPECT_EQ(page[0].number, 2);
    EXPECT_EQ(page[1].number, 1);
    EXPECT_EQ(store.FindVersion(prompt, 1)->version.artifact_digest(),
              "artifact-j1");
    EXPECT_FALSE(store.FindVersion(prompt, 4).has_value());
  }));
}

TEST_F(PromptStoreTest, AJobHasAtMostOneVersion) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t prompt = AddPrompt(store, "p");
    AddVersion(store, prompt, "j1");
    EXPECT_TRUE(store.HasVersionOfJob("j1"));
    EXPECT_FALSE(store.HasVersionOfJob("j2"));
  }));

  EXPECT_THAT(Transact([](PromptStore& store) {
                AddVersion(store, store.Find("p")->number, "j1");
              }),
              ReasonIs(Reason::kStorageFailure, HasSubstr("UNIQUE")));
}

TEST_F(PromptStoreTest, MovesAndDeletesAliases) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t prompt = AddPrompt(store, "p");
    AddVersion(store, prompt, "j1");
    AddVersion(store, prompt, "j2");
    store.SetAlias(prompt, "prod", 1);
    store.SetAlias(prompt, "canary", 2);
    store.SetAlias(prompt, "prod", 2);

    EXPECT_THAT(store.Aliases(prompt),
                ElementsAre(Pair("canary", 2), Pair("prod", 2)));
    EXPECT_TRUE(store.DeleteAlias(prompt, "prod"));
    EXPECT_FALSE(store.DeleteAlias(prompt, "prod"));
    EXPECT_THAT(store.Aliases(prompt), ElementsAre(Pair("canary", 2)));
  }));
}

TEST_F(PromptStoreTest, AnAliasCannotPointToNothing) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t prompt = AddPrompt(store, "p");
    AddVersion(store, prompt, "j1");
    store.SetAlias(prompt, "prod", 1);
  }));

  EXPECT_THAT(Transact([](PromptStore& store) {
                store.DeleteVersion(store.Find("p")->number, 1);
              }),
              ReasonIs(Reason::kStorageFailure, HasSubstr("FOREIGN KEY")));
  EXPECT_THAT(Transact([](PromptStore& store) {
                store.SetAlias(store.Find("p")->number, "x", 9);
              }),
              ReasonIs(Reason::kStorageFailure, HasSubstr("FOREIGN KEY")));
}

TEST_F(PromptStoreTest, KnowsWhichArtifactsAreUsed) {
  ASSERT_OK(Transact([](PromptStore& store) {
    int64_t prompt = AddPrompt(store, "p");
    AddVersion(store, prompt, "j1");

    EXPECT_TRUE(store.IsArtifactUsed("artifact-j1"));
    EXPECT_FALSE(store.IsArtifactUsed("artifact-j2"));
    EXPECT_THAT(store.ReferencedArtifacts(),
                UnorderedElementsAre("artifact-j1"));
  }));
}

TEST_F(PromptStoreTest, ACheckpointIsAUseOfAnArtifact) {
  ASSERT_OK(database_->Transact([](soci::session& sql) {
    JobRecord job;
    job.id = "j";
    job.job.set_uid("u");
    JobStore(sql).Insert(job);
    JobStore(sql).AddCheckpoint(job.number, {"checkpoint", 50}, 2);
    EXPECT_TRUE(PromptStore(sql).IsArtifactUsed("checkpoint"));
    return absl::OkStatus();
  }));
}

}  // namespace
}  // namespace attune::server
