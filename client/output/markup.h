#ifndef ATTUNE_CLIENT_OUTPUT_MARKUP_H_
#define ATTUNE_CLIENT_OUTPUT_MARKUP_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attune::client {

// A piece of HTML or SVG that is well-formed by construction: outside text gets
// in only through Text() and attributes, which escape it, and what is opened is
// closed. Names of elements and attributes are this program's own. A value.
class Markup {
 public:
  struct Attribute {
    std::string_view name;
    std::string value;
  };
  using Attributes = std::vector<Attribute>;

  Markup() = default;

  // `text` as it is; control characters and wrong UTF-8 become U+FFFD.
  static Markup Text(std::string_view text);
  // <name ...>content</name>
  static Markup Element(std::string_view name, const Attributes& attributes,
                        const Markup& content = {});
  // <name .../>: HTML's void elements, and shapes of SVG.
  static Markup Leaf(std::string_view name, const Attributes& attributes);

  // Puts `other` behind this.
  Markup& operator+=(const Markup& other);
  friend Markup operator+(Markup first, const Markup& second) {
    first += second;
    return first;
  }

  bool empty() const { return text_.empty(); }
  const std::string& text() const { return text_; }

 private:
  explicit Markup(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_MARKUP_H_
