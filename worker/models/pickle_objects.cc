#include "worker/models/pickle_objects.h"

#include <array>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"

namespace attune::worker {
namespace {

struct PickleCallName {
  std::string_view name;  // module.name
  PickleCall call;
};

constexpr std::array<PickleCallName, 3> kPickleCalls = {{
    {"collections.OrderedDict", PickleCall::kOrderedDict},
    {"torch._utils._rebuild_tensor_v2", PickleCall::kRebuildTensor},
    {"torch._utils._rebuild_parameter", PickleCall::kRebuildParameter},
}};

struct StorageTypeName {
  std::string_view name;
  at::ScalarType dtype;
};

constexpr std::array<StorageTypeName, 10> kStorageTypes = {{
    {"torch.FloatStorage", at::kFloat},
    {"torch.HalfStorage", at::kHalf},
    {"torch.BFloat16Storage", at::kBFloat16},
    {"torch.DoubleStorage", at::kDouble},
    {"torch.LongStorage", at::kLong},
    {"torch.IntStorage", at::kInt},
    {"torch.ShortStorage", at::kShort},
    {"torch.CharStorage", at::kChar},
    {"torch.ByteStorage", at::kByte},
    {"torch.BoolStorage", at::kBool},
}};

absl::Status WrongObject(std::string_view what) {
  return absl::DataLossError(ToAbsl(what));
}

}  // namespace

absl::StatusOr<PickleRef> PickleObjects::Add(PickledObject object) {
  if (objects_.size() >= Unpickler::kMaxObjects) {
    return WrongObject(
        Concat("more than ", Unpickler::kMaxObjects, " objects"));
  }
  objects_.push_back(std::move(object));
  return static_cast<PickleRef>(objects_.size() - 1);
}

absl::StatusOr<PickledObject> PickleObjects::Global(std::string_view module,
                                                    std::string_view name) {
  const std::string full = Concat(module, ".", name);
  for (const PickleCallName& allowed : kPickleCalls) {
    if (full == allowed.name) return allowed.call;
  }
  for (const StorageTypeName& allowed : kStorageTypes) {
    if (full == allowed.name) return allowed.dtype;
  }
  return WrongObject(
      Concat("global ", QuoteBytes(full),
             " is none that a state dict of tensors needs; save the model's "
             "weights as safetensors"));
}

absl::StatusOr<PickledObject> PickleObjects::Storage(PickleRef id) {
  const auto* tuple = As<PickledTuple>(id);
  if (tuple == nullptr || tuple->items.size() != 5) {
    return WrongObject("persistent id is not a storage's");
  }
  const auto* kind = As<std::string>(tuple->items[0]);
  const auto* dtype = As<at::ScalarType>(tuple->items[1]);
  const auto* key = As<std::string>(tuple->items[2]);
  const auto* device = As<std::string>(tuple->items[3]);
  const auto* size = As<int64_t>(tuple->items[4]);
  if (kind == nullptr || *kind != "storage" || dtype == nullptr ||
      key == nullptr || device == nullptr || size == nullptr || *size < 0) {
    return WrongObject("persistent id is not a storage's");
  }
  return PickledStorage{*dtype, *key, *size};
}

absl::StatusOr<PickleRef> PickleObjects::Call(PickleRef function,
                                              PickleRef arguments) {
  const auto* call = As<PickleCall>(function);
  if (call == nullptr) return WrongObject("calls what is no function");
  const auto* tuple = As<PickledTuple>(arguments);
  if (tuple == nullptr) return WrongObject("arguments are no tuple");
  switch (*call) {
    case PickleCall::kOrderedDict:
      if (!tuple->items.empty()) {
        return WrongObject("OrderedDict with arguments");
      }
      return Add(PickledDict());
    case PickleCall::kRebuildTensor:
      return RebuildTensor(tuple->items);
    case PickleCall::kRebuildParameter:
      return RebuildParameter(tuple->items);
  }
  return WrongObject("calls what is no function");
}

// (storage, offset, shape, strides, requires_grad, hooks). A seventh argument
// would say that the tensor's values are negated or conjugated.
absl::StatusOr<PickleRef> PickleObjects::RebuildTensor(
    const PickleRefs& arguments) {
  if (arguments.size() != 6) {
    return WrongObject(Concat("tensor of ", arguments.size(), " arguments"));
  }
  const auto* storage = As<PickledStorage>(arguments[0]);
  const auto* offset = As<int64_t>(arguments[1]);
  if (storage == nullptr || offset == nullptr || *offset < 0 ||
      As<bool>(arguments[4]) == nullptr || !IsEmptyDict(arguments[5])) {
    return WrongObject("arguments are not a tensor's");
  }
  if (tensors_.size() >= Unpickler::kMaxTensors) {
    return WrongObject(
        Concat("more than ", Unpickler::kMaxTensors, " tensors"));
  }
  Unpickler::Tensor tensor;
  tensor.dtype = storage->dtype;
  tensor.storage = storage->key;
  tensor.storage_size = storage->size;
  tensor.offset = *offset;
  ATTUNE_ASSIGN_OR_RETURN(tensor.shape, ToSizes(arguments[2]));
  ATTUNE_ASSIGN_OR_RETURN(tensor.strides, ToSizes(arguments[3]));
  if (tensor.strides.size() != tensor.shape.size()) {
    return WrongObject(Concat("tensor of ", tensor.shape.size(),
                              " dimensions has ", tensor.strides.size(),
                              " strides"));
  }
  tensors_.push_back(std::move(tensor));
  return Add(PickledTensor{tensors_.size() - 1});
}

// (tensor, requires_grad, hooks)
absl::StatusOr<PickleRef> PickleObjects::RebuildParameter(
    const PickleRefs& arguments) {
  if (arguments.size() != 3 || As<PickledTensor>(arguments[0]) == nullptr ||
      As<bool>(arguments[1]) == nullptr || !IsEmptyDict(arguments[2])) {
    return WrongObject("arguments are not a parameter's");
  }
  return arguments[0];
}

absl::StatusOr<std::vector<int64_t>> PickleObjects::ToSizes(PickleRef object) {
  const auto* tuple = As<PickledTuple>(object);
  if (tuple == nullptr || tuple->items.size() > Unpickler::kMaxDimensions) {
    return WrongObject(Concat("shape or strides are no tuple of up to ",
                              Unpickler::kMaxDimensions, " numbers"));
  }
  std::vector<int64_t> sizes;
  for (const PickleRef item : tuple->items) {
    const auto* size = As<int64_t>(item);
    if (size == nullptr || *size < 0) {
      return WrongObject("shape or strides hold what is no number from 0 on");
    }
    sizes.push_back(*size);
  }
  return sizes;
}

bool PickleObjects::IsEmptyDict(PickleRef object) {
  const auto* dict = As<PickledDict>(object);
  return dict != nullptr && dict->items.empty();
}

absl::StatusOr<Unpickler::StateDict> PickleObjects::ToStateDict(
    PickleRef object) {
  const auto* dict = As<PickledDict>(object);
  if (dict == nullptr) return WrongObject("holds no dict");
  Unpickler::StateDict result;
  for (const auto& [key, value] : dict->items) {
    const auto* name = As<std::string>(key);
    if (name == nullptr) return WrongObject("key of the dict is no string");
    const auto* tensor = As<PickledTensor>(value);
    if (tensor == nullptr) {
      return WrongObject(Concat("value of ", QuoteBytes(*name),
                                " is no tensor: this is not, or not only, a "
                                "model's state dict"));
    }
    if (!result.emplace(*name, tensors_[tensor->index]).second) {
      return WrongObject(
          Concat("tensor ", QuoteBytes(*name), " is there twice"));
    }
  }
  return result;
}

}  // namespace attune::worker
