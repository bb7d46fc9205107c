#ifndef ATTUNE_CLIENT_OUTPUT_HTML_PAGE_H_
#define ATTUNE_CLIENT_OUTPUT_HTML_PAGE_H_

#include <string>
#include <string_view>
#include <vector>

#include "client/output/markup.h"

// A page that stands alone: its style is inside, it has no scripts and asks no
// other place for anything, which its own policy tells the browser. Light or
// dark as the reader has it; fits a phone and paper. Pure functions.
namespace attune::client {

Markup HtmlParagraph(std::string_view text, std::string_view classes = "");

// A part of a page under a heading. Nothing where it has no content.
Markup HtmlSection(std::string_view title, const Markup& content);

// Figures beside each other where the page is wide enough. Empty ones are left
// out; nothing where all are.
Markup HtmlColumns(const std::vector<Markup>& items);

// The whole document, whose body is `content`.
std::string HtmlPage(std::string_view title, const Markup& content);

}  // namespace attune::client

#endif  // ATTUNE_CLIENT_OUTPUT_HTML_PAGE_H_
