#ifndef ATTUNE_WORKER_MODELS_UNPICKLER_H_
#define ATTUNE_WORKER_MODELS_UNPICKLER_H_

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::worker {

// Reads the pickle by which torch.save describes a state dict. A pickle is a
// program that can call whatever Python can import; this machine has only the
// opcodes that such a dict needs (protocols 2 to 5) and calls nothing:
// OrderedDict, _rebuild_tensor_v2, _rebuild_parameter and the storage types
// stand for plain values, and every other name is refused.
class Unpickler {
 public:
  // Bounds on what a hostile pickle can take of memory. A tensor of a state
  // dict takes some 200 bytes, 20 objects and 15 memo entries; the stack of
  // torch.save's pickles stays below 3000.
  static constexpr size_t kMaxPickleBytes = size_t{16} << 20;
  static constexpr size_t kMaxObjects = 1'000'000;
  static constexpr size_t kMaxMemo =
      1'000'000;  // entries, and beyond any index
  static constexpr size_t kMaxStack = 100'000;
  static constexpr size_t kMaxMarks = 100;  // open at a time
  static constexpr size_t kMaxTextBytes = 1024;
  static constexpr size_t kMaxTensors = 10'000;
  static constexpr size_t kMaxDimensions = 8;

  // A window of a storage. Offset and strides count elements. All numbers are
  // at least 0, and nothing more is checked: the storage is not in the pickle.
  struct Tensor {
    at::ScalarType dtype = at::ScalarType::Undefined;
    std::string storage;       // its key in the archive
    int64_t storage_size = 0;  // in elements
    int64_t offset = 0;
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;  // as many as `shape` has
  };
  using StateDict = std::map<std::string, Tensor>;

  // DataLoss naming `origin`, opcode and byte of the pickle for one that is
  // damaged, needs more than this, or holds anything but a dict of tensors.
  static absl::StatusOr<StateDict> ReadStateDict(std::string_view pickle,
                                                 std::string_view origin);

 private:
  class Machine;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_UNPICKLER_H_
