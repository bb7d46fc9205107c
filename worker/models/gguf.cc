#include "worker/models/gguf.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = 1 << 16;
constexpr uint32_t kMaxGgufDimensions = 4;
constexpr size_t kMaxNameBytes = 1024;

// Value types of the format, by number.
enum class Type : uint32_t {
  kUint8 = 0,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

}  // namespace

// Reads forward through the bytes. Every method checks that what it reads is
// there before it allocates or moves.
class Gguf::Parser {
 public:
  explicit Parser(Gguf& gguf) : gguf_(gguf), bytes_(gguf.bytes_) {}

  absl::Status Run() {
    if (bytes_.substr(0, kMagic.size()) != kMagic) {
      return Fail("does not begin with 'GGUF'");
    }
    position_ = kMagic.size();
    ATTUNE_ASSIGN_OR_RETURN(uint32_t version, Read<uint32_t>());
    if (version != 2 && version != 3) {
      return Fail(Concat("version ", version, " is neither 2 nor 3"));
    }
    ATTUNE_ASSIGN_OR_RETURN(uint64_t num_tensors, Read<uint64_t>());
    ATTUNE_ASSIGN_OR_RETURN(uint64_t num_entries, Read<uint64_t>());
    if (num_tensors > kMaxTensors || num_entries > kMaxEntries) {
      return Fail(Concat("claims ", num_tensors, " tensors and ", num_entries,
                         " metadata entries"));
    }
    for (uint64_t i = 0; i < num_entries; ++i) {
      ATTUNE_RETURN_IF_ERROR(ReadEntry());
    }
    for (uint64_t i = 0; i < num_tensors; ++i) {
      ATTUNE_RETURN_IF_ERROR(ReadTensor());
    }
    return PlaceTensors();
  }

 private:
  absl::Status Fail(std::string_view what) const {
    return CorruptFile(gguf_.origin_,
                       Concat("at byte ", position_, ": ", what));
  }

