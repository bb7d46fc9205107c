#ifndef ATTUNE_WORKER_MODELS_TORCH_FILE_H_
#define ATTUNE_WORKER_MODELS_TORCH_FILE_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/mapped_file.h"
#include "worker/models/unpickler.h"
#include "worker/models/zip_archive.h"

namespace attune::worker {

// Tensors of a file that torch.save wrote for a state dict, such as
// pytorch_model.bin, checked in full before the first is handed out: the
// archive, the pickle, and that each tensor lies within its storage. Nothing in
// the file is executed. A tensor may have strides or share its storage with
// others (tied weights), but not more elements than its storage. Const after
// construction.
class TorchFile {
 public:
  struct Entry {
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;  // in elements
    size_t begin = 0;              // byte range in the file, from the first to
    size_t end = 0;                // the last element
  };

  // Maps the file. DataLoss naming file and place for one that breaks the
  // format, asks for anything but tensors, or is in the format from before
  // torch 1.6; NotFound if there is none.
  static absl::StatusOr<TorchFile> Open(const std::string& path);
  // Reads `bytes`, which it keeps. `origin` stands for the file in messages.
  static absl::StatusOr<TorchFile> FromBytes(std::string bytes,
                                             std::string origin);

  const std::map<std::string, Entry>& entries() const { return entries_; }
  bool Contains(const std::string& name) const;

  // A CPU tensor over the mapped bytes, which it keeps alive: not copied unless
  // they are misaligned, not to be written to, perhaps not contiguous. NotFound
  // if there is no such tensor.
  absl::StatusOr<at::Tensor> View(const std::string& name) const;
  // A contiguous copy that lives on its own.
  absl::StatusOr<at::Tensor> Get(const std::string& name) const;

 private:
  TorchFile() = default;
  absl::Status Parse();
  absl::Status CheckFormat(const ZipArchive& archive,
                           const std::string& folder) const;
  absl::StatusOr<Entry> Place(const Unpickler::Tensor& tensor,
                              const ZipArchive& archive,
                              const std::string& folder) const;

  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<const std::string> bytes_;
  std::string origin_;
  std::string_view data_;  // the whole of *file_ or *bytes_
  std::map<std::string, Entry> entries_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_TORCH_FILE_H_
