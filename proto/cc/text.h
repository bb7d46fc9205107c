#ifndef ATTUNE_PROTO_CC_TEXT_H_
#define ATTUNE_PROTO_CC_TEXT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// Debian builds Abseil with a string_view of its own that does not convert to
// or from std::string_view. These three are the bridge.
namespace attune {

inline absl::string_view ToAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

inline std::string_view ToStd(absl::string_view text) {
  return std::string_view(text.data(), text.size());
}

namespace text_internal {
template <typename T>
auto Piece(const T& value) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return ToAbsl(value);
  } else {
    return value;
  }
}
}  // namespace text_internal

// absl::StrCat that takes std::string_view too.
template <typename... Args>
std::string Concat(const Args&... args) {
  return absl::StrCat(text_internal::Piece(args)...);
}

}  // namespace attune

#endif  // ATTUNE_PROTO_CC_TEXT_H_
