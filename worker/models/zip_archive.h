#ifndef ATTUNE_WORKER_MODELS_ZIP_ARCHIVE_H_
#define ATTUNE_WORKER_MODELS_ZIP_ARCHIVE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace attune::worker {

// Where the entries of a ZIP archive lie, as far as torch.save uses the format:
// stored as they are, neither compressed nor encrypted, on one disk, with the
// directory at the end of the file and nothing behind it. ZIP64 is understood.
// Entries are checked in full before the first is handed out: bounds, overlaps,
// names. Their checksums are not: that would read all weights, and torch.save
// can leave them out. Const after construction.
class ZipArchive {
 public:
  // Twice what a torch file of Unpickler::kMaxTensors tensors needs.
  static constexpr uint64_t kMaxEntries = 20'000;
  static constexpr size_t kMaxEntryNameBytes = 1024;

  // Bytes [begin, end) of the archive.
  struct Range {
    size_t begin = 0;
    size_t end = 0;
  };

  // Reads the directory in `bytes`, of which nothing is kept. `origin` stands
  // for the file in messages. DataLoss naming the place.
  static absl::StatusOr<ZipArchive> Parse(std::string_view bytes,
                                          std::string_view origin);

  // The content of an entry; nullopt if there is none of this name.
  std::optional<Range> Find(std::string_view name) const;
  // The name of the directory's first entry; empty if there is none.
  const std::string& first_name() const { return first_name_; }

 private:
  class Parser;
  ZipArchive() = default;

  std::string first_name_;
  std::map<std::string, Range, std::less<>> entries_;
};

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_ZIP_ARCHIVE_H_
