#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "proto/cc/text.h"
#include "server/datasets/upload_format.h"
#include "tests/fuzz/finding.h"

namespace attune::fuzz {
namespace {

using server::Row;
using server::RowReader;
using server::UploadFormat;

constexpr uint8_t kNumFormats = 5;

// What a reader says of a file.
struct Reading {
  std::vector<std::string> rows;  // up to an error
  std::vector<int64_t> lines;
  absl::Status status;
};

// Reads a file in chunks whose sizes follow from `seed`; 0: as one.
Reading ReadChunks(UploadFormat format, std::string_view file, uint32_t seed) {
  Reading reading;
  const std::unique_ptr<RowReader> reader =
      server::MakeRowReader(format, "train", [&](int64_t line, Row row) {
        reading.lines.push_back(line);
        reading.rows.push_back(std::move(row.json));
        return absl::OkStatus();
      }).value();
  const bool whole = seed == 0;
  while (!file.empty() && reading.status.ok()) {
    seed = seed * 1664525 + 1013904223;
    const size_t size =
        whole ? file.size() : std::min<size_t>(seed >> 28, file.size());
    // Memory of its own, so that a read beyond the chunk is found.
    const std::vector<char> chunk(file.begin(), file.begin() + size);
    reading.status = reader->Append({chunk.data(), chunk.size()});
    file.remove_prefix(size);
  }
  if (reading.status.ok()) reading.status = reader->Finish();
  return reading;
}

void CheckReading(UploadFormat format, std::string_view file,
                  const Reading& reading) {
  Require(std::is_sorted(reading.lines.begin(), reading.lines.end()) &&
              (reading.lines.empty() || reading.lines.front() >= 1),
          "lines are not in order");
  for (const std::string& row : reading.rows) {
    const auto again = server::ParseRow(row, "");
    Require(again.ok() && again->json == row,
            Concat("a row is not canonical: ", row));
  }
  if (!reading.status.ok()) {
    RequireFileError(reading.status, "line ");
    Require(reading.status.message().size() < 1024, "a message is too long");
  } else if (format == v1::UploadExamplesHeader::UPLOAD_FORMAT_JSON_ARRAY &&
             !reading.rows.empty()) {
    Require(nlohmann::json::accept(file), "an array is taken that is no JSON");
  }
}

void ReadTwice(UploadFormat format, std::string_view file, uint32_t seed) {
  const Reading whole = ReadChunks(format, file, 0);
  CheckReading(format, file, whole);
  const Reading cut = ReadChunks(format, file, seed);
  Require(cut.rows == whole.rows && cut.lines == whole.lines,
          "the rows depend on how the file is cut");
  Require(cut.status == whole.status,
          "the error depends on how the file is cut");
}

}  // namespace
}  // namespace attune::fuzz

// Input: a byte for the format, one for how the file is cut, the file. However
// it is cut, it has the same rows, which are as they are stored, and the same
// error, which names a line.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  attune::fuzz::ReadTwice(static_cast<attune::server::UploadFormat>(
                              data[0] % attune::fuzz::kNumFormats + 1),
                          {reinterpret_cast<const char*>(data) + 2, size - 2},
                          1 + data[1]);
  return 0;
}
