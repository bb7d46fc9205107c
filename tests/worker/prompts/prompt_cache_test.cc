#include "worker/prompts/prompt_cache.h"

#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "proto/cc/status.h"
#include "tests/testing/status_matchers.h"
#include "tests/worker/tasks/tiny_model.h"

namespace attune::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An artifact of four rows of `value` for the tiny model.
Artifact MakeArtifact(float value) {
  v1::PromptManifest manifest;
  manifest.set_base_model("models/tiny");
  manifest.set_model_fingerprint(TinyModel()->info.fingerprint);
  return *EncodePrompt({.rows = *SoftPrompt::Create(at::full({4, 32}, value)),
                        .prefix = {},
                        .adaptation = {},
                        .head = {},
                        .manifest = manifest},
                       TinyModel()->info.config);
}

// Fetches artifacts it was given and counts how often.
class Source {
 public:
  std::string Add(const Artifact& artifact) {
    const std::string digest = ArtifactDigest(artifact);
    artifacts_[digest] = artifact;
    return digest;
  }
  PromptCache::Fetch fetch() {
    return [this](const std::string& digest) -> absl::StatusOr<Artifact> {
      ++num_fetches;
      const auto found = artifacts_.find(digest);
      if (found == artifacts_.end()) return NotFound("artifact", digest);
      return found->second;
    };
  }

  std::atomic<int> num_fetches = 0;

 private:
  std::map<std::string, Artifact> artifacts_;
};

TEST(PromptCache, LoadsOnce) {
  Source source;
  PromptCache cache(1 << 20);
  const std::string digest = source.Add(MakeArtifact(0.5f));

  const auto first = *cache.Get(digest, TinyModel(), source.fetch());
  const auto second = *cache.Get(digest, TinyModel(), source.fetch());

  EXPECT_EQ(first, second);
  EXPECT_EQ(source.num_fetches, 1);
  EXPECT_EQ(first->attached.length(), 4);
  EXPECT_TRUE(first->stored.rows->rows().equal(at::full({4, 32}, 0.5f)));
  EXPECT_EQ(cache.num_bytes(), first->num_bytes);
  // Rows, and keys and values of two layers of two heads of eight.
  EXPECT_GE(first->num_bytes, 4u * 32 * 4 + 2u * 2 * 2 * 4 * 8 * 4);
}

TEST(PromptCache, TheLeastRecentlyUsedGoesFirst) {
  Source source;
  const std::string a = source.Add(MakeArtifact(1));
  const std::string b = source.Add(MakeArtifact(2));
  const std::string c = source.Add(MakeArtifact(3));
  PromptCache probe(1 << 20);
  const size_t one = (*probe.Get(a, TinyModel(), source.fetch()))->num_bytes;
  PromptCache cache(2 * one + one / 2);

  ASSERT_OK(cache.Get(a, TinyModel(), source.fetch()));
  ASSERT_OK(cache.Get(b, TinyModel(), source.fetch()));
  ASSERT_OK(cache.Get(a, TinyModel(), source.fetch()));
  ASSERT_OK(cache.Get(c, TinyModel(), source.fetch()));

  EXPECT_THAT(cache.Digests(), ElementsAre(c, a));
  EXPECT_EQ(cache.num_bytes(), 2 * one);
}

TEST(PromptCache, KeepsOnePromptThatIsLargerThanItsRoom) {
  Source source;
  const std::string a = source.Add(MakeArtifact(1));
  const std::string b = source.Add(MakeArtifact(2));
  PromptCache cache(1);

  ASSERT_OK(cache.Get(a, TinyModel(), source.fetch()));
  ASSERT_OK(cache.Get(b, TinyModel(), source.fetch()));

  EXPECT_THAT(cache.Digests(), ElementsAre(b));
}

