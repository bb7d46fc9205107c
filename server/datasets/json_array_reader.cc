#include "server/datasets/json_array_reader.h"

#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::server {

absl::Status JsonArrayReader::Read(std::string_view bytes) {
  while (!bytes.empty()) {
    if (place_ != Place::kElement) {
      ATTUNE_RETURN_IF_ERROR(ReadBetween(bytes.front()));
      if (place_ != Place::kElement) bytes.remove_prefix(1);
      continue;
    }
    const size_t size = ScanElement(bytes);
    element_.append(bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (static_cast<int64_t>(element_.size()) > kMaxRowBytes) {
      return WrongLine(element_line_, Concat("begins an element of more than ",
                                             kMaxRowBytes, " bytes"));
    }
    if (depth_ > 0) return absl::OkStatus();
    ATTUNE_RETURN_IF_ERROR(Emit(element_line_,
                                ParseRow(element_, default_split()),
                                "begins an element that "));
    element_.clear();
    place_ = Place::kAfterElement;
  }
  return absl::OkStatus();
}

absl::Status JsonArrayReader::ReadBetween(char byte) {
  if (byte == '\n') ++line_;
  if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') {
    return absl::OkStatus();
  }
  switch (place_) {
    case Place::kBefore:
      if (byte != '[') {
        return WrongLine(line_,
                         "does not begin a JSON array such as [{\"text\": "
                         "\"...\"}]; send one object a line as JSON Lines");
      }
      place_ = Place::kFirst;
      break;
    case Place::kFirst:
    case Place::kNext:
      if (byte == ']' && place_ == Place::kFirst) {
        place_ = Place::kAfter;
        break;
      }
      if (byte != '{') {
        return WrongLine(line_, byte == ']'
                                    ? "has a comma without an element after it"
                                    : "has an element that is not an object "
                                      "such as {\"text\": \"...\"}");
      }
      place_ = Place::kElement;
      element_line_ = line_;
      break;
    case Place::kAfterElement:
      if (byte != ',' && byte != ']') {
        return WrongLine(line_, "needs ',' or ']' after an element");
      }
      place_ = byte == ',' ? Place::kNext : Place::kAfter;
      break;
    case Place::kAfter:
      return WrongLine(line_, "goes on after the end of the array");
    case Place::kElement:
      break;
  }
  return absl::OkStatus();
}

size_t JsonArrayReader::ScanElement(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char byte = bytes[i];
    if (byte == '\n') ++line_;
    if (escaped_) {
      escaped_ = false;
    } else if (in_text_) {
      escaped_ = byte == '\\';
      in_text_ = byte != '"';
    } else if (byte == '"') {
      in_text_ = true;
    } else if (byte == '{' || byte == '[') {
      ++depth_;
    } else if ((byte == '}' || byte == ']') && --depth_ == 0) {
      return i + 1;
    }
  }
  return bytes.size();
}

absl::Status JsonArrayReader::ReadEnd() {
  switch (place_) {
    case Place::kBefore:
    case Place::kAfter:
      return absl::OkStatus();
    case Place::kElement:
      return WrongLine(element_line_, "begins an element that does not end");
    default:
      return WrongLine(line_, "is the last one, but the array does not end");
  }
}

}  // namespace attune::server
