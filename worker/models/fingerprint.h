#ifndef ATTUNE_WORKER_MODELS_FINGERPRINT_H_
#define ATTUNE_WORKER_MODELS_FINGERPRINT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace attune::worker {

// SHA-256 over a model's files: for each, in the order given, its name, its
// size and its bytes. What a prompt was made for is told by this: other
// weights, another tokenizer or another config have another fingerprint.
//
// `cache_file` remembers the result beside the files' sizes and modification
// times, so that only changed files are read again; a cache that is missing,
// unreadable or out of date is replaced, one that can't be written is logged.
absl::StatusOr<std::string> Fingerprint(const std::vector<std::string>& files,
                                        const std::string& cache_file);

// Fingerprints that this process has seen: where the models directory cannot be
// written, each model is still read only once. Thread-safe; two threads that
// ask first for the same both read.
class FingerprintMemory {
 public:
  // As Fingerprint, but for files that are as they were.
  absl::StatusOr<std::string> Find(const std::vector<std::string>& files,
                                   const std::string& cache_file);

 private:
  absl::Mutex mutex_;
  // By cache file: sizes and times of the files, and their fingerprint.
  std::map<std::string, std::pair<std::string, std::string>> known_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_FINGERPRINT_H_
