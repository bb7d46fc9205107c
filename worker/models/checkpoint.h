#ifndef ATTUNE_WORKER_MODELS_CHECKPOINT_H_
#define ATTUNE_WORKER_MODELS_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/safetensors.h"

namespace attune::worker {

// The weights of a model directory: model.safetensors, or the shards that
// model.safetensors.index.json names. A loader takes every tensor it knows and
// then asks whether anything was missing or left over. Not thread-safe.
class Checkpoint {
 public:
  // NotFound if the directory has neither file; DataLoss for corrupt ones and
  // for an index that disagrees with its shards.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  // Paths of the files, ascending.
  static absl::StatusOr<std::vector<std::string>> Files(
      const std::string& directory);

  // A view of the tensor, if it is there in this shape and in a floating dtype;
  // otherwise an undefined tensor, and Finish will name it.
  at::Tensor Take(const std::string& name, const std::vector<int64_t>& shape);

  // Marks tensors as known that need not be there.
  void Ignore(const std::string& name) { known_.insert(name); }

  // FailedPrecondition naming missing, misshapen and surplus tensors (up to
  // five of each kind).
  absl::Status Finish() const;

 private:
  std::string directory_;
  std::vector<Safetensors> files_;
  std::map<std::string, size_t> file_of_;  // tensor -> index into files_
  std::set<std::string> known_;
  std::vector<std::string> missing_;
  std::vector<std::string> misshapen_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CHECKPOINT_H_
