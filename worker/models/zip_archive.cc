#include "worker/models/zip_archive.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"
#include "worker/models/mapped_file.h"

// The format: APPNOTE.TXT of PKWARE, version 6.3. Numbers are little-endian.
namespace attune::worker {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50;
constexpr uint32_t kZip64LocatorSignature = 0x07064b50;

// Sizes of the records without names and extra fields.
constexpr size_t kLocalBytes = 30;
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kZip64EndBytes = 56;
constexpr size_t kZip64LocatorBytes = 20;

constexpr uint16_t kZip64ExtraId = 1;
constexpr uint16_t kEncryptedFlag = 1;
constexpr uint16_t kStored = 0;
// A number that stands in a ZIP64 record instead.
constexpr uint16_t kIn64From16 = 0xffff;
constexpr uint32_t kIn64From32 = 0xffffffff;

}  // namespace

class ZipArchive::Parser {
 public:
  Parser(ZipArchive& archive, std::string_view bytes, std::string_view origin)
      : archive_(archive), bytes_(bytes), origin_(origin) {}

  absl::Status Run() {
    ATTUNE_RETURN_IF_ERROR(FindDirectory());
    size_t position = directory_.begin;
    for (uint64_t i = 0; i < num_entries_; ++i) {
      ATTUNE_ASSIGN_OR_RETURN(position, ReadEntry(position));
    }
    if (position != directory_.end) {
      return Fail(position, Concat("directory goes on behind its ",
                                   num_entries_, " entries"));
    }
    return CheckOverlaps();
  }

 private:
  // What the central directory says about an entry.
  struct Central {
    std::string_view name;
    uint64_t compressed_bytes = 0;
    uint64_t bytes = 0;
    uint64_t local_header = 0;
  };

  absl::Status Fail(size_t position, std::string_view what) const {
    return CorruptFile(origin_, Concat("at byte ", position, ": ", what));
  }

  // The caller has checked that the number is there.
  template <typename T>
  T At(size_t position) const {
    T value;
    std::memcpy(&value, bytes_.data() + position, sizeof(T));
    return value;
  }

  absl::Status FindDirectory() {
    if (bytes_.size() < kEndBytes ||
        At<uint32_t>(bytes_.size() - kEndBytes) != kEndSignature) {
      return CorruptFile(
          origin_, Concat("no ZIP directory at the end of its ", bytes_.size(),
                          " bytes: cut short, or not from torch.save"));
    }
    size_t end = bytes_.size() - kEndBytes;
    const size_t record = end;
    uint64_t here = At<uint16_t>(record + 8);
    num_entries_ = At<uint16_t>(record + 10);
    uint64_t size = At<uint32_t>(record + 12);
    uint64_t offset = At<uint32_t>(record + 16);
    const auto differs = [](uint64_t small, uint64_t in64, uint64_t stands_in) {
      return small != in64 && small != stands_in;
    };
    if (end >= kZip64LocatorBytes + kZip64EndBytes &&
        At<uint32_t>(end - kZip64LocatorBytes) == kZip64LocatorSignature) {
      const size_t locator = end - kZip64LocatorBytes;
      end = locator - kZip64EndBytes;
      if (At<uint64_t>(locator + 8) != end ||
          At<uint32_t>(end) != kZip64EndSignature ||
          differs(here, At<uint64_t>(end + 24), kIn64From16) ||
          differs(num_entries_, At<uint64_t>(end + 32), kIn64From16) ||
          differs(size, At<uint64_t>(end + 40), kIn64From32) ||
          differs(offset, At<uint64_t>(end + 48), kIn64From32)) {
        return Fail(end, "no ZIP64 record that agrees with the end's");
      }
      here = At<uint64_t>(end + 24);
      num_entries_ = At<uint64_t>(end + 32);
      size = At<uint64_t>(end + 40);
      offset = At<uint64_t>(end + 48);
    }
    if (here != num_entries_ || At<uint16_t>(record + 20) != 0) {
      return Fail(record, "archive of several disks, or with a comment");
    }
    if (num_entries_ > kMaxEntries) {
      return Fail(record, Concat("claims ", num_entries_, " entries, up to ",
                                 kMaxEntries, " are read"));
    }
    if (size > end || offset != end - size) {
      return Fail(record, Concat("directory of ", size, " bytes at byte ",
                                 offset, " does not end at byte ", end));
    }
    directory_ = {end - size, end};
    return absl::OkStatus();
  }

