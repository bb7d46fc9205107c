#ifndef ATTUNE_WORKER_MODELS_PICKLE_OBJECTS_H_
#define ATTUNE_WORKER_MODELS_PICKLE_OBJECTS_H_

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/unpickler.h"

namespace attune::worker {

// Objects refer to each other by their place in PickleObjects: deep nesting and
// cycles, which a pickle can build, then cost nothing.
using PickleRef = uint32_t;
using PickleRefs = std::vector<PickleRef>;

// What a pickle may call.
enum class PickleCall { kOrderedDict, kRebuildTensor, kRebuildParameter };

struct PickledNone {};
// What is in a list plays no part in a state dict.
struct PickledList {};
struct PickledTuple {
  PickleRefs items;
};
struct PickledDict {
  std::vector<std::pair<PickleRef, PickleRef>> items;
};
struct PickledStorage {
  at::ScalarType dtype;
  std::string key;
  int64_t size;  // in elements
};
struct PickledTensor {
  size_t index;  // among the tensors
};

// A storage's type is the dtype it stands for.
using PickledObject =
    std::variant<PickledNone, bool, int64_t, std::string, PickleCall,
                 at::ScalarType, PickledList, PickledTuple, PickledDict,
                 PickledStorage, PickledTensor>;

// The objects that a pickle has made so far, and what the few names it may use
// do with them. Belongs to one run of the Unpickler. Errors are DataLoss and
// say what is wrong; the Unpickler adds the place.
class PickleObjects {
 public:
  // DataLoss beyond Unpickler::kMaxObjects.
  absl::StatusOr<PickleRef> Add(PickledObject object);

  // Null if the object is of another type. Stays valid when others are added.
  template <typename T>
  T* As(PickleRef object) {
    return std::get_if<T>(&objects_[object]);
  }

  // What a name out of a module stands for, if it is on the list.
  static absl::StatusOr<PickledObject> Global(std::string_view module,
                                              std::string_view name);

  // The storage of a persistent id:
  // ('storage', type, key, device, number of elements).
  absl::StatusOr<PickledObject> Storage(PickleRef id);

  // The result of calling `function` with the tuple `arguments`.
  absl::StatusOr<PickleRef> Call(PickleRef function, PickleRef arguments);

  // The tensors of a dict by name, if it holds nothing else.
  absl::StatusOr<Unpickler::StateDict> ToStateDict(PickleRef object);

 private:
  absl::StatusOr<PickleRef> RebuildTensor(const PickleRefs& arguments);
  absl::StatusOr<PickleRef> RebuildParameter(const PickleRefs& arguments);
  absl::StatusOr<std::vector<int64_t>> ToSizes(PickleRef object);
  bool IsEmptyDict(PickleRef object);

  std::deque<PickledObject> objects_;
  std::vector<Unpickler::Tensor> tensors_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_PICKLE_OBJECTS_H_
