#ifndef ATTUNE_CLIENT_COMMANDS_DOCUMENT_H_
#define ATTUNE_CLIENT_COMMANDS_DOCUMENT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace attune::client {

struct DocumentField;

// A YAML or JSON document as a tree that still knows its lines. A value.
struct DocumentNode {
  enum class Kind {
    kNull,
    kBool,    // JSON true, false
    kNumber,  // JSON number
    kString,  // in quotes, or a YAML block
    kPlain,   // YAML without quotes: what it means depends on the field
    kList,
    kMap,
  };
  Kind kind = Kind::kNull;
  std::string scalar;                 // of the four scalar kinds
  std::vector<DocumentNode> items;    // of kList
  std::vector<DocumentField> fields;  // of kMap, in their order
  int line = 0;                       // counted from 1; 0 is unknown
};

struct DocumentField {
  std::string key;
  DocumentNode value;
  int line = 0;
};

inline constexpr size_t kMaxDocumentBytes = size_t{4} << 20;
inline constexpr int kMaxDocumentDepth = 64;

// Parses `text` as JSON when it starts with '{', else as YAML. Refuses what is
// larger or deeper than the limits, text that is not UTF-8, a second document,
// a key that comes twice, and YAML's anchors, aliases and tags, so that a small
// file never becomes a large tree. INVALID_ARGUMENT "<file>:<line>: ..."
absl::StatusOr<DocumentNode> ParseDocument(std::string_view text,
                                           std::string_view file);

// The error of a wrong document: "<file>:<line>: <problem>".
absl::Status DocumentError(std::string_view file, int line,
                           std::string_view problem);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_COMMANDS_DOCUMENT_H_
