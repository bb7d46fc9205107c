#include "worker/models/safetensors.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/json_reader.h"

namespace attune::worker {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr int kMaxHeaderDepth = 3;
constexpr size_t kMaxDimensions = 8;
constexpr char kMetadataKey[] = "__metadata__";

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};

constexpr std::array<DtypeName, 10> kDtypes = {{
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
}};

uint64_t LoadLittleEndian(const char* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

// Fills in `shape` and returns the bytes that it takes. A size of 0 hides no
// overflow: strides are products of the other sizes.
absl::StatusOr<int64_t> ReadTensorShape(const nlohmann::json& json,
                                        Safetensors::Entry& entry) {
  if (!json.is_array()) return absl::DataLossError("has no shape");
  if (json.size() > kMaxDimensions) {
    return absl::DataLossError(Concat("has ", json.size(), " dimensions"));
  }
  int64_t bytes = static_cast<int64_t>(c10::elementSize(entry.dtype));
  bool empty = false;
  for (const nlohmann::json& size : json) {
    if (!size.is_number_unsigned()) {
      return absl::DataLossError(
          Concat("has size ", size.dump(), " in its shape"));
    }
    const uint64_t value = size.get<uint64_t>();
    empty = empty || value == 0;
    if (value > INT64_MAX ||
        __builtin_mul_overflow(
            bytes, std::max<int64_t>(static_cast<int64_t>(value), 1), &bytes)) {
      return absl::DataLossError("has a shape that overflows");
    }
    entry.shape.push_back(static_cast<int64_t>(value));
  }
  return empty ? 0 : bytes;
}

// Reads one tensor's description; the string says what is wrong with it.
absl::StatusOr<Safetensors::Entry> ReadEntry(const nlohmann::json& json) {
  if (!json.is_object() || json.size() != 3 || !json.contains("dtype") ||
      !json.contains("shape") || !json.contains("data_offsets")) {
    return absl::DataLossError("needs exactly dtype, shape, data_offsets");
  }
  Safetensors::Entry entry;
  const auto dtype =
      std::find_if(kDtypes.begin(), kDtypes.end(),
                   [&](const DtypeName& d) { return json["dtype"] == d.name; });
  if (dtype == kDtypes.end()) {
    return absl::DataLossError(
        Concat("has unsupported dtype ", json["dtype"].dump()));
  }
  entry.dtype = dtype->dtype;
  ATTUNE_ASSIGN_OR_RETURN(const int64_t bytes,
                          ReadTensorShape(json["shape"], entry));
  const nlohmann::json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 ||
      !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    return absl::DataLossError("has data_offsets that are no pair of offsets");
  }
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  if (entry.begin > entry.end ||
      entry.end - entry.begin != static_cast<uint64_t>(bytes)) {
    return absl::DataLossError(Concat("has offsets [", entry.begin, ", ",
                                      entry.end, "] but a shape of ", bytes,
                                      " bytes"));
  }
  return entry;
}

// Whether the ranges cover [0, size) with neither gap nor overlap.
absl::Status CheckTiling(const std::map<std::string, Safetensors::Entry>& all,
                         size_t size) {
  std::vector<std::pair<std::pair<size_t, size_t>, const std::string*>> ranges;
  for (const auto& [name, entry] : all) {
    ranges.push_back({{entry.begin, entry.end}, &name});
  }
  std::sort(ranges.begin(), ranges.end());
  size_t end = 0;
  for (const auto& [range, name] : ranges) {
    if (range.first != end) {
      return absl::DataLossError(Concat("tensor '", *name, "' begins at ",
                                        range.first, ", not at ", end));
    }
    end = range.second;
  }
  if (end != size) {
    return absl::DataLossError(
        Concat("tensors end at byte ", end, " of the data, which has ", size));
  }
  return absl::OkStatus();
}

const char* NameOfDtype(at::ScalarType dtype) {
  for (const DtypeName& d : kDtypes) {
    if (d.dtype == dtype) return d.name;
  }
  return nullptr;
}

// Wide elements first, so that every tensor is aligned for its dtype.
std::vector<const TensorMap::value_type*> WriteOrder(const TensorMap& tensors) {
  std::vector<const TensorMap::value_type*> order;
  for (const auto& named : tensors) order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) {
    return a->second.element_size() > b->second.element_size();
  });
  return order;
}

