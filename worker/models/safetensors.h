#ifndef ATTUNE_WORKER_MODELS_SAFETENSORS_H_
#define ATTUNE_WORKER_MODELS_SAFETENSORS_H_

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

namespace attune::worker {

// Tensors of one safetensors buffer, checked in full before the first is handed
// out: header size, number of tensors, names, dtypes, shapes, and that their
// byte ranges tile the data exactly. Const after construction.
class Safetensors {
 public:
  static constexpr size_t kMaxHeaderBytes = size_t{16} << 20;
  static constexpr size_t kMaxTensors = 10'000;

  struct Entry {
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    size_t begin = 0;  // byte range in the data after the header
    size_t end = 0;
  };

  // Maps the file. DataLoss naming file and place for one that breaks the
  // format; NotFound if there is none.
  static absl::StatusOr<Safetensors> Open(const std::string& path);
  // Reads `bytes`, which it keeps. `origin` stands for the file in messages.
  static absl::StatusOr<Safetensors> FromBytes(std::string bytes,
                                               std::string origin);

  const std::map<std::string, Entry>& entries() const { return entries_; }
  // The header's `__metadata__`.
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }
  bool Contains(const std::string& name) const;

  // A CPU tensor over the mapped bytes, which it keeps alive: not copied unless
  // they are misaligned, not to be written to. The pages it lies on leave
  // memory with it. NotFound if there is no such tensor.
  absl::StatusOr<at::Tensor> View(const std::string& name) const;
  // A copy that lives on its own.
  absl::StatusOr<at::Tensor> Get(const std::string& name) const;
  // The same for numbers to go on with: DataLoss unless they are fp32, finite
  // and of a rank above 0.
  absl::StatusOr<at::Tensor> GetFinite(const std::string& name) const;

 private:
  Safetensors() = default;
  absl::Status Parse(std::string_view bytes);

  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<const std::string> bytes_;
  std::string origin_;
  std::string_view data_;  // after the header; inside *file_ or *bytes_
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

// Named tensors to be written, in order of name.
using TensorMap = std::map<std::string, at::Tensor>;

// Serialises contiguous CPU tensors; the same input gives the same bytes.
// InvalidArgument for a dtype the format lacks.
absl::StatusOr<std::string> WriteSafetensors(
    const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata = {});

// Writes to `path` without building the bytes in memory; not atomic.
absl::Status WriteSafetensorsFile(
    const std::string& path, const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_SAFETENSORS_H_
