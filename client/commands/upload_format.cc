#include "client/commands/upload_format.h"

#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

using UploadHeader = v1::UploadExamplesHeader;

struct FormatName {
  std::string_view name;  // of the flag, or a suffix
  UploadHeader::UploadFormat format;
  bool is_choice = false;  // of the flag
};

constexpr FormatName kFormatNames[] = {
    {"jsonl", UploadHeader::UPLOAD_FORMAT_JSON_LINES, true},
    {"ndjson", UploadHeader::UPLOAD_FORMAT_JSON_LINES},
    {"json", UploadHeader::UPLOAD_FORMAT_JSON_ARRAY, true},
    {"csv", UploadHeader::UPLOAD_FORMAT_CSV, true},
    {"tsv", UploadHeader::UPLOAD_FORMAT_TSV, true},
    {"conll", UploadHeader::UPLOAD_FORMAT_CONLL, true},
    {"bio", UploadHeader::UPLOAD_FORMAT_CONLL},
    {"bioes", UploadHeader::UPLOAD_FORMAT_CONLL},
    {"iob", UploadHeader::UPLOAD_FORMAT_CONLL},
};

std::optional<UploadHeader::UploadFormat> FormatOf(std::string_view name,
                                                   bool choices_only) {
  for (const FormatName& row : kFormatNames) {
    if (row.name == name && (row.is_choice || !choices_only)) return row.format;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<UploadHeader::UploadFormat> FindUploadFormat(
    std::string_view name, std::string_view file) {
  if (!name.empty()) {
    const auto format = FormatOf(name, /*choices_only=*/true);
    if (format) return *format;
    return absl::InvalidArgumentError(Concat(
        "--format '", name, "' is not known: it is ", kUploadFormatChoices));
  }
  if (file == "-") return UploadHeader::UPLOAD_FORMAT_JSON_LINES;
  std::string suffix = std::filesystem::path(file).extension().string();
  absl::AsciiStrToLower(&suffix);
  const auto format = FormatOf(suffix.empty() ? suffix : suffix.substr(1),
                               /*choices_only=*/false);
  if (format) return *format;
  return absl::InvalidArgumentError(Concat(
      "the name of ", file,
      " does not tell its format; say --format: ", kUploadFormatChoices));
}

}  // namespace attune::client
