#include "worker/prompts/prompt_cache.h"

#include <utility>

#include "absl/synchronization/notification.h"
#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/torch_errors.h"

namespace attune::worker {

// A load that others may wait for.
struct PromptCache::Load {
  absl::Notification done;
  // Written before `done`, read after it.
  absl::StatusOr<std::shared_ptr<const ServedPrompt>> result;
};

namespace {

absl::StatusOr<std::shared_ptr<const ServedPrompt>> LoadPrompt(
    const std::string& digest, const LoadedModel& model,
    const PromptCache::Fetch& fetch) {
  ATTUNE_ASSIGN_OR_RETURN(const Artifact artifact, fetch(digest));
  if (ArtifactDigest(artifact) != digest) {
    return MakeError(Reason::kCorruptArtifact,
                     Concat("artifact ", digest, " arrived with digest ",
                            ArtifactDigest(artifact)),
                     {{"digest", digest}});
  }
  ATTUNE_ASSIGN_OR_RETURN(StoredPrompt stored, DecodePrompt(artifact));
  ATTUNE_RETURN_IF_ERROR(CheckPromptFits(stored, model.info));
  ATTUNE_ASSIGN_OR_RETURN(AttachedPrompt attached, AttachStored(model, stored));
  const size_t num_bytes = attached.num_bytes() + stored.num_bytes() +
                           static_cast<size_t>(stored.manifest.SpaceUsedLong());
  return std::make_shared<const ServedPrompt>(
      ServedPrompt{std::move(stored), std::move(attached), num_bytes});
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ServedPrompt>> PromptCache::Get(
    const std::string& digest, const std::shared_ptr<const LoadedModel>& model,
    const Fetch& fetch) {
  std::shared_ptr<const ServedPrompt> held;
  std::shared_ptr<Load> load;
  bool leader = false;
  {
    absl::MutexLock lock(&mutex_);
    held = Touch(digest);
    if (held == nullptr) {
      std::shared_ptr<Load>& slot = loads_[digest];
      leader = slot == nullptr;
      if (leader) slot = std::make_shared<Load>();
      load = slot;
    }
  }
  if (held == nullptr) {
    if (leader) {
      // Others wait for the result: what it throws becomes one.
      load->result = CatchTorchErrors("loading a prompt", [&] {
        return LoadPrompt(digest, *model, fetch);
      });
      {
        absl::MutexLock lock(&mutex_);
        loads_.erase(digest);
        if (load->result.ok()) Insert(digest, *load->result, model);
      }
      load->done.Notify();
    } else {
      load->done.WaitForNotification();
    }
    ATTUNE_ASSIGN_OR_RETURN(held, load->result);
  }
  // The caller may ask with another model than whoever loaded it.
  ATTUNE_RETURN_IF_ERROR(CheckPromptFits(held->stored, model->info));
  return held;
}

std::shared_ptr<const ServedPrompt> PromptCache::Find(
    const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  return Touch(digest);
}

std::shared_ptr<const ServedPrompt> PromptCache::Touch(
    const std::string& digest) {
  const auto found = entries_.find(digest);
  if (found == entries_.end()) return nullptr;
  recency_.splice(recency_.begin(), recency_, found->second.place);
  return found->second.prompt;
}

void PromptCache::Insert(const std::string& digest,
                         std::shared_ptr<const ServedPrompt> prompt,
                         const std::shared_ptr<const LoadedModel>& model) {
  recency_.push_front(digest);
  num_bytes_ += prompt->num_bytes;
  Entry entry = {std::move(prompt), {}, recency_.begin()};
  if (entry.prompt->attached.adapted != nullptr) entry.base = model;
  entries_[digest] = std::move(entry);
  while (num_bytes_ > max_bytes_ && entries_.size() > 1) {
    Erase(std::string(recency_.back()));
  }
}

void PromptCache::Erase(const std::string& digest) {
  const auto found = entries_.find(digest);
  num_bytes_ -= found->second.prompt->num_bytes;
  recency_.erase(found->second.place);
  entries_.erase(found);
}

void PromptCache::DropOfGoneModels() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> gone;
  for (const auto& [digest, entry] : entries_) {
    if (entry.prompt->attached.adapted != nullptr && entry.base.expired()) {
      gone.push_back(digest);
    }
  }
  for (const std::string& digest : gone) Erase(digest);
}

std::vector<std::string> PromptCache::Digests() const {
  absl::MutexLock lock(&mutex_);
  return {recency_.begin(), recency_.end()};
}

size_t PromptCache::num_bytes() const {
  absl::MutexLock lock(&mutex_);
  return num_bytes_;
}

}  // namespace attune::worker