  template <typename T>
  absl::StatusOr<T> Read() {
    if (bytes_.size() - position_ < sizeof(T)) return Fail("ends too early");
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  absl::StatusOr<std::string> ReadString() {
    ATTUNE_ASSIGN_OR_RETURN(uint64_t length, Read<uint64_t>());
    if (length > bytes_.size() - position_) {
      return Fail(Concat("string of ", length, " bytes, ",
                         bytes_.size() - position_, " are left"));
    }
    std::string text(bytes_.substr(position_, length));
    position_ += length;
    return text;
  }

  // One number of the file's type as the Value's type.
  template <typename Stored, typename Kept>
  absl::StatusOr<Kept> ReadAs() {
    ATTUNE_ASSIGN_OR_RETURN(Stored value, Read<Stored>());
    if constexpr (std::is_same_v<Stored, uint64_t>) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Fail(Concat(value, " is beyond 63 bits"));
      }
    }
    return static_cast<Kept>(value);
  }

  // Whether an array of `count` elements of at least `min_bytes` can be here.
  // What is kept of an element may be larger than it is in the file, so their
  // number has a limit of its own.
  absl::Status CheckArray(uint64_t count, size_t min_bytes) {
    if (count > (bytes_.size() - position_) / min_bytes) {
      return Fail(Concat("array of ", count, " elements, ",
                         bytes_.size() - position_, " bytes are left"));
    }
    if (count > elements_left_) {
      return Fail(Concat("array of ", count, " elements: more than ",
                         kMaxElements, " in all"));
    }
    elements_left_ -= count;
    return absl::OkStatus();
  }

  // A value, or an array of `count` values when `is_array`.
  template <typename Stored, typename Kept>
  absl::StatusOr<Value> ReadNumbers(bool is_array, uint64_t count) {
    if (!is_array) return ReadAs<Stored, Kept>();
    ATTUNE_RETURN_IF_ERROR(CheckArray(count, sizeof(Stored)));
    std::vector<Kept> values;
    values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      ATTUNE_ASSIGN_OR_RETURN(Kept value, (ReadAs<Stored, Kept>()));
      values.push_back(value);
    }
    return values;
  }

  absl::StatusOr<Value> ReadStrings(bool is_array, uint64_t count) {
    if (!is_array) return ReadString();
    // Every string has at least its length.
    ATTUNE_RETURN_IF_ERROR(CheckArray(count, sizeof(uint64_t)));
    std::vector<std::string> values;
    values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      ATTUNE_ASSIGN_OR_RETURN(std::string value, ReadString());
      values.push_back(std::move(value));
    }
    return values;
  }

  absl::StatusOr<Value> ReadBools(bool is_array, uint64_t count) {
    ATTUNE_ASSIGN_OR_RETURN(Value value,
                            (ReadNumbers<uint8_t, int64_t>(is_array, count)));
    if (is_array) return value;
    return std::get<int64_t>(value) != 0;
  }

  absl::StatusOr<Value> ReadValue(uint32_t type, bool is_array,
                                  uint64_t count) {
    switch (static_cast<Type>(type)) {
      case Type::kUint8:
        return ReadNumbers<uint8_t, int64_t>(is_array, count);
      case Type::kInt8:
        return ReadNumbers<int8_t, int64_t>(is_array, count);
      case Type::kUint16:
        return ReadNumbers<uint16_t, int64_t>(is_array, count);
      case Type::kInt16:
        return ReadNumbers<int16_t, int64_t>(is_array, count);
      case Type::kUint32:
        return ReadNumbers<uint32_t, int64_t>(is_array, count);
      case Type::kInt32:
        return ReadNumbers<int32_t, int64_t>(is_array, count);
      case Type::kUint64:
        return ReadNumbers<uint64_t, int64_t>(is_array, count);
      case Type::kInt64:
        return ReadNumbers<int64_t, int64_t>(is_array, count);
      case Type::kFloat32:
        return ReadNumbers<float, double>(is_array, count);
      case Type::kFloat64:
        return ReadNumbers<double, double>(is_array, count);
      case Type::kBool:
        return ReadBools(is_array, count);
      case Type::kString:
        return ReadStrings(is_array, count);
      case Type::kArray:
        break;
    }
    return Fail(Concat("value type ", type, is_array ? " in an array" : "",
                       " is not allowed"));
  }

  absl::StatusOr<std::string> ReadName() {
    ATTUNE_ASSIGN_OR_RETURN(std::string name, ReadString());
    if (name.empty() || name.size() > kMaxNameBytes) {
      return Fail(Concat("name of ", name.size(), " bytes"));
    }
    return name;
  }

  absl::Status ReadEntry() {
    ATTUNE_ASSIGN_OR_RETURN(std::string key, ReadName());
    ATTUNE_ASSIGN_OR_RETURN(uint32_t type, Read<uint32_t>());
    const bool is_array = type == static_cast<uint32_t>(Type::kArray);
    uint64_t count = 0;
    if (is_array) {
      ATTUNE_ASSIGN_OR_RETURN(type, Read<uint32_t>());
      ATTUNE_ASSIGN_OR_RETURN(count, Read<uint64_t>());
    }
    ATTUNE_ASSIGN_OR_RETURN(Value value, ReadValue(type, is_array, count));
    if (!gguf_.metadata_.emplace(key, std::move(value)).second) {
      return Fail(Concat("key ", QuoteBytes(key), " occurs twice"));
    }
    return absl::OkStatus();
  }

  // Leaves the offset within the tensor data in `begin`, the size in `end`.
  absl::Status ReadTensor() {
    ATTUNE_ASSIGN_OR_RETURN(std::string name, ReadName());
    ATTUNE_ASSIGN_OR_RETURN(uint32_t num_dimensions, Read<uint32_t>());
    if (num_dimensions < 1 || num_dimensions > kMaxGgufDimensions) {
      return Fail(Concat("tensor ", QuoteBytes(name), " has ", num_dimensions,
                         " dimensions"));
    }
    Tensor tensor;
    int64_t numbers = 1;
    for (uint32_t i = 0; i < num_dimensions; ++i) {
      ATTUNE_ASSIGN_OR_RETURN(uint64_t size, Read<uint64_t>());
      if (size == 0 || size > INT64_MAX ||
          __builtin_mul_overflow(numbers, static_cast<int64_t>(size),
                                 &numbers)) {
        return Fail(Concat("tensor ", QuoteBytes(name),
                           " has a shape of size 0 ", "or beyond 63 bits"));
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    ATTUNE_ASSIGN_OR_RETURN(uint32_t type, Read<uint32_t>());
    tensor.type = FindGgufBlockType(type);
    if (tensor.type == nullptr) {
      return absl::UnimplementedError(Concat(gguf_.origin_, ": tensor ",
                                             QuoteBytes(name), " has type ",
                                             type, ", which is not supported"));
    }
    int64_t size = 0;
    if (tensor.shape.back() % tensor.type->block_size != 0 ||
        __builtin_mul_overflow(numbers / tensor.type->block_size,
                               static_cast<int64_t>(tensor.type->block_bytes),
                               &size)) {
      return Fail(Concat("tensor ", QuoteBytes(name),
                         " does not consist of whole ", tensor.type->name,
                         " blocks"));
    }
    ATTUNE_ASSIGN_OR_RETURN(tensor.begin, Read<uint64_t>());
    tensor.end = static_cast<size_t>(size);
    if (!gguf_.tensors_.emplace(name, std::move(tensor)).second) {
      return Fail(Concat("tensor ", QuoteBytes(name), " occurs twice"));
    }
    return absl::OkStatus();
  }

  // Turns offsets and sizes into ranges of the file and checks them.
  absl::Status PlaceTensors() {
    ATTUNE_ASSIGN_OR_RETURN(
        int64_t alignment,
        gguf_.GetOr<int64_t>("general.alignment", kDefaultAlignment));
    if (alignment < 1 || alignment > kMaxAlignment ||
        (alignment & (alignment - 1)) != 0) {
      return Fail(Concat("alignment ", alignment, " is no power of two up to ",
                         kMaxAlignment));
    }
    const size_t step = static_cast<size_t>(alignment);
    const size_t data = (position_ + step - 1) / step * step;
    std::vector<std::pair<const std::string*, Tensor*>> order;
    for (auto& [name, tensor] : gguf_.tensors_) {
      const size_t left = bytes_.size() < data ? 0 : bytes_.size() - data;
      if (tensor.begin % step != 0 || tensor.begin > left ||
          tensor.end > left - tensor.begin) {
        return Fail(Concat("tensor ", QuoteBytes(name), " at offset ",
                           tensor.begin, " with ", tensor.end,
                           " bytes is misaligned or beyond the end"));
      }
      tensor.begin += data;
      tensor.end += tensor.begin;
      order.emplace_back(&name, &tensor);
    }
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.second->begin < b.second->begin;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      if (order[i].second->begin < order[i - 1].second->end) {
        return Fail(Concat("tensors ", QuoteBytes(*order[i - 1].first), " and ",
                           QuoteBytes(*order[i].first), " overlap"));
      }
    }
    return absl::OkStatus();
  }

  Gguf& gguf_;
  const std::string_view bytes_;
  size_t position_ = 0;
  size_t elements_left_ = kMaxElements;  // that arrays may still have
};

