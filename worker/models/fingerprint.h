#ifndef ATTUNE_WORKER_MODELS_FINGERPRINT_H_
#define ATTUNE_WORKER_MODELS_FINGERPRINT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

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

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_FINGERPRINT_H_
