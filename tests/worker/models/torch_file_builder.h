#ifndef ATTUNE_TESTS_WORKER_MODELS_TORCH_FILE_BUILDER_H_
#define ATTUNE_TESTS_WORKER_MODELS_TORCH_FILE_BUILDER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attune::worker {

template <typename T>
std::string RawBytes(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Puts ZIP archives together byte by byte. Tests spoil what it built.
class ZipBuilder {
 public:
  // Content begins at a multiple of `alignment`, as torch.save does with 64.
  void Add(std::string_view name, std::string_view content,
           size_t alignment = 64) {
    entries_.push_back({std::string(name), content.size(), bytes_.size()});
    bytes_ += "PK\3\4" + Numbers<uint16_t>({0, 0, 0, 0, 0});
    bytes_ +=
        Numbers<uint32_t>({0, Size(content.size()), Size(content.size())});
    constexpr size_t kFieldHeader = 4;
    const size_t unpadded = bytes_.size() + 4 + name.size() + kFieldHeader;
    const size_t pad = (alignment - unpadded % alignment) % alignment;
    bytes_ += Numbers<uint16_t>({name.size(), kFieldHeader + pad});
    bytes_ += name;
    bytes_ +=
        "FB" + RawBytes(static_cast<uint16_t>(pad)) + std::string(pad, 'Z');
    bytes_ += content;
  }

  std::string Build() const {
    std::string directory;
    for (const Entry& entry : entries_) {
      directory += "PK\1\2" + Numbers<uint16_t>({0, 0, 0, 0, 0, 0});
      directory += Numbers<uint32_t>({0, Size(entry.size), Size(entry.size)});
      directory +=
          Numbers<uint16_t>({entry.name.size(), zip64 ? 28u : 0u, 0, 0, 0});
      directory += Numbers<uint32_t>({0, Size(entry.offset)}) + entry.name;
      if (zip64) {
        directory += Numbers<uint16_t>({1, 24});
        directory += Numbers<uint64_t>({entry.size, entry.size, entry.offset});
      }
    }
    std::string end;
    if (zip64) {
      end += "PK\6\6" + Numbers<uint64_t>({44});
      end += Numbers<uint16_t>({45, 45}) + Numbers<uint32_t>({0, 0});
      end += Numbers<uint64_t>(
          {entries_.size(), entries_.size(), directory.size(), bytes_.size()});
      end += "PK\6\7" + Numbers<uint32_t>({0});
      end += Numbers<uint64_t>({bytes_.size() + directory.size()});
      end += Numbers<uint32_t>({1});
    }
    const size_t count = zip64 ? 0xffff : entries_.size();
    end += "PK\5\6" + Numbers<uint16_t>({0, 0, count, count});
    end += Numbers<uint32_t>({Size(directory.size()), Size(bytes_.size())});
    end += Numbers<uint16_t>({0});
    return bytes_ + directory + end;
  }

  // Whether sizes and places stand in the records of ZIP64. Set before Add.
  bool zip64 = false;

 private:
  struct Entry {
    std::string name;
    size_t size;
    size_t offset;
  };

  template <typename T>
  static std::string Numbers(const std::vector<uint64_t>& numbers) {
    std::string bytes;
    for (const uint64_t n : numbers) bytes += RawBytes(static_cast<T>(n));
    return bytes;
  }
  uint64_t Size(uint64_t size) const { return zip64 ? 0xffffffff : size; }

  std::string bytes_;
  std::vector<Entry> entries_;
};

// Opcodes of pickles, as strings to be put behind each other.
struct Pickle {
  static std::string Text(std::string_view text) {
    return "X" + RawBytes(static_cast<uint32_t>(text.size())) +
           std::string(text);
  }
  static std::string Int(int64_t value) {
    return std::string("\x8a\x08") + RawBytes(value);
  }
  static std::string Global(std::string_view module, std::string_view name) {
    return "c" + std::string(module) + "\n" + std::string(name) + "\n";
  }
  static std::string Tuple(const std::vector<std::string>& items) {
    std::string pickle = "(";
    for (const std::string& item : items) pickle += item;
    return pickle + "t";
  }
  static std::string Ints(const std::vector<int64_t>& values) {
    std::vector<std::string> items;
    for (const int64_t value : values) items.push_back(Int(value));
    return Tuple(items);
  }
  static std::string OrderedDict() {
    return Global("collections", "OrderedDict") + ")R";
  }
  // The value of each name is a pickle.
  static std::string Dict(
      const std::vector<std::pair<std::string, std::string>>& items) {
    std::string pickle = "}(";
    for (const auto& [name, value] : items) pickle += Text(name) + value;
    return pickle + "u";
  }
  static std::string Storage(std::string_view type, std::string_view key,
                             int64_t size) {
    return Tuple({Text("storage"), Global("torch", type), Text(key),
                  Text("cpu"), Int(size)}) +
           "Q";
  }
  static std::string Tensor(const std::string& storage, int64_t offset,
                            const std::vector<int64_t>& shape,
                            const std::vector<int64_t>& strides) {
    return Global("torch._utils", "_rebuild_tensor_v2") +
           Tuple({storage, Int(offset), Ints(shape), Ints(strides), "\x89",
                  OrderedDict()}) +
           "R";
  }
  // A vector of floats, all of the storage.
  static std::string Floats(std::string_view key, int64_t size) {
    return Tensor(Storage("FloatStorage", key, size), 0, {size}, {1});
  }
  // A whole pickle that leaves `value`.
  static std::string Program(const std::string& value) {
    return "\x80\x02" + value + ".";
  }
};

// A file as torch.save writes it; the storages by their keys.
inline std::string TorchFileBytes(
    const std::string& pickle,
    const std::vector<std::pair<std::string, std::string>>& storages) {
  ZipBuilder zip;
  zip.Add("m/data.pkl", pickle);
  zip.Add("m/byteorder", "little");
  for (const auto& [key, bytes] : storages) zip.Add("m/data/" + key, bytes);
  zip.Add("m/version", "3\n");
  return zip.Build();
}

}  // namespace attune::worker

#endif  // ATTUNE_TESTS_WORKER_MODELS_TORCH_FILE_BUILDER_H_
