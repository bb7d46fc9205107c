#include "client/output/markup.h"

#include "client/output/text_width.h"

namespace attune::client {
namespace {

std::string EscapeMarkup(std::string_view text, bool in_attribute) {
  std::string escaped;
  for (const char c : Harmless(text)) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"' && in_attribute) {
      escaped += "&quot;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string OpenTag(std::string_view name,
                    const Markup::Attributes& attributes) {
  std::string tag("<");
  tag += name;
  for (const Markup::Attribute& attribute : attributes) {
    tag += ' ';
    tag += attribute.name;
    tag += "=\"";
    tag += EscapeMarkup(attribute.value, /*in_attribute=*/true);
    tag += '"';
  }
  return tag;
}

}  // namespace

Markup Markup::Text(std::string_view text) {
  return Markup(EscapeMarkup(text, /*in_attribute=*/false));
}

Markup Markup::Element(std::string_view name, const Attributes& attributes,
                       const Markup& content) {
  std::string text = OpenTag(name, attributes);
  text += '>';
  text += content.text_;
  text += "</";
  text += name;
  text += '>';
  return Markup(std::move(text));
}

Markup Markup::Leaf(std::string_view name, const Attributes& attributes) {
  return Markup(OpenTag(name, attributes) + "/>");
}

Markup& Markup::operator+=(const Markup& other) {
  text_ += other.text_;
  return *this;
}

}  // namespace attune::client