TEST(PromptCache, APromptOutlivesItsPlace) {
  Source source;
  const std::string a = source.Add(MakeArtifact(1));
  PromptCache cache(1);
  const auto held = *cache.Get(a, TinyModel(), source.fetch());

  ASSERT_OK(
      cache.Get(source.Add(MakeArtifact(2)), TinyModel(), source.fetch()));

  EXPECT_EQ(cache.Find(a), nullptr);
  EXPECT_EQ(held->attached.length(), 4);
}

TEST(PromptCache, FindNeverLoads) {
  Source source;
  PromptCache cache(1 << 20);
  const std::string digest = source.Add(MakeArtifact(1));
  EXPECT_EQ(cache.Find(digest), nullptr);

  const auto loaded = *cache.Get(digest, TinyModel(), source.fetch());

  EXPECT_EQ(cache.Find(digest), loaded);
}

TEST(PromptCache, ThoseWhoWaitShareOneLoad) {
  Source source;
  PromptCache cache(1 << 20);
  const std::string digest = source.Add(MakeArtifact(1));
  absl::Notification begun;
  absl::Notification go_on;
  const PromptCache::Fetch slow = [&](const std::string& name) {
    begun.Notify();
    go_on.WaitForNotification();
    return source.fetch()(name);
  };
  std::vector<std::shared_ptr<const ServedPrompt>> results(3);
  const auto model = TinyModel();

  std::thread leader([&] { results[0] = *cache.Get(digest, model, slow); });
  begun.WaitForNotification();
  std::thread second(
      [&] { results[1] = *cache.Get(digest, model, source.fetch()); });
  std::thread third(
      [&] { results[2] = *cache.Get(digest, model, source.fetch()); });
  go_on.Notify();
  leader.join();
  second.join();
  third.join();

  EXPECT_EQ(source.num_fetches, 1);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(PromptCache, AFailureIsNotRemembered) {
  Source source;
  PromptCache cache(1 << 20);
  const Artifact artifact = MakeArtifact(1);
  const std::string digest = ArtifactDigest(artifact);
  EXPECT_THAT(cache.Get(digest, TinyModel(), source.fetch()),
              ReasonIs(Reason::kResourceNotFound, HasSubstr(digest)));

  source.Add(artifact);

  EXPECT_OK(cache.Get(digest, TinyModel(), source.fetch()));
}

TEST(PromptCache, WhatALoadThrowsIsItsResult) {
  Source source;
  PromptCache cache(1 << 20);
  const std::string digest = source.Add(MakeArtifact(1));

  const auto failed = cache.Get(
      digest, TinyModel(), [](const std::string&) -> absl::StatusOr<Artifact> {
        throw std::bad_alloc();
      });
  const auto again = cache.Get(digest, TinyModel(), source.fetch());

  EXPECT_EQ(ReasonOf(failed.status()), Reason::kOutOfMemory);
  EXPECT_OK(again);
}

TEST(PromptCache, RefusesAnArtifactOfAnotherDigest) {
  PromptCache cache(1 << 20);
  const std::string digest = ArtifactDigest(MakeArtifact(1));

  EXPECT_THAT(
      cache.Get(digest, TinyModel(),
                [](const std::string&) { return MakeArtifact(2); }),
      ReasonIs(Reason::kCorruptArtifact, HasSubstr("arrived with digest")));
  EXPECT_THAT(cache.Digests(), IsEmpty());
}

TEST(PromptCache, RefusesAPromptOfAnotherModel) {
  Source source;
  PromptCache cache(1 << 20);
  const std::string digest = source.Add(MakeArtifact(1));
  EXPECT_THAT(cache.Get(digest, TinyModel("other"), source.fetch()),
              ReasonIs(Reason::kModelMismatch, HasSubstr("fingerprint")));

  // Also where it is held already.
  ASSERT_OK(cache.Get(digest, TinyModel(), source.fetch()));
  EXPECT_THAT(cache.Get(digest, TinyModel("other"), source.fetch()),
              ReasonIs(Reason::kModelMismatch, HasSubstr("fingerprint")));
}

}  // namespace
}  // namespace attune::worker
