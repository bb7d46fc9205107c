#ifndef ATTUNE_SERVER_DATASETS_JSON_ARRAY_READER_H_
#define ATTUNE_SERVER_DATASETS_JSON_ARRAY_READER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/datasets/row_reader.h"

namespace attune::server {

// Reads a JSON array of objects. Only finds where its elements begin and end;
// ParseRow judges what is between. So an element is checked alone, however
// large the array.
class JsonArrayReader final : public RowReader {
 public:
  using RowReader::RowReader;

 private:
  enum class Place {
    kBefore,        // of the array
    kFirst,         // after '[': an element or ']'
    kElement,       // within one
    kAfterElement,  // ',' or ']'
    kNext,          // after ',': an element
    kAfter,         // of the array
  };

  absl::Status Read(std::string_view bytes) override;
  absl::Status ReadEnd() override;
  // Takes a byte that no element holds; leaves the first one of an element.
  absl::Status ReadBetween(char byte);
  // How many of `bytes` belong to the element; depth_ is 0 where it ends.
  size_t ScanElement(std::string_view bytes);

  Place place_ = Place::kBefore;
  int64_t line_ = 1;
  std::string element_;
  int64_t element_line_ = 0;  // where it begins
  // Of the element so far.
  int64_t depth_ = 0;
  bool in_text_ = false;
  bool escaped_ = false;
};

}  // namespace attune::server

#endif  // ATTUNE_SERVER_DATASETS_JSON_ARRAY_READER_H_
