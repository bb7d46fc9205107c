#include "worker/models/torch_file.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::worker {
namespace {

// The newest version of the archive's layout that LibTorch 2.15 knows.
constexpr int kMaxArchiveVersion = 10;
// Files from before torch 1.6 are pickles, which begin with this opcode.
constexpr char kPickleStart = '\x80';

// The elements of a tensor: sizes of 0 hide no overflow, as strides are
// products of the other sizes. nullopt if it overflows.
std::optional<int64_t> CountElements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count)) {
      return std::nullopt;
    }
  }
  return std::find(shape.begin(), shape.end(), 0) == shape.end() ? count : 0;
}

// From the first element to the one behind the last, of a tensor that has
// elements. nullopt if it overflows.
std::optional<int64_t> SpanElements(const Unpickler::Tensor& tensor) {
  int64_t span = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i],
                               &reach) ||
        __builtin_add_overflow(span, reach, &span)) {
      return std::nullopt;
    }
  }
  return span;
}

// Strides that address the same elements, without those of the file that
// address nothing and may be any number: none grows beyond twice the span.
std::vector<int64_t> PlainStrides(const std::vector<int64_t>& shape,
                                  const std::vector<int64_t>& strides,
                                  bool empty) {
  std::vector<int64_t> plain(shape.size());
  int64_t next = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    plain[i] = empty || shape[i] == 1 ? next : strides[i];
    next = plain[i] * std::max<int64_t>(shape[i], 1);
  }
  return plain;
}

}  // namespace

absl::StatusOr<TorchFile> TorchFile::Open(const std::string& path) {
  TorchFile result;
  ATTUNE_ASSIGN_OR_RETURN(result.file_, MappedFile::Open(path));
  result.origin_ = path;
  result.data_ = result.file_->bytes();
  ATTUNE_RETURN_IF_ERROR(result.Parse());
  return result;
}

absl::StatusOr<TorchFile> TorchFile::FromBytes(std::string bytes,
                                               std::string origin) {
  TorchFile result;
  result.bytes_ = std::make_shared<const std::string>(std::move(bytes));
  result.origin_ = std::move(origin);
  result.data_ = *result.bytes_;
  ATTUNE_RETURN_IF_ERROR(result.Parse());
  return result;
}

absl::Status TorchFile::Parse() {
  if (data_.starts_with(kPickleStart)) {
    return CorruptFile(origin_,
                       "a bare pickle, as torch.save wrote before torch 1.6: "
                       "save it again with torch >= 1.6 or as safetensors");
  }
  ATTUNE_ASSIGN_OR_RETURN(const ZipArchive archive,
                          ZipArchive::Parse(data_, origin_));
  // All entries are in one folder, which is named after the file.
  const std::string folder =
      archive.first_name().substr(0, archive.first_name().find('/') + 1);
  ATTUNE_RETURN_IF_ERROR(CheckFormat(archive, folder));
  const auto pickle = archive.Find(folder + "data.pkl");
  if (folder.empty() || !pickle) {
    return CorruptFile(origin_, "archive without data.pkl: not of torch.save");
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const Unpickler::StateDict tensors,
      Unpickler::ReadStateDict(
          data_.substr(pickle->begin, pickle->end - pickle->begin), origin_));
  for (const auto& [name, tensor] : tensors) {
    absl::StatusOr<Entry> entry = Place(tensor, archive, folder);
    if (!entry.ok()) {
      return CorruptFile(origin_, Concat("tensor ", QuoteBytes(name), " ",
                                         entry.status().message()));
    }
    entries_[name] = *std::move(entry);
  }
  return absl::OkStatus();
}

