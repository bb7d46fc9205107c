#ifndef ATTUNE_TESTS_WORKER_MODELS_GGUF_BUILDER_H_
#define ATTUNE_TESTS_WORKER_MODELS_GGUF_BUILDER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attune::worker {

// Puts GGUF files together byte by byte, right or wrong ones.
class GgufBuilder {
 public:
  static constexpr uint32_t kF32 = 0;  // a tensor type

  // Value types of the format.
  static constexpr uint32_t kUint8 = 0;
  static constexpr uint32_t kUint32 = 4;
  static constexpr uint32_t kInt32 = 5;
  static constexpr uint32_t kFloat32 = 6;
  static constexpr uint32_t kBool = 7;
  static constexpr uint32_t kString = 8;
  static constexpr uint32_t kArray = 9;

  template <typename T>
  static std::string Raw(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  static std::string Text(std::string_view text) {
    return Raw<uint64_t>(text.size()) + std::string(text);
  }

  // An entry of the metadata whose value is `value`, as bytes.
  void Entry(std::string_view key, uint32_t type, const std::string& value) {
    entries_ += Text(key) + Raw(type) + value;
    ++num_entries;
  }
  void Set(std::string_view key, uint32_t value) {
    Entry(key, kUint32, Raw(value));
  }
  void Set(std::string_view key, float value) {
    Entry(key, kFloat32, Raw(value));
  }
  void Set(std::string_view key, std::string_view value) {
    Entry(key, kString, Text(value));
  }
  void Set(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes = Raw(kString) + Raw<uint64_t>(values.size());
    for (const std::string& value : values) bytes += Text(value);
    Entry(key, kArray, bytes);
  }
  void Set(std::string_view key, const std::vector<int32_t>& values) {
    std::string bytes = Raw(kInt32) + Raw<uint64_t>(values.size());
    for (const int32_t value : values) bytes += Raw(value);
    Entry(key, kArray, bytes);
  }
  void Set(std::string_view key, const std::vector<float>& values) {
    std::string bytes = Raw(kFloat32) + Raw<uint64_t>(values.size());
    for (const float value : values) bytes += Raw(value);
    Entry(key, kArray, bytes);
  }
  void SetFlag(std::string_view key, bool value) {
    Entry(key, kBool, std::string(1, value ? '\1' : '\0'));
  }

  // A tensor's description; `shape` in GGUF's order, innermost first.
  void Info(std::string_view name, const std::vector<uint64_t>& shape,
            uint32_t type, uint64_t offset) {
    infos_ += Text(name) + Raw(static_cast<uint32_t>(shape.size()));
    for (const uint64_t size : shape) infos_ += Raw(size);
    infos_ += Raw(type) + Raw(offset);
    ++num_tensors;
  }
  // The same, with its data behind that of the tensors before it.
  void Tensor(std::string_view name, const std::vector<uint64_t>& shape,
              uint32_t type, std::string_view data) {
    Info(name, shape, type, data_.size());
    data_ += data;
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
  }

  std::string Build() const {
    std::string bytes = "GGUF" + Raw(version) + Raw(num_tensors) +
                        Raw(num_entries) + entries_ + infos_;
    bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
    return bytes + data_;
  }

  // What the header claims; may be set to lies.
  uint32_t version = 3;
  uint64_t num_tensors = 0;
  uint64_t num_entries = 0;

 private:
  std::string entries_;
  std::string infos_;
  std::string data_;
};

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_MODELS_GGUF_BUILDER_H_
