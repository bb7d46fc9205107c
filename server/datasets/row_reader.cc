#include "server/datasets/row_reader.h"

#include <algorithm>

#include "proto/cc/status.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

absl::Status WrongLine(int64_t line, std::string_view what) {
  return MakeError(Reason::kInvalidData,
                   Concat("line ", line, " ", what, "; nothing was stored"),
                   {{"line", Concat(line)}});
}

absl::Status RowReader::Append(std::string_view bytes) {
  if (!begun_) {
    const size_t missing = kByteOrderMark.size() - beginning_.size();
    beginning_.append(bytes.substr(0, missing));
    bytes.remove_prefix(std::min(missing, bytes.size()));
    if (beginning_.size() < kByteOrderMark.size()) return absl::OkStatus();
    begun_ = true;
    if (beginning_ != kByteOrderMark) {
      ATTUNE_RETURN_IF_ERROR(Read(beginning_));
    }
  }
  return Read(bytes);
}

absl::Status RowReader::Finish() {
  if (!begun_) ATTUNE_RETURN_IF_ERROR(Read(beginning_));
  return ReadEnd();
}

absl::Status RowReader::Emit(int64_t line, absl::StatusOr<Row> row,
                             std::string_view before_error) {
  if (row.ok()) return sink_(line, *std::move(row));
  return WrongLine(line, Concat(before_error, ToStd(row.status().message())));
}

}  // namespace attune::server
