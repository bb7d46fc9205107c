#ifndef ATTUNE_TESTS_SERVER_DATASETS_READ_FILE_H_
#define ATTUNE_TESTS_SERVER_DATASETS_READ_FILE_H_

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "proto/cc/text.h"
#include "server/datasets/upload_format.h"
#include "tests/testing/status_matchers.h"

namespace attune::server {

// What a reader says of a file.
struct FileReading {
  std::vector<std::string> rows;  // "LINE {...}", up to an error
  absl::Status status;
};

// Reads a file that comes in chunks of `size` bytes.
inline FileReading ReadInChunks(UploadFormat format, std::string_view file,
                                size_t size, const std::string& split = "") {
  FileReading reading;
  const std::unique_ptr<RowReader> reader =
      MakeRowReader(format, split, [&](int64_t line, Row row) {
        reading.rows.push_back(Concat(line, " ", row.json));
        return absl::OkStatus();
      }).value();
  while (!file.empty() && reading.status.ok()) {
    reading.status = reader->Append(file.substr(0, size));
    file.remove_prefix(std::min(size, file.size()));
  }
  if (reading.status.ok()) reading.status = reader->Finish();
  return reading;
}

// Reads a file whole, and expects the same of it cut in several ways.
inline absl::StatusOr<std::vector<std::string>> ReadFile(
    UploadFormat format, std::string_view file, const std::string& split = "") {
  const FileReading whole = ReadInChunks(format, file, file.size() + 1, split);
  for (const size_t size : {1, 2, 3, 7, 4096}) {
    const FileReading cut = ReadInChunks(format, file, size, split);
    EXPECT_EQ(cut.rows, whole.rows) << "chunks of " << size;
    EXPECT_EQ(cut.status, whole.status) << "chunks of " << size;
  }
  if (!whole.status.ok()) return whole.status;
  return whole.rows;
}

// An error that begins so, and says that nothing is kept.
inline auto RefusedWith(const std::string& message) {
  return ReasonIs(Reason::kInvalidData,
                  testing::AllOf(testing::StartsWith(message),
                                 testing::HasSubstr("; nothing was stored")));
}

}  // namespace attune::server

#endif  // ATTUNE_TESTS_SERVER_DATASETS_READ_FILE_H_