// Looks at the small entries beside the pickle; both may be absent.
absl::Status TorchFile::CheckFormat(const ZipArchive& archive,
                                    const std::string& folder) const {
  constexpr size_t kMaxShownBytes = 16;
  const auto text = [&](const std::optional<ZipArchive::Range>& range) {
    return data_.substr(range->begin,
                        std::min(range->end - range->begin, kMaxShownBytes));
  };
  const auto order = archive.Find(folder + "byteorder");
  if (order && text(order) != "little") {
    return CorruptFile(
        origin_, Concat("byte order ", QuoteBytes(text(order)),
                        " is not little: save it again on such a machine"));
  }
  const auto version = archive.Find(folder + "version");
  int number = 0;
  if (version && (!absl::SimpleAtoi(ToAbsl(text(version)), &number) ||
                  number < 1 || number > kMaxArchiveVersion)) {
    return CorruptFile(origin_,
                       Concat("archive of version ", QuoteBytes(text(version)),
                              ", which is none of 1 to ", kMaxArchiveVersion));
  }
  return absl::OkStatus();
}

// The string of an error says what is wrong with the tensor.
absl::StatusOr<TorchFile::Entry> TorchFile::Place(
    const Unpickler::Tensor& tensor, const ZipArchive& archive,
    const std::string& folder) const {
  const auto storage = archive.Find(Concat(folder, "data/", tensor.storage));
  if (!storage) {
    return absl::DataLossError(Concat("is in storage ",
                                      QuoteBytes(tensor.storage),
                                      ", which the archive lacks"));
  }
  const int64_t element_bytes =
      static_cast<int64_t>(c10::elementSize(tensor.dtype));
  const int64_t size =
      static_cast<int64_t>(storage->end - storage->begin) / element_bytes;
  if (size != tensor.storage_size) {
    return absl::DataLossError(
        Concat("is in a storage of ", tensor.storage_size, " elements of ",
               element_bytes, " bytes, for which the archive has ",
               storage->end - storage->begin, " bytes"));
  }
  const std::optional<int64_t> count = CountElements(tensor.shape);
  const std::optional<int64_t> span =
      count == 0 ? std::optional<int64_t>(0) : SpanElements(tensor);
  if (!count || !span || *count > size || tensor.offset > size ||
      *span > size - tensor.offset) {
    return absl::DataLossError(Concat(
        "of shape [", absl::StrJoin(tensor.shape, ", "), "] and strides [",
        absl::StrJoin(tensor.strides, ", "), "] from element ", tensor.offset,
        " on does not fit its storage of ", size, " elements"));
  }
  Entry entry;
  entry.dtype = tensor.dtype;
  entry.shape = tensor.shape;
  entry.strides =
      PlainStrides(tensor.shape, tensor.strides, /*empty=*/*count == 0);
  entry.begin = storage->begin + tensor.offset * element_bytes;
  entry.end = entry.begin + *span * element_bytes;
  return entry;
}

bool TorchFile::Contains(const std::string& name) const {
  return entries_.contains(name);
}

absl::StatusOr<at::Tensor> TorchFile::View(const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) {
    return absl::NotFoundError(Concat(origin_, ": no tensor '", name, "'"));
  }
  const Entry& entry = it->second;
  char* data = const_cast<char*>(data_.data() + entry.begin);
  const size_t bytes = entry.end - entry.begin;
  const size_t element_bytes = c10::elementSize(entry.dtype);
  const auto options = at::TensorOptions().dtype(entry.dtype);
  if (bytes == 0 || reinterpret_cast<uintptr_t>(data) % element_bytes == 0) {
    // The tensor keeps the bytes alive. As with safetensors, the pages go with
    // the view.
    return at::from_blob(
        data, entry.shape, entry.strides,
        [file = file_, kept = bytes_, bytes](void* begin) {
          if (file == nullptr) return;
          file->Release(static_cast<char*>(begin) - file->bytes().data(),
                        bytes);
        },
        options);
  }
  const at::Tensor aligned =
      at::empty({static_cast<int64_t>(bytes / element_bytes)}, options);
  std::memcpy(aligned.mutable_data_ptr(), data, bytes);
  return aligned.as_strided(entry.shape, entry.strides);
}

absl::StatusOr<at::Tensor> TorchFile::Get(const std::string& name) const {
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor view, View(name));
  return view.clone(at::MemoryFormat::Contiguous);
}

}  // namespace attune::worker
