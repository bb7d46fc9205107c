#ifndef ATTUNE_WORKER_MODELS_CHECKPOINT_H_
#define ATTUNE_WORKER_MODELS_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/safetensors.h"
#include "worker/models/torch_file.h"

namespace attune::worker {

// The weights of a model directory: model.safetensors, or the shards that
// model.safetensors.index.json names, or the same two as torch.save writes
// them, pytorch_model.bin and pytorch_model.bin.index.json; the first that is
// there. A loader takes every tensor it knows and then asks whether anything
// was missing or left over. Not thread-safe.
class Checkpoint {
 public:
  // NotFound if the directory has none of the files; DataLoss for corrupt ones
  // and for an index that disagrees with its shards.
  static absl::StatusOr<Checkpoint> Open(const std::string& directory);

  // Paths of the files, ascending.
  static absl::StatusOr<std::vector<std::string>> Files(
      const std::string& directory);

  // Whether the tensor is there, in whatever shape; it stays unknown.
  bool Has(const std::string& name) const { return tensors_.contains(name); }

  // A contiguous view of the tensor, if it is there in this shape and in a
  // floating dtype; otherwise an undefined tensor, and Finish will name it.
  // What lies in the file with gaps or turned around is copied.
  at::Tensor Take(const std::string& name, const std::vector<int64_t>& shape);

  // Number of weights: elements of all floating tensors.
  int64_t NumParameters() const;

  // Marks tensors as known that need not be there.
  void Ignore(const std::string& name) { known_.insert(name); }

  // FailedPrecondition naming missing, misshapen and surplus tensors and those
  // of integers (up to five of each kind), and saying so if the weights are
  // quantised.
  absl::Status Finish() const;

 private:
  using File = std::variant<Safetensors, TorchFile>;

  struct Place {
    size_t file = 0;  // index into files_
    at::ScalarType dtype = at::ScalarType::Undefined;
    std::vector<int64_t> shape;
  };

  static absl::StatusOr<File> OpenFile(const std::string& path);

  std::string directory_;
  std::vector<File> files_;
  std::map<std::string, Place> tensors_;
  std::set<std::string> known_;
  std::vector<std::string> missing_;
  std::vector<std::string> misshapen_;
  std::vector<std::string> integral_;
  bool quantised_ = false;  // whether bytes were where weights were expected
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_CHECKPOINT_H_