absl::StatusOr<Gguf> Gguf::Open(const std::string& path) {
  Gguf gguf;
  ATTUNE_ASSIGN_OR_RETURN(gguf.file_, MappedFile::Open(path));
  gguf.bytes_ = gguf.file_->bytes();
  gguf.origin_ = path;
  ATTUNE_RETURN_IF_ERROR(gguf.Parse());
  return gguf;
}

absl::StatusOr<Gguf> Gguf::FromBytes(std::string bytes, std::string origin) {
  Gguf gguf;
  gguf.buffer_ = std::make_shared<const std::string>(std::move(bytes));
  gguf.bytes_ = *gguf.buffer_;
  gguf.origin_ = std::move(origin);
  ATTUNE_RETURN_IF_ERROR(gguf.Parse());
  return gguf;
}

absl::Status Gguf::Parse() { return Parser(*this).Run(); }

absl::Status Gguf::MissingKey(const std::string& key, bool present) const {
  return CorruptFile(origin_,
                     Concat("metadata key ", QuoteBytes(key), " ",
                            present ? "has another type" : "is missing"));
}

absl::StatusOr<at::Tensor> Gguf::Decode(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    return CorruptFile(origin_, Concat("no tensor ", QuoteBytes(name)));
  }
  const Tensor& tensor = it->second;
  at::Tensor decoded =
      at::empty(tensor.shape, at::TensorOptions().dtype(at::kFloat));
  const uint8_t* block =
      reinterpret_cast<const uint8_t*>(bytes_.data()) + tensor.begin;
  float* out = decoded.mutable_data_ptr<float>();
  const int64_t num_blocks = decoded.numel() / tensor.type->block_size;
  for (int64_t i = 0; i < num_blocks; ++i) {
    tensor.type->decode(block, out);
    block += tensor.type->block_bytes;
    out += tensor.type->block_size;
  }
  return decoded;
}

}  // namespace attune::worker