// The length prefix and the header, padded to a multiple of 8.
absl::StatusOr<std::string> MakeHeader(
    const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  size_t offset = 0;
  for (const auto* named : WriteOrder(tensors)) {
    const at::Tensor& tensor = named->second;
    const char* dtype = NameOfDtype(tensor.scalar_type());
    if (dtype == nullptr || !tensor.device().is_cpu() ||
        !tensor.is_contiguous() || named->first == kMetadataKey) {
      return absl::InvalidArgumentError(
          Concat("tensor '", named->first, "' of type ",
                 c10::toString(tensor.scalar_type()),
                 " cannot be written: dtype, device, layout or name"));
    }
    const size_t end = offset + tensor.nbytes();
    header[named->first] = {{"dtype", dtype},
                            {"shape", tensor.sizes().vec()},
                            {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        Concat("tensor names or metadata: ", error.what()));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return length + text;
}

std::string_view TensorBytes(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

}  // namespace

absl::StatusOr<Safetensors> Safetensors::Open(const std::string& path) {
  Safetensors result;
  ATTUNE_ASSIGN_OR_RETURN(result.file_, MappedFile::Open(path));
  result.origin_ = path;
  ATTUNE_RETURN_IF_ERROR(result.Parse(result.file_->bytes()));
  return result;
}

absl::StatusOr<Safetensors> Safetensors::FromBytes(std::string bytes,
                                                   std::string origin) {
  Safetensors result;
  result.bytes_ = std::make_shared<const std::string>(std::move(bytes));
  result.origin_ = std::move(origin);
  ATTUNE_RETURN_IF_ERROR(result.Parse(*result.bytes_));
  return result;
}

absl::Status Safetensors::Parse(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) {
    return CorruptFile(origin_, "shorter than the 8 bytes of a header length");
  }
  const uint64_t length = LoadLittleEndian(bytes.data());
  if (length > kMaxHeaderBytes || length > bytes.size() - kLengthBytes) {
    return CorruptFile(
        origin_, Concat("header of ", length, " bytes: the file has ",
                        bytes.size(), " and headers end at ", kMaxHeaderBytes));
  }
  absl::StatusOr<nlohmann::json> header =
      ParseJson(bytes.substr(kLengthBytes, length), kMaxHeaderDepth);
  if (!header.ok()) {
    return CorruptFile(origin_, Concat("header: ", header.status().message()));
  }
  if (!header->is_object() || header->size() > kMaxTensors) {
    return CorruptFile(origin_, Concat("header: not an object of up to ",
                                       kMaxTensors, " tensors"));
  }
  data_ = bytes.substr(kLengthBytes + length);
  for (const auto& [name, json] : header->items()) {
    if (name == kMetadataKey) {
      if (!json.is_object()) return CorruptFile(origin_, "metadata: no object");
      for (const auto& [key, value] : json.items()) {
        if (!value.is_string()) {
          return CorruptFile(origin_,
                             Concat("metadata: '", key, "' is not a string"));
        }
        metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    absl::StatusOr<Entry> entry = ReadEntry(json);
    if (!entry.ok()) {
      return CorruptFile(
          origin_, Concat("tensor '", name, "' ", entry.status().message()));
    }
    entries_[name] = *std::move(entry);
  }
  const absl::Status tiling = CheckTiling(entries_, data_.size());
  if (!tiling.ok()) return CorruptFile(origin_, ToStd(tiling.message()));
  return absl::OkStatus();
}

bool Safetensors::Contains(const std::string& name) const {
  return entries_.contains(name);
}

absl::StatusOr<at::Tensor> Safetensors::View(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) {
    return absl::NotFoundError(Concat(origin_, ": no tensor '", name, "'"));
  }
  const Entry& entry = it->second;
  char* data = const_cast<char*>(data_.data() + entry.begin);
  const auto options = at::TensorOptions().dtype(entry.dtype);
  const size_t size = entry.end - entry.begin;
  // The tensor keeps the bytes alive. Weights are looked at once, to be copied:
  // their pages go with the view.
  at::Tensor view = at::from_blob(
      data, entry.shape,
      [file = file_, bytes = bytes_, size](void* begin) {
        if (file == nullptr) return;
        file->Release(static_cast<char*>(begin) - file->bytes().data(), size);
      },
      options);
  const size_t alignment = c10::elementSize(entry.dtype);
  if (reinterpret_cast<uintptr_t>(data) % alignment == 0) return view;
  at::Tensor aligned =
      at::from_blob(nullptr, {0}, options).new_empty(entry.shape);
  std::memcpy(aligned.mutable_data_ptr(), data, size);
  return aligned;
}

absl::StatusOr<at::Tensor> Safetensors::Get(const std::string& name) const {
  ATTUNE_ASSIGN_OR_RETURN(at::Tensor view, View(name));
  return view.clone();
}

absl::StatusOr<at::Tensor> Safetensors::GetFinite(
    const std::string& name) const {
  ATTUNE_ASSIGN_OR_RETURN(at::Tensor tensor, Get(name));
  if (tensor.scalar_type() != at::kFloat || tensor.dim() < 1 ||
      !at::isfinite(tensor).all().item<bool>()) {
    return absl::DataLossError(
        Concat("tensor '", name, "' must be finite numbers in F32"));
  }
  return tensor;
}

absl::StatusOr<std::string> WriteSafetensors(
    const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata) {
  ATTUNE_ASSIGN_OR_RETURN(std::string bytes, MakeHeader(tensors, metadata));
  for (const auto* named : WriteOrder(tensors)) {
    bytes.append(TensorBytes(named->second));
  }
  return bytes;
}

absl::Status WriteSafetensorsFile(
    const std::string& path, const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata) {
  ATTUNE_ASSIGN_OR_RETURN(std::string header, MakeHeader(tensors, metadata));
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << header;
  for (const auto* named : WriteOrder(tensors))
    file << TensorBytes(named->second);
  file.close();
  if (!file) {
    return absl::UnavailableError(Concat("cannot write ", path));
  }
  return absl::OkStatus();
}

}  // namespace attune::worker
