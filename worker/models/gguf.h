#ifndef ATTUNE_WORKER_MODELS_GGUF_H_
#define ATTUNE_WORKER_MODELS_GGUF_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/gguf_blocks.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {

// A GGUF file (versions 2 and 3), checked in full before anything is handed
// out: every count and length against the bytes that are left, shapes against
// overflow, tensors against the end of the file and against each other. Const
// after construction.
class Gguf {
 public:
  static constexpr size_t kMaxEntries = 65'536;
  static constexpr size_t kMaxTensors = 10'000;
  // Of all arrays of the metadata together.
  static constexpr size_t kMaxElements = size_t{1} << 23;

  // Numbers of all widths become one of the first three; arrays hold one kind.
  using Value =
      std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                   std::vector<double>, std::vector<std::string>>;

  struct Tensor {
    const GgufBlockType* type = nullptr;
    std::vector<int64_t> shape;  // row-major, as in LibTorch: GGUF's reversed
    size_t begin = 0;            // byte range in the file
    size_t end = 0;
  };

  // DataLoss naming file and place for one that breaks the format;
  // Unimplemented naming a tensor type that is not supported.
  static absl::StatusOr<Gguf> Open(const std::string& path);
  static absl::StatusOr<Gguf> FromBytes(std::string bytes, std::string origin);

  const std::map<std::string, Value>& metadata() const { return metadata_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }
  const std::string& origin() const { return origin_; }

  // The metadata value of this type. DataLoss naming the key if it is missing
  // or of another type.
  template <typename T>
  absl::StatusOr<T> Get(const std::string& key) const {
    const auto it = metadata_.find(key);
    if (it == metadata_.end() || !std::holds_alternative<T>(it->second)) {
      return MissingKey(key, it != metadata_.end());
    }
    return std::get<T>(it->second);
  }
  // The same, `otherwise` if the key is missing.
  template <typename T>
  absl::StatusOr<T> GetOr(const std::string& key, T otherwise) const {
    if (!metadata_.contains(key)) return otherwise;
    return Get<T>(key);
  }

  // The tensor's numbers, decoded: fp32 of its shape. DataLoss naming the
  // tensor if the file has none of this name.
  absl::StatusOr<at::Tensor> Decode(const std::string& name) const;

 private:
  class Parser;

  Gguf() = default;
  absl::Status Parse();
  absl::Status MissingKey(const std::string& key, bool present) const;

  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<const std::string> buffer_;
  std::string_view bytes_;  // inside *file_ or *buffer_
  std::string origin_;
  std::map<std::string, Value> metadata_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_GGUF_H_