  // Reads the directory's entry at `position` and returns the place of the
  // next.
  absl::StatusOr<size_t> ReadEntry(size_t position) {
    if (directory_.end - position < kCentralBytes ||
        At<uint32_t>(position) != kCentralSignature) {
      return Fail(position, "no entry of the directory");
    }
    const size_t name_bytes = At<uint16_t>(position + 28);
    const size_t extra_bytes = At<uint16_t>(position + 30);
    const size_t comment_bytes = At<uint16_t>(position + 32);
    if (directory_.end - position - kCentralBytes <
        name_bytes + extra_bytes + comment_bytes) {
      return Fail(position, "entry reaches beyond the directory");
    }
    Central entry;
    entry.name = bytes_.substr(position + kCentralBytes, name_bytes);
    if (name_bytes == 0 || name_bytes > kMaxEntryNameBytes) {
      return Fail(position, Concat("entry's name of ", name_bytes, " bytes"));
    }
    entry.compressed_bytes = At<uint32_t>(position + 20);
    entry.bytes = At<uint32_t>(position + 24);
    entry.local_header = At<uint32_t>(position + 42);
    const size_t extra = position + kCentralBytes + name_bytes;
    ATTUNE_RETURN_IF_ERROR(ReadExtra(extra, extra + extra_bytes, entry));
    ATTUNE_RETURN_IF_ERROR(CheckMethod(position, At<uint16_t>(position + 8),
                                       At<uint16_t>(position + 10),
                                       entry.name));
    if (entry.compressed_bytes != entry.bytes) {
      return Fail(position,
                  Concat("entry ", QuoteBytes(entry.name), " of ", entry.bytes,
                         " bytes is stored in ", entry.compressed_bytes));
    }
    ATTUNE_RETURN_IF_ERROR(PlaceEntry(position, entry));
    return extra + extra_bytes + comment_bytes;
  }

  absl::Status CheckMethod(size_t position, uint16_t flags, uint16_t method,
                           std::string_view name) const {
    if ((flags & kEncryptedFlag) != 0) {
      return Fail(position,
                  Concat("entry ", QuoteBytes(name), " is encrypted"));
    }
    if (method != kStored) {
      return Fail(position,
                  Concat("entry ", QuoteBytes(name), " is compressed (method ",
                         method, "), which torch.save never does"));
    }
    return absl::OkStatus();
  }

  // Takes what does not fit 32 bits out of the extra fields.
  absl::Status ReadExtra(size_t position, size_t end, Central& entry) const {
    while (position < end) {
      if (end - position < 4 ||
          end - position - 4 < At<uint16_t>(position + 2)) {
        return Fail(position, "extra field reaches beyond its entry");
      }
      const uint16_t id = At<uint16_t>(position);
      const size_t field_end = position + 4 + At<uint16_t>(position + 2);
      position += 4;
      if (id == kZip64ExtraId) {
        for (uint64_t* number :
             {&entry.bytes, &entry.compressed_bytes, &entry.local_header}) {
          if (*number != kIn64From32) continue;
          if (field_end - position < sizeof(uint64_t)) {
            return Fail(position, "ZIP64 field lacks a number");
          }
          *number = At<uint64_t>(position);
          position += sizeof(uint64_t);
        }
      }
      position = field_end;
    }
    return absl::OkStatus();
  }

  // Follows the entry to its local header and its content.
  absl::Status PlaceEntry(size_t position, const Central& entry) {
    const std::string name = QuoteBytes(entry.name);
    const size_t end = directory_.begin;
    if (end < kLocalBytes || entry.local_header > end - kLocalBytes) {
      return Fail(position, Concat("entry ", name, " is at byte ",
                                   entry.local_header, ", which is outside"));
    }
    const size_t local = entry.local_header;
    if (At<uint32_t>(local) != kLocalSignature) {
      return Fail(local, Concat("no header of entry ", name));
    }
    ATTUNE_RETURN_IF_ERROR(CheckMethod(local, At<uint16_t>(local + 6),
                                       At<uint16_t>(local + 8), entry.name));
    const size_t name_bytes = At<uint16_t>(local + 26);
    const size_t begin =
        local + kLocalBytes + name_bytes + At<uint16_t>(local + 28);
    if (begin > end || entry.bytes > end - begin) {
      return Fail(local, Concat("entry ", name, " of ", entry.bytes,
                                " bytes reaches beyond byte ", end));
    }
    if (bytes_.substr(local + kLocalBytes, name_bytes) != entry.name) {
      return Fail(local, Concat("header is not of entry ", name));
    }
    const size_t content_end = begin + entry.bytes;
    if (!archive_.entries_
             .emplace(std::string(entry.name), Range{begin, content_end})
             .second) {
      return Fail(position, Concat("entry ", name, " is there twice"));
    }
    if (archive_.first_name_.empty()) archive_.first_name_ = entry.name;
    taken_.push_back({local, content_end});
    return absl::OkStatus();
  }

  absl::Status CheckOverlaps() {
    std::sort(taken_.begin(), taken_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    size_t end = 0;
    for (const Range& range : taken_) {
      if (range.begin < end) {
        return Fail(range.begin, "entry begins inside another");
      }
      end = range.end;
    }
    return absl::OkStatus();
  }

  ZipArchive& archive_;
  const std::string_view bytes_;
  const std::string_view origin_;
  uint64_t num_entries_ = 0;
  Range directory_;
  std::vector<Range> taken_;  // local headers with their contents
};

absl::StatusOr<ZipArchive> ZipArchive::Parse(std::string_view bytes,
                                             std::string_view origin) {
  ZipArchive archive;
  ATTUNE_RETURN_IF_ERROR(Parser(archive, bytes, origin).Run());
  return archive;
}

std::optional<ZipArchive::Range> ZipArchive::Find(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return std::nullopt;
  return it->second;
}

}  // namespace attune::worker
