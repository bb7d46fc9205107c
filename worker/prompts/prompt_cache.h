#ifndef ATTUNE_WORKER_PROMPTS_PROMPT_CACHE_H_
#define ATTUNE_WORKER_PROMPTS_PROMPT_CACHE_H_

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/cc/artifact.h"
#include "worker/models/attached_prompt.h"
#include "worker/models/model_store.h"
#include "worker/prompts/prompt_codec.h"

namespace attune::worker {

// A prompt ready to serve. Immutable, shared by the requests that use it; it
// outlives its place in the cache for as long as one does.
struct ServedPrompt {
  StoredPrompt stored;
  AttachedPrompt attached;  // as the model takes it
  size_t num_bytes = 0;     // of both
};

// Prompts by artifact digest, least recently used first out. Loads each once,
// however many requests wait for it. Thread-safe; loading and building run on
// the thread of the first caller, so call from a thread that may block and has
// its compute threads set (worker/models/compute_threads.h).
class PromptCache {
 public:
  // Brings the artifact of a digest. May block.
  using Fetch =
      std::function<absl::StatusOr<Artifact>(const std::string& digest)>;

  // Keeps at most `max_bytes`, but always the newest prompt.
  explicit PromptCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // The prompt for `model`; calls `fetch` unless the prompt is held or another
  // caller is loading it. Errors of `fetch`; kCorruptArtifact, also when the
  // artifact's digest is another; kModelMismatch when the prompt belongs to
  // other weights. A failure is not remembered, but those who waited get it.
  absl::StatusOr<std::shared_ptr<const ServedPrompt>> Get(
      const std::string& digest,
      const std::shared_ptr<const LoadedModel>& model, const Fetch& fetch);

  // Drops the prompts that share weights with a model which has left the
  // memory (ModelStore::SetEvictionListener).
  void DropOfGoneModels();

  // The prompt if it is ready, else null; never loads or waits for a load.
  std::shared_ptr<const ServedPrompt> Find(const std::string& digest);

  // Digests of the prompts held, most recently used first.
  std::vector<std::string> Digests() const;
  size_t num_bytes() const;

 private:
  struct Load;

  // The prompt, now the most recently used, or null.
  std::shared_ptr<const ServedPrompt> Touch(const std::string& digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Insert(const std::string& digest,
              std::shared_ptr<const ServedPrompt> prompt,
              const std::shared_ptr<const LoadedModel>& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Erase(const std::string& digest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const size_t max_bytes_;

  mutable absl::Mutex mutex_;
  struct Entry {
    std::shared_ptr<const ServedPrompt> prompt;
    // Whose weights the prompt shares; empty if it shares none.
    std::weak_ptr<const LoadedModel> base;
    std::list<std::string>::iterator place;
  };
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> recency_ ABSL_GUARDED_BY(mutex_);  // newest first
  std::map<std::string, std::shared_ptr<Load>> loads_ ABSL_GUARDED_BY(mutex_);
  size_t num_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_PROMPTS_PROMPT_CACHE_H_
